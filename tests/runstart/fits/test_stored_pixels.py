"""Where an image's pixels lie and how they are stored, from as little of the file as that takes."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.fits import StoredPixels, image_shape, is_whole, locate_image, scan, stored_pixels

WHOLE = fits.PrimaryHDU(np.zeros((4, 5), np.uint16)).header.tostring().encode() + bytes(2880)


def test_the_image_is_that_of_a_whole_scan(frame: Path) -> None:
    hdu = locate_image(frame)

    assert hdu == scan(frame)[1]
    assert hdu.shape == image_shape(frame)
    assert stored_pixels(hdu, "a") == StoredPixels(-32, 1.0, 0.0, None, is_compressed=False, tile_rows=1)


@pytest.mark.parametrize(("tile_rows", "told"), [(1, 1), (5, 5), (12, 10)])
def test_tiles_of_an_fpacked_image_are_told(tmp_path: Path, tile_rows: int, told: int) -> None:
    path = tmp_path / "a.fits"
    image = fits.CompImageHDU(np.zeros((10, 7), np.uint16), tile_shape=(min(tile_rows, 10), 7), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    if tile_rows > 10:
        was, becomes = f"ZTILE2  = {10:20}", f"ZTILE2  = {tile_rows:20}"
        path.write_bytes(path.read_bytes().replace(was.encode(), becomes.encode()))

    stored = stored_pixels(locate_image(path), "a")

    assert stored == StoredPixels(16, 1.0, 32768.0, None, is_compressed=True, tile_rows=told)


@pytest.mark.parametrize(
    ("card", "match"),
    [
        ("BSCALE  = 'one'", r"night\.fits is malformed: BSCALE is"),
        ("BSCALE  = T", "BSCALE is 'T'"),
        ("BZERO   = NaN", "BZERO is 'NaN'"),
        ("BZERO   = 1_0", "BZERO is '1_0'"),
        ("BZERO   =", "BZERO is ''"),
    ],
)
def test_a_scale_that_is_no_number_is_an_alert(tmp_path: Path, card: str, match: str) -> None:
    hdu = locate_image(_with_card(tmp_path, card))

    with pytest.raises(Alert, match=match):
        stored_pixels(hdu, "night.fits")


@pytest.mark.parametrize(
    ("card", "scale", "zero"),
    [
        ("BSCALE  = 2.5D-1 / of the detector", 0.25, 0.0),
        ("BZERO   =                32768", 1.0, 32768.0),
        ("BZERO   = -.5e+1/", 1.0, -5.0),
    ],
)
def test_numbers_are_read_as_the_standard_writes_them(tmp_path: Path, card: str, scale: float, zero: float) -> None:
    stored = stored_pixels(locate_image(_with_card(tmp_path, card)), "a")

    assert (stored.scale, stored.zero) == (scale, zero)


def test_what_lies_behind_the_image_may_be_missing(frame: Path) -> None:
    hdu = scan(frame)[1]
    content = frame.read_bytes()

    for size in (hdu.data_offset + hdu.data_bytes, hdu.end, hdu.end + 100, len(content) - 1):
        frame.write_bytes(content[:size])
        assert locate_image(frame) == hdu
    frame.write_bytes(content[: hdu.data_offset + hdu.data_bytes - 1])
    with pytest.raises(Alert, match=r"frame\.fits is truncated"):
        locate_image(frame)


def test_a_gzipped_file_is_an_alert_that_says_to_unpack_it(frame: Path) -> None:
    frame.write_bytes(gzip.compress(frame.read_bytes()))

    assert is_whole(frame)
    with pytest.raises(Alert, match=r"frame\.fits is packed with gzip.*gunzip"):
        locate_image(frame)


@settings(deadline=None)  # the disk may be slow
@given(st.binary(min_size=1, max_size=100), st.integers(0, 3000))
def test_no_damage_raises_anything_but_an_alert(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged-image.fits"
    content = bytearray(WHOLE)
    content[at : at + len(noise)] = noise
    path.write_bytes(content)
    with contextlib.suppress(Alert):
        stored_pixels(locate_image(path), "a")


def _with_card(folder: Path, card: str) -> Path:
    path = folder / "a.fits"
    header = fits.PrimaryHDU(np.zeros((4, 5), np.int16)).header.tostring().encode()
    end = header.index(b"END" + b" " * 77)
    path.write_bytes((header[:end] + card.ljust(80).encode() + header[end:])[:2880] + bytes(2880))
    return path
