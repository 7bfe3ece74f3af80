"""NumPy files of frames."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import open_frames


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.npy"


def test_four_dimensions_are_scan_and_frame(path: Path, pixels: NDArray[Any]) -> None:
    np.save(path, pixels.reshape(3, 4, 6, 5))
    with open_frames(path) as source:
        assert (source.header.scan_shape, source.header.frame_shape, source.is_closed) == ((3, 4), (6, 5), True)
        found = source.read(1, 11)
    assert found.positions.tolist() == list(range(1, 11))
    assert np.array_equal(found.pixels, pixels[1:11])


@pytest.mark.parametrize(
    ("given", "scan_shape", "each"),
    [(None, (1, 12), 1), ((2, 6), (2, 6), 1), ((2, 2), (2, 2), 3), ((4, 5), (4, 5), 1)],
)
def test_three_dimensions_are_the_scan_that_is_given(
    path: Path, pixels: NDArray[Any], given: tuple[int, int] | None, scan_shape: tuple[int, int], each: int
) -> None:
    np.save(path, pixels)
    with open_frames(path, scan_shape=given) as source:
        assert (source.header.scan_shape, source.header.frames_per_position) == (scan_shape, each)
        assert source.read(0, 12).positions.tolist() == [index // each for index in range(12)]
        assert source.is_closed


def test_a_scan_shape_that_does_not_fit_is_refused(path: Path, pixels: NDArray[Any]) -> None:
    np.save(path, pixels)
    with pytest.raises(Alert, match="12 frames, which does not fit a scan of 2 x 5"):
        open_frames(path, scan_shape=(2, 5))


@pytest.mark.parametrize("dtype", [">u2", "<u4", ">f4", "u1"])
def test_pixels_of_either_byte_order_are_read(path: Path, pixels: NDArray[Any], dtype: str) -> None:
    stored = (pixels % 200).astype(dtype)
    np.save(path, stored)
    with open_frames(path) as source:
        found = source.read(0, 12).pixels
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(found, stored)


@pytest.mark.parametrize(("dtype", "kept"), [("i2", "float32"), ("f2", "float32"), ("?", "uint8")])
def test_small_types_become_those_that_hold_their_values(path: Path, dtype: str, kept: str) -> None:
    stored = np.array([[[0, 1], [1, -7 if dtype != "?" else 1]]]).astype(dtype)
    np.save(path, stored)
    with open_frames(path) as source:
        assert source.header.dtype == kept
        assert source.sizes(0, 1).tolist() == [4 * np.dtype(kept).itemsize]
        assert np.array_equal(source.read(0, 1).pixels, stored)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 3, 4)), r"pixels of type float64\. Convert it"),
        (np.zeros((2, 3, 4), np.int32), "pixels of type int32"),
        (np.zeros((2, 3, 4), np.complex64), "elements of type '<c8'"),
        (np.zeros((2, 3, 4), [("a", "u1")]), "elements of type"),
        (np.zeros((2, 3), np.uint8), "array of 2 dimensions"),
        (np.zeros((2, 0, 3), np.uint8), "frames of 0 x 3"),
        (np.zeros((0, 2, 3), np.uint8), "a scan of 1 x 0"),
        (np.asfortranarray(np.zeros((2, 3, 4), np.uint8)), "in Fortran order"),
        (np.array([[[None]]], object), "elements of type '.O'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(path: Path, array: NDArray[Any], said: str) -> None:
    np.save(path, array)
    with pytest.raises(Alert, match=said):
        open_frames(path)


def test_a_truncated_file_gives_its_whole_frames(path: Path, pixels: NDArray[Any]) -> None:
    np.save(path, pixels)
    path.write_bytes(path.read_bytes()[:-61])
    with open_frames(path) as source:
        assert (source.look(), source.is_closed, source.header.expected) == (10, False, 12)
        assert np.array_equal(source.read(0, 10).pixels, pixels[:10])


def test_a_file_longer_than_its_header_says_is_refused(path: Path, pixels: NDArray[Any]) -> None:
    np.save(path, pixels)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Alert, match="says that it holds 12 frames"):
        open_frames(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{'descr': '<u2', 'fortran_order': False, 'shape': (1000000000, 9, 9)}",
            "claims a scan of 1 x 1000000000",
        ),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (9, 1000000000, 9)}", "claims frames of"),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (9, -9, 9)}", "which cannot be"),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (9, True, 9)}", "which cannot be"),
        ("{'descr': '<u3', 'fortran_order': False, 'shape': (9, 9, 9)}", "elements of type '<u3'"),
        ("{'descr': '<u2', 'shape': (9, 9, 9)}", "without descr"),
        ("__import__('os').abort()", "that NumPy does not write"),
        ("(" * 5000, "that NumPy does not write"),
        ("[" * 90 + "]" * 90, "without descr"),
        ("'\\N{x", "that NumPy does not write"),
    ],
)
def test_a_lying_header_is_refused(path: Path, text: str, said: str) -> None:
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    with pytest.raises(Alert, match=said):
        open_frames(path)


def test_a_file_larger_than_memory_is_opened_and_read_in_part(path: Path) -> None:
    text = "{'descr': '<u2', 'fortran_order': False, 'shape': (4000, 4000, 64, 64)}".ljust(118)
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        file.truncate(128 + math.prod((4000, 4000, 64, 64)) * 2)
        file.seek(128 + 15_999_999 * 8192)
        file.write(b"\x05\x00")
    with open_frames(path) as source:
        assert source.frame_count == 16_000_000
        assert source.read(15_999_998, 16_000_000).pixels.sum() == 5
