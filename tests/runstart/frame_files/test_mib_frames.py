"""Files of Merlin detectors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import open_frames

LENGTH = 384


def mib_header(number: int, kind: str = "U16", rows: int = 6, columns: int = 5) -> bytes:
    """Return a frame's header as Merlin's software writes it for one chip."""
    bits = {"U08": 6, "U16": 12, "U32": 24}.get(kind, 12)
    first = f"MQ1,{number:06},{LENGTH:05},01,{columns:04},{rows:04},{kind},   1x1,01,"
    rest = f"2026-05-01 12:00:00.000001,0.001000,0,0,0,1.200000E+2,5.110000E+2,{'0.000000E+0,' * 6}3RX,{bits},"
    text = (first + rest).encode()
    return text + b"\x00" * (LENGTH - len(text))


def write(path: Path, pixels: NDArray[Any], numbers: Iterable[int], kind: str = "U16") -> bytes:
    stored = pixels.astype({"U08": ">u1", "U16": ">u2", "U32": ">u4"}[kind])
    frames = zip(stored, numbers, strict=True)
    path.write_bytes(b"".join(mib_header(number, kind) + frame.tobytes() for frame, number in frames))
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.mib"


@pytest.mark.parametrize("kind", ["U08", "U16", "U32"])
def test_frames_of_each_mode_are_read(path: Path, pixels: NDArray[Any], kind: str) -> None:
    write(path, pixels % 250, range(1, 13), kind)
    with open_frames(path, scan_shape=(3, 4)) as source:
        assert (source.header.dtype, source.header.frame_shape) == (f"uint{int(kind[1:])}", (6, 5))
        found = source.read(1, 12)
        assert source.is_closed
    assert found.positions.tolist() == list(range(1, 12))
    assert np.array_equal(found.pixels, pixels[1:] % 250)


def test_dropped_frames_are_seen_by_their_numbers(path: Path, pixels: NDArray[Any]) -> None:
    write(path, pixels[:4], [1, 2, 5, 12])
    with open_frames(path, scan_shape=(3, 4)) as source:
        assert source.slots(0, 4).tolist() == [0, 1, 4, 11]
        assert source.is_closed


def test_a_frame_with_a_damaged_header_or_beyond_the_scan_has_no_slot(path: Path, pixels: NDArray[Any]) -> None:
    data = bytearray(write(path, pixels[:3], [1, 2, 13]))
    data[LENGTH + 60] = 0
    path.write_bytes(data)
    with open_frames(path, scan_shape=(3, 4)) as source:
        assert source.read(0, 3).positions.tolist() == [0, -1, -1]
        assert source.damaged == 2


def test_frames_beyond_the_scan_are_kept_out_of_it(path: Path, pixels: NDArray[Any]) -> None:
    write(path, pixels, range(1, 13))
    with open_frames(path, scan_shape=(2, 5)) as source:
        assert source.slots(0, 12).tolist() == [*range(10), -1, -1]


@pytest.mark.parametrize(
    "text",
    [
        "HDR,\t\nFrames in Acquisition (Number):\t12\nFrames per Trigger (Number):\t4\nEnd\t\n",
        "HDR,\t\r\nScanX:\t4\r\nScanY:\t3\r\nFrames in Acquisition (Number):\t1\r\nEnd\t\r\n",
    ],
)
def test_the_scans_shape_stands_in_the_file_beside(path: Path, pixels: NDArray[Any], text: str) -> None:
    write(path, pixels, range(1, 13))
    path.with_suffix(".hdr").write_bytes(text.encode())
    with open_frames(path) as source:
        assert source.header.scan_shape == (3, 4)


def test_without_it_the_scan_is_one_row_up_to_the_last_number(path: Path, pixels: NDArray[Any]) -> None:
    write(path, pixels[:3], [1, 2, 9])
    with open_frames(path) as source:
        assert source.header.scan_shape == (1, 9)


def test_a_file_beside_that_says_no_shape_is_told(path: Path, pixels: NDArray[Any]) -> None:
    write(path, pixels, range(1, 13))
    path.with_suffix(".hdr").write_text(
        "HDR,\nFrames in Acquisition (Number):\t12\nFrames per Trigger (Number):\t5\n"
    )
    with pytest.raises(Alert, match="says no scan shape"):
        open_frames(path)


def test_raw_mode_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(mib_header(1, "R64") + bytes(60))
    with pytest.raises(Alert, match=r"raw mode\. Record or export it in the modes U08"):
        open_frames(path)


def test_a_growing_file_is_followed_by_whole_frames(path: Path, pixels: NDArray[Any]) -> None:
    whole = write(path, pixels, range(1, 13))
    path.write_bytes(whole[:500])
    with open_frames(path, scan_shape=(3, 4)) as source:
        assert (source.frame_count, source.is_closed) == (1, False)
        path.write_bytes(whole[:-1])
        assert (source.look(), source.is_closed) == (11, False)
        path.write_bytes(whole)
        assert (source.look(), source.is_closed) == (12, True)
        assert source.slots(0, 12).tolist() == list(range(12))


@pytest.mark.parametrize(
    ("old", "new"), [(b",0005,0006,", b",0000,0006,"), (b",00384,", b",00005,"), (b",0005,0006,", b",9999,9999,")]
)
def test_a_lying_header_is_refused(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(mib_header(1).replace(old, new) + bytes(60))
    with pytest.raises(Alert, match="cannot be"):
        open_frames(path)
