"""When an exposure began, from the blocks of a file."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import numpy as np
import pytest
from exposure_files import header_only, image
from hypothesis import given
from hypothesis import strategies as st

from runstart.nights._header import find_time, read_primary, reader

TIME = dt.datetime(2026, 3, 1, 22, tzinfo=dt.UTC)


def time_of(data: bytes, *keywords: str) -> dt.datetime | None:
    return find_time(reader(io.BytesIO(data)), keywords or ("DATE-OBS",))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T22:00:00", TIME),
        ("2026-03-01T22:00:00.000", TIME),
        ("2026-03-01T22:00:00Z", TIME),
        ("2026-03-01 22:00", TIME),
        ("2026-03-01T21:59:60.0", TIME),
        ("2026-03-01T22:00:00.25", TIME + dt.timedelta(seconds=0.25)),
    ],
)
def test_a_date_with_a_time_is_understood(text: str, time: dt.datetime) -> None:
    assert time_of(header_only(text)) == time


@pytest.mark.parametrize("keyword", ["TIME-OBS", "UTSTART", "UT"])
def test_a_date_takes_its_time_from_beside(keyword: str) -> None:
    assert time_of(header_only("2026-03-01", **{keyword: "22:00:00.0"})) == TIME


@pytest.mark.parametrize(
    "text", ["2026-03-01", "01/03/26", "2026-02-30T00:00:00", "2026-03-01T24:00:00", "", "0001-01-01T00:00:00"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert time_of(header_only(text)) is None


def test_days_count_if_the_keyword_says_which() -> None:
    data = header_only(None, **{"MJD-OBS": "x"}).replace(b"'x'".ljust(12), b"61100.5     ")
    assert time_of(data, "MJD-OBS") == dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    julian = header_only(None, JD="x").replace(b"'x'".ljust(12), b"2461101.0   ")
    assert time_of(julian, "JD") == dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    assert time_of(header_only(None, EPOCH=61100), "EPOCH") is None


def test_the_first_keyword_that_is_there_counts() -> None:
    data = header_only("2026-03-01T22:00:00", **{"DATE-BEG": "2026-03-01T23:00:00"})
    assert time_of(data, "UTC-OBS", "DATE-BEG", "DATE-OBS") == TIME + dt.timedelta(hours=1)


@pytest.mark.parametrize("packed", [False, True])
def test_astropys_files_are_understood(packed: bool) -> None:
    data = image(np.zeros((50, 60), np.uint16), packed=packed)
    assert time_of(data) == TIME


def test_a_later_hdu_is_found_behind_data() -> None:
    from astropy.io import fits

    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(np.zeros((70, 80), np.float32)),
            fits.BinTableHDU.from_columns([fits.Column("x", "D", array=np.zeros(500))]),
            fits.ImageHDU(np.zeros((3, 3)), fits.Header([("DATE-OBS", "2026-03-01T22:00:00")])),
        ]
    )
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    assert time_of(buffer.getvalue()) == TIME


def test_long_headers_are_read_to_their_end() -> None:
    cards = {f"K{number}": number for number in range(2000)}
    data = header_only(None, **cards, **{"DATE-OBS": "2026-03-01T22:00:00"})
    assert time_of(data) == TIME


@given(st.binary(max_size=6000))
def test_nothing_raises_whatever_the_file_holds(data: bytes) -> None:
    assert time_of(data) is None
    time_of(header_only()[:160] + data)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"), max_size=60))
def test_nothing_raises_whatever_the_date_says(text: str) -> None:
    time_of(header_only(text))
    time_of(header_only("2026-03-01", UT=text))


@given(st.lists(st.integers(-(10**19), 10**19), min_size=1, max_size=4), st.integers(-(10**12), 10**12))
def test_absurd_sizes_end_the_search(axes: list[int], bitpix: int) -> None:
    cards = "".join(f"NAXIS{n:<3}= {axis:>20}".ljust(80) for n, axis in enumerate(axes, start=1))
    text = "SIMPLE  =                    T".ljust(80) + f"BITPIX  = {bitpix:>20}".ljust(80)
    text += f"NAXIS   = {len(axes):>20}".ljust(80) + cards + "END"
    time_of(text.ljust(2880).encode())


def test_the_primary_header_has_text_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(header_only(OBJECT="M 31  ", GAIN=2))
    assert {"OBJECT": "M 31", "GAIN": 2.0}.items() <= read_primary(path).items()
    path.write_bytes(b"")
    assert read_primary(path) == {}
