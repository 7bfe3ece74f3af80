"""A file is opened by what it is, whatever its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import (
    BatchWriter,
    FileBlob,
    RawWriter,
    ScanHeader,
    batch_header,
    open_frames,
    sidecar_name,
)
from runstart.frames import SparseFrames


def test_each_format_is_known_by_its_first_bytes(
    tmp_path: Path, header: ScanHeader, pixels: NDArray[Any], events: SparseFrames
) -> None:
    paths = [tmp_path / f"{name}.dat" for name in ("raw", "npy", "h5", "tif", "batches")]
    with RawWriter(paths[0], header) as writer:
        writer.append(pixels)
    with paths[1].open("wb") as file:
        np.save(file, pixels)
    with h5py.File(paths[2], "w", userblock_size=512) as file:
        file["frames"] = pixels
    tifffile.imwrite(paths[3], pixels, photometric="minisblack")
    with BatchWriter(paths[4]) as batches:
        batches.write(batch_header(events, (3, 4)), events)
    counts = []
    for path in paths:
        with open_frames(str(path)) as source:
            counts.append(source.frame_count)
            assert len(source.read(0, source.frame_count)) == source.frame_count
    assert counts == [12, 12, 12, 12, 23]


def test_an_unknown_file_is_refused_with_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "scan.xyz").write_bytes(b"GIF89a, no frames")
    with pytest.raises(Alert, match=r"begins with b'GIF89a.*These are read: .*\.frames.*\.mib"):
        open_frames(tmp_path / "scan.xyz")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.npy").write_bytes(b"")
    with pytest.raises(Alert, match="is empty"):
        open_frames(tmp_path / "scan.npy")


def test_a_file_that_cannot_be_opened_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "scan.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    blob = FileBlob(tmp_path / "scan.h5")
    with pytest.raises(Alert):
        open_frames(blob)
    with pytest.raises(ValueError, match="closed"):
        blob.read(0, 1)


def test_a_file_beside_it_can_be_given(tmp_path: Path, pixels: NDArray[Any]) -> None:
    (tmp_path / "scan.raw").write_bytes(pixels.tobytes())
    (tmp_path / "other").write_text('{"scan_shape": [3, 4], "frame_shape": [6, 5], "dtype": "uint16"}')
    beside = FileBlob(tmp_path / "other")
    with open_frames(tmp_path / "scan.raw", sidecar=beside) as source:
        assert source.frame_count == 12
    beside.close()


@pytest.mark.parametrize(
    ("name", "beside"),
    [("a/scan.raw", "a/scan.json"), ("scan.BIN", "scan.json"), ("x.1.mib", "x.1.hdr"), ("scan.npy", None)],
)
def test_the_file_beside_has_a_name(name: str, beside: str | None) -> None:
    assert sidecar_name(name) == beside


def test_the_package_loads_no_library_of_a_format() -> None:
    heavy = {"h5py", "tifffile", "hdf5plugin", "boto3", "numba", "scipy"}
    code = f"import sys, runstart.frame_files; print(*{heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
