"""Simulated nights in a folder, and a workplace in which they are reduced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from runstart.nights.checks import CHECKS, Verdict
from runstart.nights.record import Record
from runstart.nights.site import Limits, Site
from runstart.nights.steps import make_night
from runstart.nights.work import NightWork
from runstart.operation_kit import Workplace, find_output
from runstart.simulators.night import NightPlan, NightTruth, simulate_night

NIGHT = "2026-03-28"
SHAPE = (160, 192)
COLORS = {"gp": (0, 90, 255), "rp": (255, 120, 0)}


@dataclass
class Observatory:
    """A site with its folder of exposures, and where its nights are reduced."""

    site: Site
    exposures: Path
    workplace: Workplace

    def simulate(self, night: str = NIGHT, **plan: Any) -> NightTruth:
        few = {"shape": SHAPE, "filters": ("gp", "rp"), "objects": 1, "biases": 5, "darks": 3, "flats": 3}
        asked = NightPlan(date=date.fromisoformat(night), site=self.site.name, **{**few, **plan})
        return simulate_night(self.exposures, asked)

    def work(self, night: str = NIGHT) -> NightWork:
        return NightWork(self.site, night, self.workplace)

    def make(self, night: str = NIGHT) -> dict[str, Record]:
        return make_night(self.work(night))

    def open(self, basename: str) -> Any:
        from runstart.fits import read_image

        store: Any = self.workplace.store
        return read_image(store.root / find_output(store, basename))


def open_observatory(folder: Path, **limits: Any) -> Observatory:
    from runstart.file_cache import FileCache
    from runstart.fits import FolderSource, InputFiles, StoreSource, UriSource
    from runstart.storage import FileStore

    exposures = folder / "exposures"
    exposures.mkdir()
    asked = {"biases": 5, "darks": 3, "flats": 3, "bias_noise": 10.0, **limits}
    site = Site(
        name="hill",
        first_night=date(2026, 1, 1),
        exposures=f"file:{exposures}",
        settle_seconds=0.0,
        limits=Limits(**asked),
        colors=COLORS,
    )
    store = FileStore(folder / "store")
    sources = {
        "store": StoreSource("store", store, lambda basename: find_output(store, basename)),
        site.name: FolderSource(site.name, exposures),
    }
    inputs = InputFiles(sources, UriSource([], ()), FileCache(folder / "cache", 2**26))
    return Observatory(site, exposures, Workplace(store, inputs, folder / "scratch", memory_limit=2**26))


def judge_night(site: Site, records: Mapping[str, Record]) -> dict[str, Verdict]:
    """Return the verdicts of all checks, by `ASSET.CHECK`."""
    return {f"{check.asset}.{check.name}": check.judge(site, records) for check in CHECKS}
