from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exposure_files import NOW, image, make_site, put
from other_user import without_rights

from runstart.file_cache import FileCache
from runstart.fits import InputFiles, UriSource
from runstart.nights import exposure_source, files_by_night, index_files
from runstart.storage import FileStore


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder into which other users may look; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_an_exposure_that_may_not_be_read_has_trouble_and_costs_nothing_else(folder: Path) -> None:
    (folder / "raw").mkdir(mode=0o755)
    (folder / "cache").mkdir()
    (folder / "cache").chmod(0o777)
    for name in ("closed", "good"):
        put(folder / "raw" / f"{name}.fits", image(np.ones((4, 4)), OBSTYPE="BIAS"))
    site = make_site(folder / "raw")
    sources = {site.name: exposure_source(site)}
    arrivals = files_by_night(site, FileStore(folder / "store"), now=NOW)["2026-03-01"]
    # Once with all rights: another user may not even import what reading needs.
    before = index_files(site, arrivals, InputFiles(sources, UriSource(), FileCache(folder / "warm", 10**8)))
    assert [exposure.trouble for exposure in before.exposures] == ["", ""]
    (folder / "raw" / "closed.fits").chmod(0)
    with without_rights():
        inputs = InputFiles(sources, UriSource(), FileCache(folder / "cache", 10**8))
        exposures = index_files(site, arrivals, inputs).exposures
    trouble = {exposure.name: exposure.trouble for exposure in exposures}
    assert trouble["good.fits"] == ""
    assert "closed.fits may not be read" in trouble["closed.fits"].replace("'", "")
