"""Which runs are reduced again at night, and why.

Chosen is what a new reduction can improve: a run without a result, one that failed its check, an incomplete one,
and one made with an older code version or script. A replay of frozen offsets gives the same result for ever, so a
run is tried once for each code version and script, and at most three nights if the trials themselves fail. A run
that is live is left alone, and so is one that a person terminated before it had a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

_KEY = re.compile(r"(\d{8}T\d{6})\.\d{3}Z_.+")


class Reason(IntEnum):
    """Why a run is reduced again; the lowest goes first."""

    NO_RESULT = 1
    FAILED_CHECK = 2
    INCOMPLETE = 3
    OLDER_CODE = 4
    OLDER_SCRIPT = 5

    @property
    def text(self) -> str:
        """The reason in words."""
        return _TEXTS[self]


_TEXTS = {
    Reason.NO_RESULT: "no result",
    Reason.FAILED_CHECK: "failed its check",
    Reason.INCOMPLETE: "incomplete",
    Reason.OLDER_CODE: "older code version",
    Reason.OLDER_SCRIPT: "older script",
}


@dataclass(frozen=True)
class Code:
    """What a reduction is made with now.

    Attributes
    ----------
    version : str
        Version of Runstart.
    script_sha256 : str or None
        The instrument's script; None if it has none, or could not be fetched: then scripts are not judged.
    """

    version: str
    script_sha256: str | None = None


@dataclass(frozen=True)
class Made:
    """What is known of a version of a result.

    Attributes
    ----------
    code_version, script_sha256 : str
        What it was made with.
    complete : bool
        Whether it has no shortcomings.
    nightly : bool
        Whether it was made by a nightly reduction.
    """

    code_version: str
    script_sha256: str
    complete: bool
    nightly: bool = False


@dataclass(frozen=True)
class RunState:
    """A run, as the rule sees it.

    Attributes
    ----------
    instrument, partition_key : str
        Which run.
    launched : bool
        Whether anybody has begun to reduce it; a run that only became known is left to people.
    current, latest : Made or None
        The current result and the newest one, which is another one if it covers less of the data.
    live : bool
        Whether it is being reduced now, or waits for it.
    terminated : bool
        Whether a person terminated its last launch, not counting those of the nights.
    check_failed : bool
        Whether a blocking check of its last launch failed.
    nights : int
        Nights in which it was tried with the present code version, and no trial succeeded.
    """

    instrument: str
    partition_key: str
    launched: bool = True
    current: Made | None = None
    latest: Made | None = None
    live: bool = False
    terminated: bool = False
    check_failed: bool = False
    nights: int = 0


@dataclass(frozen=True)
class Rules:
    """Bounds of a night's work.

    Attributes
    ----------
    days : int
        Runs that began longer ago are not looked at.
    most_runs : int
        Runs of one night, over all instruments.
    most_nights : int
        Nights in which trials of a run with the same code version may fail.
    """

    days: int = 30
    most_runs: int = 500
    most_nights: int = 3


@dataclass(frozen=True)
class Choice:
    """A run to reduce again, and why."""

    instrument: str
    partition_key: str
    reason: Reason


def choose_runs(
    states: Iterable[RunState], codes: Mapping[str, Code], rules: Rules, now: datetime
) -> tuple[list[Choice], int]:
    """Return the runs to reduce again, and how many more there are than one night takes.

    Parameters
    ----------
    states : iterable of RunState
        Every run that is known.
    codes : mapping of str to Code
        What reductions are made with now, by instrument.
    rules : Rules
        The night's bounds.
    now : datetime
        The time, with its zone.

    Returns
    -------
    chosen : list of Choice
        By reason, and the oldest first: the broker deletes its data first.
    left : int
        Runs that have to wait for another night.
    """
    choices = []
    for state in states:
        if is_recent(state.partition_key, rules.days, now):
            reason = _judge(state, codes[state.instrument], rules)
            if reason is not None:
                choices.append(Choice(state.instrument, state.partition_key, reason))
    choices.sort(key=lambda choice: (choice.reason, choice.partition_key, choice.instrument))
    return choices[: rules.most_runs], max(0, len(choices) - rules.most_runs)


def is_recent(partition_key: str, days: int, now: datetime) -> bool:
    """Tell whether a run began in the last `days`; a key without a time is no run of ours."""
    start = start_of_key(partition_key)
    return start is not None and start >= now - timedelta(days=days)


def start_of_key(partition_key: str) -> datetime | None:
    """Return the start that a partition key names, in UTC; None if it names none."""
    match = _KEY.fullmatch(partition_key)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _judge(state: RunState, code: Code, rules: Rules) -> Reason | None:
    latest = state.latest
    if state.live or not state.launched or state.nights >= rules.most_nights:
        return None
    if state.current is None or latest is None:
        return None if state.terminated else Reason.NO_RESULT
    older_code = latest.code_version != code.version
    older_script = code.script_sha256 is not None and latest.script_sha256 != code.script_sha256
    if latest.nightly and not latest.script_sha256:
        older_script = False  # where runs work the script could not be fetched, and perhaps never can
    tried = latest.nightly and not older_code and not older_script
    if tried:
        return None
    if state.check_failed:
        return Reason.FAILED_CHECK
    if not state.current.complete:
        return Reason.INCOMPLETE
    if older_code:
        return Reason.OLDER_CODE
    return Reason.OLDER_SCRIPT if older_script else None
