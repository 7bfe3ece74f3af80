"""Small FITS files, and a site that they arrive at, for tests."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

from runstart.nights import Site

NOW = dt.datetime(2026, 6, 1, 9, 0, tzinfo=dt.UTC)
"""Some months after the exposures; nothing of a test depends on the clock."""


def make_site(folder: Path, **changes: Any) -> Site:
    fields = {"name": "OBS", "first_night": dt.date(2026, 1, 1), "exposures": f"file:{folder}"}
    return Site(**(fields | changes))


def header_only(time: str | None = "2026-03-01T22:00:00", **cards: str | int) -> bytes:
    """Return a FITS file without data."""
    values: dict[str, str | int] = dict(cards)
    if time is not None:
        values["DATE-OBS"] = time
    lines = [f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:>20}", f"{'NAXIS':8}= {0:>20}"]
    lines += [
        f"{key:8}= '{value}'" if isinstance(value, str) else f"{key:8}= {value:>20}"
        for key, value in values.items()
    ]
    text = "".join(line.ljust(80) for line in [*lines, "END"])
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


def put(path: Path, data: bytes, modified: dt.datetime = NOW - dt.timedelta(days=90)) -> None:
    """Write a file, with its time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (modified.timestamp(),) * 2)


def image(data: Any, *, packed: bool = False, time: str | None = "2026-03-01T22:00:00", **cards: Any) -> bytes:
    """Return a FITS file with an image."""
    import io

    from astropy.io import fits

    header = fits.Header(list(cards.items()))
    if time is not None:
        header["DATE-OBS"] = time
    buffer = io.BytesIO()
    if packed:
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header, name="SCI")])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(data, header)])
    hdus.writeto(buffer)
    return buffer.getvalue()
