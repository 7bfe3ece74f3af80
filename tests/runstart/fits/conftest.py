"""A FITS file as observatories write them, and a real HTTP server that speaks the archive's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from archive_kit import FakeArchive, HttpServer, http_server


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """A small observatory frame: an empty primary HDU, SCI with NaN, ERR, BPM and CAT."""
    from astropy.io import fits

    rng = np.random.default_rng(4)
    data = rng.normal(1000, 30, (20, 30)).astype(np.float32)
    data[3, 4] = np.nan
    sci = fits.ImageHDU(data, name="SCI")
    sci.header["FILTER"] = "rp"
    catalogue = np.array([(1, 2.5, "star"), (2, 3.5, "galaxy")], [("id", "i4"), ("x", "f8"), ("kind", "U6")])
    path = tmp_path / "frame.fits"
    planes = [
        fits.ImageHDU(np.sqrt(np.abs(data)), name="ERR"),
        fits.ImageHDU(np.isnan(data).astype(np.uint8), name="BPM"),
        fits.BinTableHDU(catalogue, name="CAT"),
    ]
    fits.HDUList([fits.PrimaryHDU(), sci, *planes]).writeto(path)
    return path


@pytest.fixture
def http_servers() -> Iterator[Callable[[], HttpServer]]:
    """Starts HTTP servers on loopback."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(http_server())


@pytest.fixture
def archive(http_servers: Callable[[], HttpServer]) -> FakeArchive:
    fake = FakeArchive(http_servers(), http_servers())
    fake.api.answer("/api/frames/", fake.query)
    return fake
