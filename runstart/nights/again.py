"""Which nights are made again, and why.

Chosen is what a new making can improve: a night that failed, one with exposures of which assets were never made, one
whose inputs are not what they were, and one that older code has made. Only the assets that are behind are made, with
everything that follows from them; what has not changed is found in the cache. A night that works or waits is left
alone, and so is one whose exposures are away: nothing can be made of it. A night is tried three times with the same
code and inputs: then it waits for another of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache, partial
from typing import TYPE_CHECKING

from runstart.errors import Alert
from runstart.nights.arrivals import NightFiles
from runstart.nights.exposures import count_exposures, gone_exposures
from runstart.nights.kept import has_products
from runstart.nights.masters import newest_masters
from runstart.nights.record import EXPOSURES, Record, load_record
from runstart.nights.steps import STEPS, code_version, expected_made_of, find_step
from runstart.nights.work import NightWork
from runstart.storage import ObjectMissing

if TYPE_CHECKING:
    from runstart.nights.site import Site
    from runstart.operation_kit import Workplace
    from runstart.storage import ObjectStore

ASSETS = tuple(step.asset for step in STEPS)
_THREADS = 8


class Reason(IntEnum):
    """Why a night is made again; the lowest goes first."""

    FAILED = 1
    NEVER_MADE = 2
    INPUTS_CHANGED = 3
    CODE_CHANGED = 4

    @property
    def text(self) -> str:
        """The reason in words."""
        return _TEXTS[self]


_TEXTS = {
    Reason.FAILED: "failed",
    Reason.NEVER_MADE: "never made",
    Reason.INPUTS_CHANGED: "inputs changed",
    Reason.CODE_CHANGED: "code changed",
}


@dataclass(frozen=True)
class NightState:
    """A night, as the rule sees it.

    Attributes
    ----------
    site, night : str
        Which.
    exposures : int
        Files that are there.
    missing, changed, older : tuple of str
        Assets without a record or whose products were removed, made of other inputs, and made by other code.
    failed : bool
        Whether Dagster's last attempt failed.
    unfinished : bool
        Whether an attempt works or waits.
    fingerprint : str
        Digest of code and inputs.
    attempts : int
        How often it was chosen with this fingerprint.
    away : bool
        Whether good exposures of its index no longer lie there, and none is new or changed.
    """

    site: str
    night: str
    exposures: int = 0
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    failed: bool = False
    unfinished: bool = False
    fingerprint: str = ""
    attempts: int = 0
    away: bool = False


@dataclass(frozen=True)
class Rules:
    """Bounds of one choice.

    Attributes
    ----------
    most_nights : int
        Nights that are chosen, over all sites.
    most_attempts : int
        How often a night is chosen with the same code and inputs.
    """

    most_nights: int = 400
    most_attempts: int = 3


@dataclass(frozen=True)
class Choice:
    """A night to make again: which assets, in the order of making, and why."""

    site: str
    night: str
    assets: tuple[str, ...]
    reason: Reason
    fingerprint: str = ""


def choose_nights(states: Iterable[NightState], rules: Rules | None = None) -> tuple[list[Choice], int]:
    """Return the nights to make again, and how many more there are than one choice takes.

    Parameters
    ----------
    states : iterable of NightState
        Every night that is known.
    rules : Rules, optional
        Bounds.

    Returns
    -------
    chosen : list of Choice
        By reason, and the newest night first: people wait for it.
    left : int
        Nights that have to wait for another time.
    """
    rules = Rules() if rules is None else rules
    choices = [choice for state in states if (choice := _judge(state, rules)) is not None]
    choices.sort(key=lambda choice: (choice.night, choice.site), reverse=True)
    choices.sort(key=lambda choice: choice.reason)
    return choices[: rules.most_nights], max(0, len(choices) - rules.most_nights)


def with_followers(assets: Collection[str]) -> tuple[str, ...]:
    """Return assets with all that is made of them, in the order of making."""
    behind: list[str] = []
    for step in STEPS:
        if step.asset in assets or not set(behind).isdisjoint(step.needs):
            behind.append(step.asset)
    return tuple(behind)


def _judge(state: NightState, rules: Rules) -> Choice | None:
    if state.unfinished or state.away or state.attempts >= rules.most_attempts:
        return None
    never_made = state.missing if state.exposures else ()
    behind = with_followers({*never_made, *state.changed, *state.older})
    if state.failed:
        reason, behind = Reason.FAILED, ASSETS
    elif never_made:
        reason = Reason.NEVER_MADE
    elif state.changed:
        reason = Reason.INPUTS_CHANGED
    elif state.older:
        reason = Reason.CODE_CHANGED
    else:
        return None
    return Choice(state.site, state.night, behind, reason, state.fingerprint)


def examine_nights(
    workplace: Workplace,
    site: Site,
    nights: Iterable[str],
    *,
    failed: Collection[str] = (),
    unfinished: Collection[str] = (),
) -> list[NightState]:
    """Return the states of a site's nights, of records and of the list of exposures alone.

    Parameters
    ----------
    workplace : Workplace
        Its store holds the records.
    site : Site
        Where.
    nights : iterable of str
        Which.
    failed, unfinished : collection of str
        Nights whose last attempt failed, and that are being made or wait for it, as Dagster knows.

    Raises
    ------
    Transient
        If the store or the exposures cannot be reached.
    """
    load = cache(partial(_load, workplace.store, site))
    files = NightFiles(site, workplace.store)

    def examine(night: str) -> NightState:
        if night in unfinished:
            return NightState(site.name, night, unfinished=True)
        return _examine(NightWork(site, night, workplace, load=load, files=files), failed=night in failed)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="examination") as pool:
        return list(pool.map(examine, nights))


def note_attempts(store: ObjectStore, choices: Iterable[Choice]) -> None:
    """Count that nights are tried once more with their code and inputs; call it when they are launched."""
    for choice in choices:
        tried = _attempts(store, choice.site, choice.night, choice.fingerprint)
        note = {"fingerprint": choice.fingerprint, "attempts": tried + 1}
        store.put(_note_key(choice.site, choice.night), json.dumps(note).encode())


def _examine(work: NightWork, *, failed: bool) -> NightState:
    present = count_exposures(work)
    missing, changed, older = [], [], []
    for asset in ASSETS:
        record = work.find_record(asset)
        if record is None or not has_products(work.workplace.store, record):
            missing.append(asset)
        if record is not None and record.code_version != code_version(asset):
            older.append(asset)
        if record is not None and not _is_as_made(work, record):
            changed.append(asset)
    state = NightState(
        work.site.name, work.night, present, tuple(missing), tuple(changed), tuple(older), failed=failed
    )
    if not (missing or changed or older or failed):
        return state
    if _is_away(work):
        return replace(state, away=True)
    fingerprint = _fingerprint(work)
    attempts = _attempts(work.workplace.store, work.site.name, work.night, fingerprint)
    return replace(state, fingerprint=fingerprint, attempts=attempts)


def _is_away(work: NightWork) -> bool:
    index = work.find_record(EXPOSURES)
    if index is None or not gone_exposures(work, index):
        return False
    indexed = {(exposure.name, exposure.version) for exposure in index.exposures}
    return all((arrival.name, arrival.version) in indexed for arrival in work.arrived(work.night))


def _is_as_made(work: NightWork, record: Record) -> bool:
    """Tell whether a record's inputs are what they were; it is behind anyway if one of them is not there."""
    if any(work.find_record(need) is None for need in find_step(record.asset).needs):
        return True
    return record.made_of == expected_made_of(work, record.asset, record.code_version)


def _fingerprint(work: NightWork) -> str:
    """Return a digest of what decides how an attempt ends, whatever earlier attempts have left behind."""
    told = [
        [code_version(asset) for asset in ASSETS],
        expected_made_of(work, EXPOSURES),
        work.site.model_dump(mode="json"),
        newest_masters(work),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _load(store: ObjectStore, site: Site, night: str, asset: str) -> Record | None:
    """Return a record; a damaged one counts as missing, so that it is made again."""
    try:
        return load_record(store, site, night, asset)
    except Alert:
        return None


def _attempts(store: ObjectStore, site: str, night: str, fingerprint: str) -> int:
    try:
        note = json.loads(store.get(_note_key(site, night)).data)
        return int(note["attempts"]) if note["fingerprint"] == fingerprint else 0
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return 0  # never tried, or the note is damaged


def _note_key(site: str, night: str) -> str:
    return f"nights/{site}/{night}/attempts.json"
