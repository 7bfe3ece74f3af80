"""What the programs of a probe session have said, and what that amounts to: how many arrived, where the rest was lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runstart.errors import Alert
from runstart.probe_sessions.programs import Program

_COUNTS = ("sent", "received", "forwarded")


@dataclass(frozen=True)
class Report:
    """The last that a program has said.

    Attributes
    ----------
    state : str
        `listening`, `running`, `done` or `failed`; empty before the first word.
    port : int or None
        Where it listens, if it has just said so.
    counts : mapping of str to int
        `sent`, `received` and `forwarded`, as far as it counts them.
    error : str
        Why it failed.
    """

    state: str = ""
    port: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class ProbeOutcome:
    """How a probe session has ended.

    Attributes
    ----------
    session_id : str
        Its name.
    state : str
        `finished`, `failed` or `stopped`.
    stream_type : str
        `plain` or `segmented`.
    count : int
        Messages that were asked for.
    arrived : int
        Messages that the last program has got.
    seconds : float
        From the first program's start to the last one's end.
    counts : mapping of str to mapping of str to int
        What each program has counted.
    troubles : tuple of str
        What went wrong, a sentence each.
    """

    session_id: str
    state: str
    stream_type: str
    count: int
    arrived: int
    seconds: float
    counts: Mapping[str, Mapping[str, int]]
    troubles: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "session_id": self.session_id,
            "state": self.state,
            "stream_type": self.stream_type,
            "count": self.count,
            "arrived": self.arrived,
            "seconds": round(self.seconds, 3),
            "counts": {program: dict(counts) for program, counts in self.counts.items()},
            "troubles": list(self.troubles),
        }


class ProbeSessionFailed(Alert):
    """A probe session in which not all messages arrived, or a program failed.

    Parameters
    ----------
    outcome : ProbeOutcome
        How it has ended.
    """

    def __init__(self, outcome: ProbeOutcome) -> None:
        what = (
            f"Probe session {outcome.session_id} has ended, but not well: {outcome.arrived} of {outcome.count} messages "
            f"arrived. {' '.join(outcome.troubles)}"
        )
        super().__init__(what.rstrip(), "Mend what its programs say, and run it again.")
        self.outcome = outcome


def read_report(program: Program, output: str) -> Report:
    """Return the last that a program has said in its output; other lines are passed over."""
    for line in reversed(output.splitlines()):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("program") == program and isinstance(said.get("state"), str):
            counts = {name: said[name] for name in _COUNTS if type(said.get(name)) is int and said[name] >= 0}
            port = said.get("port")
            return Report(said["state"], port if type(port) is int else None, counts, str(said.get("error", "")))
    return Report()


def arrived_of(programs: Sequence[Program], reports: Mapping[Program, Report]) -> int:
    """Return how many messages the last program has got; none if it was never started."""
    return _counted(reports, programs[-1], "received")


def losses(count: int, programs: Sequence[Program], reports: Mapping[Program, Report]) -> list[str]:
    """Return where messages were lost, a sentence each; a program that was killed has said its last up to a second before.

    Parameters
    ----------
    count : int
        How many were asked for.
    programs : sequence of str
        In the order in which messages pass them.
    reports : mapping of str to Report
        The last of each.
    """
    sent, received = _counted(reports, "probe", "sent"), _counted(reports, "streaming", "received")
    steps = [("were never sent by the probe", count, sent), ("were lost on the way to streaming", sent, received)]
    if "segmentation" in programs:
        forwarded = _counted(reports, "streaming", "forwarded")
        last = _counted(reports, "segmentation", "received")
        steps += [
            ("were lost inside streaming", received, forwarded),
            ("were lost on the way to segmentation", forwarded, last),
        ]
    return [f"{before - after} {where}." for where, before, after in steps if before > after]


def _counted(reports: Mapping[Program, Report], program: Program, what: str) -> int:
    return reports[program].counts.get(what, 0) if program in reports else 0
