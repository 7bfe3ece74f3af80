"""In whatever order files arrive, grow and are replaced, and ticks fail: each whole version is handed out once."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from pathlib import Path

from exposure_files import NOW, header_only, make_site
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runstart.nights import find_new
from runstart.places import seen as seen_files
from runstart.storage import FileStore

NAMES = st.sampled_from(["a.fits", "b.fit", "c.fits.fz", "sub/d.fits", "sub/e.fts"])
DAYS = st.integers(1, 3)
SETTLE_S = 5


class Arrivals(RuleBasedStateMachine):
    """Files on a disk, a sensor, and a model that says what must have been handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.site = make_site(self.place / "raw", settle_seconds=SETTLE_S)
        self.store = FileStore(self.place / "store")
        self.now = NOW
        self.cursor = ""
        self.serial = 0
        self.small, seen_files.SMALL = seen_files.SMALL, 1
        # Of each name: the newest content, its night, and since when it has been there; None while it is half.
        self.whole: dict[str, tuple[int, str, dt.datetime] | None] = {}
        self.kept: dict[tuple[str, int], int] = {}

    def teardown(self) -> None:
        seen_files.SMALL = self.small
        shutil.rmtree(self.place)

    @rule(name=NAMES, day=DAYS, age_s=st.integers(0, 20), is_whole=st.booleans())
    def write(self, name: str, day: int, age_s: int, is_whole: bool) -> None:
        self.serial += 1
        data = header_only(f"2026-03-{day:02d}T22:00:00", SERIAL=self.serial)
        path = self.place / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if is_whole else data[: 100 + self.serial])
        # Versions must differ even if a file is written twice within the grain of the file system's clock.
        written = self.now - dt.timedelta(seconds=age_s, microseconds=self.serial)
        os.utime(path, (written.timestamp(),) * 2)
        self.whole[name] = (self.serial, f"2026-03-{day:02d}", written) if is_whole else None

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if self.whole.pop(name, None):
            (self.place / "raw" / name).unlink()

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.now += dt.timedelta(seconds=seconds)

    @rule(is_kept=st.booleans(), most=st.sampled_from([1, 2, 100]))
    def tick(self, is_kept: bool, most: int) -> None:
        found = find_new(self.site, self.cursor, self.store, now=self.now, most=most)
        handed_out = 0
        for night, arrivals in found.nights.items():
            for arrival in arrivals:
                state = self.whole[arrival.name]
                assert state is not None, "a half-written file was handed out"
                serial, of_night, written = state
                assert night == of_night
                assert (self.now - written).total_seconds() >= SETTLE_S
                assert (arrival.name, serial) not in self.kept, "a file was handed out twice"
                handed_out += 1
                if is_kept:
                    self.kept[arrival.name, serial] = 1
        assert handed_out <= most
        if handed_out < most:
            for name, state in self.whole.items():
                if state and (self.now - state[2]).total_seconds() >= SETTLE_S:
                    in_this = any(name == a.name for arrivals in found.nights.values() for a in arrivals)
                    assert in_this or (name, state[0]) in self.kept, "a whole file was not handed out"
        if is_kept:
            self.cursor = found.cursor

    @invariant()
    def the_cursor_is_short(self) -> None:
        assert len(self.cursor) < 400


Arrivals.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestArrivals = Arrivals.TestCase
