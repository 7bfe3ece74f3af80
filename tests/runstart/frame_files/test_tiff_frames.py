"""TIFF stacks of frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import open_frames


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.tif"


STORED: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "ImageJ": {"imagej": True},
    "BigTIFF": {"bigtiff": True},
    "deflate": {"compression": "zlib"},
    "tiles": {"tile": (16, 16)},
    "pages apart": {"metadata": None},
}


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_pages_are_frames_however_they_are_stored(
    path: Path, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    with open_frames(path, scan_shape=(3, 4)) as source:
        assert (source.header.scan_shape, source.frame_count) == ((3, 4), 12)
        found = source.read(2, 11)
    assert found.positions.tolist() == list(range(2, 11))
    assert found.pixels.dtype == np.uint16
    assert np.array_equal(found.pixels, pixels[2:11])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_four_dimensions_are_scan_and_frame(path: Path, pixels: NDArray[Any], options: dict[str, Any]) -> None:
    tifffile.imwrite(path, pixels.reshape(3, 4, 6, 5), photometric="minisblack", **options)
    with open_frames(path) as source:
        assert source.header.scan_shape == (3, 4)
        assert np.array_equal(source.read(0, 12).pixels, pixels)


def test_images_in_colour_are_refused(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((4, 8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(Alert, match="in colour"):
        open_frames(path)


def test_several_stacks_are_refused(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
        writer.write(np.zeros((3, 4, 4), np.uint8), photometric="minisblack")
    with pytest.raises(Alert, match="holds 2 stacks"):
        open_frames(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}])
def test_a_truncated_file_gives_whole_frames_or_an_alert(
    path: Path, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    whole = path.read_bytes()
    for length in range(8, len(whole), 23):
        path.write_bytes(whole[:length])
        try:
            with open_frames(path) as source:
                for index in range(source.frame_count):
                    assert np.array_equal(source.read(index, index + 1).pixels[0], pixels[index])
        except Alert:
            continue


def test_several_threads_read_one_source(path: Path, pixels: NDArray[Any]) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", compression="zlib")
    with open_frames(path) as source, ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda index: source.read(index, index + 1).pixels[0], list(range(12)) * 5))
    assert np.array_equal(read, np.concatenate([pixels] * 5))
