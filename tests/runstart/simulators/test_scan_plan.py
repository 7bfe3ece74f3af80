from __future__ import annotations

import dataclasses
import datetime as dt
import re
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.simulators.scan_plan import FrameFormat, ScanPlan, next_scan_number, parse_started

PLAN = ScanPlan(started=dt.datetime(2026, 7, 19, 20, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"started": dt.datetime(2026, 7, 19)}, "has no time zone"),
        ({"number": 1_000_000}, "1e+06 as its number"),
        ({"scan_shape": (0, 64)}, "0x64 positions"),
        ({"scan_shape": (4096, 4097)}, "4096x4097 positions"),
        ({"scan_shape": (4096, 4096), "frames_per_position": 2}, "3.35544e+07 frames"),
        ({"frame_shape": (8, 64)}, "8x64 pixels"),
        ({"frames_per_position": 0}, "0 frames per position"),
        ({"electrons": float("nan")}, "nan electrons"),
        ({"vacuum": 1.5}, "1.5 as its part of vacuum"),
        ({"phase_rad": -1.0}, "-1 radians"),
        ({"scan_step_nm": 0.0}, "0 nanometres"),
        ({"drift_px": float("inf")}, "inf pixels of drift"),
        ({"dead_pixels": 1001}, "1001 dead pixels"),
        ({"xrays": -0.1}, "-0.1 x-rays"),
        ({"dropped": 1.1}, "1.1 as its part of dropped"),
        ({"break_off": -0.1}, "-0.1 as its part before it breaks off"),
        ({"rate": 0.001}, "0.001 frames a second"),
        ({"seed": -1}, "-1 as its seed"),
        ({"format": FrameFormat.NPY, "dropped": 0.1}, "npy has one frame for each slot"),
        ({"format": FrameFormat.HDF5, "break_off": 0.5}, "hdf5 has one frame for each slot"),
        ({"format": FrameFormat.NPY, "frames_per_position": 2}, "npy has one frame per position"),
    ],
)
def test_a_value_out_of_range_is_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(Alert, match=re.escape(told)):
        dataclasses.replace(PLAN, **values)


@pytest.mark.parametrize("form", list(FrameFormat))
def test_a_file_is_named_by_number_and_format(form: FrameFormat) -> None:
    suffix = {FrameFormat.HDF5: "h5"}.get(form, form.value)
    assert dataclasses.replace(PLAN, number=37, format=form).file_name == f"scan_000037.{suffix}"


def test_the_next_number_is_above_all_scans_and_truths(tmp_path: Path) -> None:
    folder, truth = tmp_path / "scans", tmp_path / "truth"
    assert next_scan_number(folder, truth) == 1
    for path in (folder / "scan_000003.frames", folder / "scan_x.frames", truth / "scan_000007-truth.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (folder / "scan_000009_final.frames").write_text("")
    assert (next_scan_number(folder), next_scan_number(folder, truth)) == (4, 8)


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Alert, match="cannot be read"):
        next_scan_number(tmp_path / "file")


@settings(max_examples=30)
@example(dt.datetime(2000, 10, 29, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Oslo")))
@given(
    st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2100, 1, 1), timezones=st.timezones(), allow_imaginary=False)
)
def test_a_start_is_written_in_utc_and_read_back(started: dt.datetime) -> None:
    text = dataclasses.replace(PLAN, started=started).started_text
    assert text.endswith("Z")
    # Not compared across zones: Python calls an hour that comes twice unequal to itself there.
    assert parse_started(text) == started.astimezone(dt.UTC)


def test_a_start_without_time_zone_is_in_utc() -> None:
    assert parse_started("2026-07-19T20:00:00") == PLAN.started


@pytest.mark.parametrize("text", ["", "tonight", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_another_text_is_no_time(text: str) -> None:
    with pytest.raises(Alert, match="no time"):
        parse_started(text)


def test_a_scan_takes_as_long_as_its_frames_need() -> None:
    assert dataclasses.replace(PLAN, rate=64.0, frames_per_position=2).duration == dt.timedelta(seconds=128)
