"""Whole files, half-written ones, and what is in them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.fits import check_structure, image_shape, is_whole, scan, write_image


def test_a_frames_hdus_are_told_without_astropy(frame: Path) -> None:
    hdus = scan(frame)
    assert [(hdu.name, hdu.kind, hdu.shape) for hdu in hdus] == [
        ("PRIMARY", "image", ()),
        ("SCI", "image", (20, 30)),
        ("ERR", "image", (20, 30)),
        ("BPM", "image", (20, 30)),
        ("CAT", "table", ()),
    ]
    data = np.fromfile(frame, ">f4", 600, offset=hdus[1].data_offset)
    assert hdus[1].data_bytes == data.nbytes
    assert np.isnan(data).sum() == 1
    assert image_shape(frame) == (20, 30)
    assert is_whole(frame)


def test_an_fpacked_image_has_the_shape_of_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    write_image(path, np.zeros((5, 7), np.uint16))
    assert image_shape(path) == (5, 7)
    assert image_shape(path, "sci") == (5, 7)
    assert scan(path)[1].kind == "compressed image"


def test_every_part_of_a_file_is_not_whole_but_those_that_end_with_an_hdu(frame: Path, tmp_path: Path) -> None:
    content = frame.read_bytes()
    ends = {hdu.offset for hdu in scan(frame)[1:]}
    part = tmp_path / "part.fits"
    for size in sorted({*range(0, len(content), 1440), *(end + 1 for end in ends), len(content) - 1}):
        part.write_bytes(content[:size])
        assert is_whole(part) == (size in ends), size


def test_a_gzipped_file_is_whole_or_not(frame: Path, tmp_path: Path) -> None:
    packed = gzip.compress(frame.read_bytes())
    path = tmp_path / "a.fits.gz"
    path.write_bytes(packed)
    assert is_whole(path)
    assert image_shape(path) == (20, 30)
    for size in (2, 100, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:size])
        with pytest.raises(Alert, match="truncated"):
            check_structure(path)


def card(text: str) -> bytes:
    return text.ljust(80).encode("latin-1")


def header(*cards: str) -> bytes:
    return b"".join(map(card, cards)) + card("END") + b" " * ((-80 * (len(cards) + 1)) % 2880)


PRIMARY = ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty: 0 bytes"),
        (b"GIF89a", "night.fits is not a FITS file"),
        (b"\x89PNG\r\n" + b"\0" * 5000, "not a FITS file"),
        (header(*PRIMARY)[:2000], "truncated"),
        (card(PRIMARY[0]) * 36 * 3, "has no end"),
        (header("SIMPLE  = T", "BITPIX  = 7", "NAXIS   = 0"), "malformed: BITPIX = 7"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = -1"), "malformed: NAXIS = -1"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1"), "NAXIS1 is missing"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = -5"), "NAXIS1 is -5, a negative length"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 'two'"), "malformed: NAXIS is \"'two'\""),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 99999999999999999"), "truncated"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 999999999"), "malformed"),
        (header(*PRIMARY) + b"\0" * 2880, "bytes that are no HDU"),
        (header(*PRIMARY) + b"XTENSION= 'IMAGE   '", "has no end"),
    ],
)
def test_what_is_wrong_is_told_by_the_files_name(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "0a1b2c"
    path.write_bytes(content)
    with pytest.raises(Alert, match=match) as caught:
        check_structure(path, label="night.fits")
    assert "night.fits" in str(caught.value)
    assert "0a1b2c" not in str(caught.value)
    assert caught.value.remedy
    assert not is_whole(path)


@settings(deadline=None)  # the disk may be slow
@given(st.binary(max_size=200), st.integers(0, 5000))
def test_no_damage_raises_anything_but_an_alert(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.fits"
    content = bytearray(
        header(*PRIMARY) + header("XTENSION= 'IMAGE'", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 4")
    )
    content += b"\0" * 2880
    content[at : at + len(noise)] = noise
    path.write_bytes(content)
    is_whole(path)
