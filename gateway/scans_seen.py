"""Scans as the object store has them: those being taken with their growing picture, and the newest that are done."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from gateway.errors import Refusal
from runstart.scans.publish import load_current
from runstart.storage import ObjectMissing

if TYPE_CHECKING:
    from runstart.microscopes import Microscope
    from runstart.storage import ObjectStore, StoredObject

LIST_SECONDS = 10.0  # between two listings: a scan has a dozen objects
SHOWN = 12  # scans of a microscope that a page shows
MOST_SCANS = 500
STALE_SECONDS = 60.0
_SCAN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+@-]{0,199}")
_PICTURE = re.compile(r"[a-z][a-z_]{0,60}\.png")
_OVERVIEW = "overview.png"


class ScanState(BaseModel):
    """One scan at a glance."""

    microscope: str = Field(examples=["SIMSTEM"])
    scan: str = Field(examples=["scan_0001.frames"])
    state: Literal["found", "taking", "silent", "done"] = Field(
        description="`silent`: it has told nothing for 60 s, and not that it has ended."
    )
    ended: str = Field("", description="`complete`, `closed`, `broken off` or `stopped` once it has ended.")
    covered: float = Field(0.0, description="Part of the scan that has been seen, 0 to 1.")
    frames_seen: int = 0
    frames_expected: int = 0
    frames_per_second: float = 0.0
    written_at: float | None = Field(None, description="When it told its figures, in s since 1970.")
    dagster_run_id: str = ""


class ScanDetail(ScanState):
    """One scan in full."""

    pictures: list[str] = Field([], description="Names of its PNG pictures.", examples=[["overview.png"]])
    figures: dict[str, Any] = Field({}, description="What is worth plotting over scans.")


class MicroscopeState(BaseModel):
    """A microscope and its newest scans."""

    name: str = Field(examples=["SIMSTEM"])
    title: str = ""
    scans: list[ScanState] = []


class ScansSeen:
    """The scans of a facility's microscopes.

    Parameters
    ----------
    store : ObjectStore
        Where scans keep what they tell.
    microscopes : mapping of str to Microscope
        As declared.
    """

    def __init__(self, store: ObjectStore, microscopes: Mapping[str, Microscope]) -> None:
        self._store = store
        self._microscopes = dict(microscopes)
        self._listed: dict[str, tuple[float, list[str]]] = {}
        self._ended: dict[tuple[str, str], ScanState] = {}

    def overview(self) -> list[MicroscopeState]:
        """Return every microscope with its newest scans, as they were a few seconds ago.

        Raises
        ------
        Transient
            If the store does not answer.
        """
        return [
            MicroscopeState(name=name, title=microscope.title, scans=self._newest(name))
            for name, microscope in self._microscopes.items()
        ]

    def scans(self, microscope: str, limit: int = MOST_SCANS) -> list[str]:
        """Return the names of the scans of a microscope, the newest name first.

        Raises
        ------
        Refusal
            404, if there is no such microscope.
        """
        self._check(microscope)
        return self._list(microscope)[:limit]

    def scan(self, microscope: str, scan: str) -> ScanDetail:
        """Return one scan.

        Raises
        ------
        Refusal
            404, if there is no such scan.
        """
        declared = self._check(microscope, scan)
        state = self._state(microscope, scan)
        result = load_current(self._store, declared, scan)
        if result is not None:
            pictures = [name for name in result.objects if _PICTURE.fullmatch(name)]
            figures = dict(result.figures)
        elif self._store.head(f"scans/{microscope}/{scan}/display/{_OVERVIEW}") is not None:
            pictures, figures = [_OVERVIEW], {}
        else:
            pictures, figures = [], {}
        return ScanDetail(**state.model_dump(), pictures=pictures, figures=figures)

    def picture(self, microscope: str, scan: str, name: str) -> StoredObject:
        """Return a PNG picture of a scan; the overview of one being taken is the newest.

        Raises
        ------
        Refusal
            404, if there is none of that name.
        """
        declared = self._check(microscope, scan)
        if _PICTURE.fullmatch(name):
            for key in self._picture_keys(declared, scan, name):
                try:
                    return self._store.get(key)
                except ObjectMissing:
                    continue
        raise Refusal(404, f"Scan {scan} of {microscope} has no such picture.")

    def _picture_keys(self, microscope: Microscope, scan: str, name: str) -> Iterator[str]:
        if name == _OVERVIEW:
            yield f"scans/{microscope.name}/{scan}/display/{_OVERVIEW}"
        result = load_current(self._store, microscope, scan)
        if result is not None and name in result.objects:
            yield result.objects[name]

    def _check(self, microscope: str, scan: str | None = None) -> Microscope:
        declared = self._microscopes.get(microscope)
        if declared is None:
            raise Refusal(404, "There is no such microscope.")
        if scan is not None and (not _SCAN.fullmatch(scan) or ".." in scan):
            raise Refusal(404, f"{microscope} has no such scan.")
        return declared

    def _list(self, microscope: str) -> list[str]:
        now = time.monotonic()
        at, names = self._listed.get(microscope, (-LIST_SECONDS, []))
        if now - at >= LIST_SECONDS:
            prefix = f"scans/{microscope}/"
            keys = self._store.list(prefix)
            names = sorted({key.removeprefix(prefix).partition("/")[0] for key in keys}, reverse=True)
            self._listed[microscope] = (now, names)
            self._ended = {place: state for place, state in self._ended.items() if place[0] != microscope}
        return names

    def _newest(self, microscope: str) -> list[ScanState]:
        states = [self._kept(microscope, scan) for scan in self._list(microscope)[:SHOWN]]
        return sorted(states, key=lambda state: (state.state == "taking", state.written_at or 0.0), reverse=True)

    def _kept(self, microscope: str, scan: str) -> ScanState:
        """Return the state of a scan; one that has ended is read again only when its microscope is listed."""
        kept = self._ended.get((microscope, scan))
        if kept is None:
            kept = self._state(microscope, scan)
            if kept.ended:
                self._ended[microscope, scan] = kept
        return kept

    def _state(self, microscope: str, scan: str) -> ScanState:
        folder = f"scans/{microscope}/{scan}"
        try:
            told = json.loads(self._store.get(f"{folder}/display/status.json").data)
            at = float(told["written_at"])
            ended = str(told.get("ended", ""))
            is_silent = not ended and time.time() - at > STALE_SECONDS
            return ScanState(
                microscope=microscope,
                scan=scan,
                state="done" if ended else "silent" if is_silent else "taking",
                ended=ended,
                covered=told.get("covered", 0.0),
                frames_seen=told.get("seen", 0),
                frames_expected=told.get("expected", 0),
                frames_per_second=told.get("frames_per_second", 0.0),
                written_at=at,
                dagster_run_id=told.get("dagster_run_id", ""),
            )
        except ObjectMissing:
            pass
        except (ValueError, KeyError, TypeError):
            return ScanState(microscope=microscope, scan=scan, state="silent")
        result = load_current(self._store, self._microscopes[microscope], scan)
        if result is None:
            if self._store.head(f"{folder}/record.json") is None:
                raise Refusal(404, f"{microscope} has no scan {scan}.")
            return ScanState(microscope=microscope, scan=scan, state="found")
        accounting = result.accounting
        return ScanState(
            microscope=microscope,
            scan=scan,
            state="done",
            ended=result.ended,
            covered=accounting.covered,
            frames_seen=accounting.seen,
            frames_expected=accounting.expected,
        )
