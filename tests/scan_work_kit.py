"""Small scans on disk, microscopes to process them with, and what plain numpy says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import RawWriter, ScanHeader
from runstart.frames import Counting, Crop, Detector, Recipe
from runstart.microscopes import Microscope
from runstart.scans import ScanRecord, ScanWork
from runstart.storage import FileStore

SCAN_SHAPE, FRAME_SHAPE = (5, 6), (16, 12)
FRAMES = SCAN_SHAPE[0] * SCAN_SHAPE[1]
DETECTORS = (Detector(name="bright_field", outer=4), Detector(name="dark_field", inner=4, outer=7))
PLAIN = Recipe(center=(7.5, 5.5), detectors=DETECTORS)
COUNTED = Recipe(
    counting=Counting(background_threshold=100, xray_threshold=900),
    detectors=DETECTORS,
    crop=Crop(shape="circle", radius=6),
)


def draw_frames(seed: int = 0, frames: int = FRAMES) -> NDArray[np.uint16]:
    """Return frames in which some pixels are far above the others."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (frames, *FRAME_SHAPE), np.uint16)
    hits = rng.random(pixels.shape) < 0.05
    pixels[hits] = rng.integers(150, 800, int(hits.sum()), np.uint16)
    return pixels


def make_header(**changes: Any) -> ScanHeader:
    """Return the header of a small scan."""
    return ScanHeader(**{"scan_shape": SCAN_SHAPE, "frame_shape": FRAME_SHAPE, "dtype": "uint16"} | changes)


def write_scan(
    path: Path, pixels: NDArray[np.uint16], slots: NDArray[np.int64] | None = None, *, closed: bool = True
) -> Path:
    """Write a `.frames` file; without `closed` as if its writer had been killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = RawWriter(path, make_header())
    writer.append(pixels, slots)
    writer.flush()
    if closed:
        writer.close()
    else:
        writer.abandon()
    return path


def damage_frame(path: Path, pixels: NDArray[np.uint16]) -> None:
    """Change one byte of the frame that has these pixels."""
    data = bytearray(path.read_bytes())
    data[data.index(pixels.tobytes())] ^= 0xFF
    path.write_bytes(data)


def make_microscope(folder: Path, recipe: Recipe = PLAIN, **changes: Any) -> Microscope:
    """Return a microscope whose scans lie in a folder; a batch holds eight frames."""
    fields = {"name": "SIMSTEM", "scans": f"file:{folder}", "recipe": recipe, "threads": 2}
    return Microscope(**fields | {"settle_seconds": 0.2, "give_up_seconds": 0.6, "display_interval": 0.2} | changes)


def make_work(path: Path, recipe: Recipe = PLAIN, *, frames_per_batch: int = 8, **changes: Any) -> ScanWork:
    """Return the work on a file, with a store beside it."""
    size = frames_per_batch * FRAME_SHAPE[0] * FRAME_SHAPE[1] * 2
    microscope = make_microscope(path.parent, recipe, **changes).model_copy(update={"batch_bytes": size})
    record = ScanRecord("SIMSTEM", path.name, path.name, version="v1", found_at=0.0)
    return ScanWork(microscope, record, FileStore(path.parent / "store"), local=path)


def count_plainly(frame: NDArray[Any], background: float, xray: float) -> NDArray[np.uint32]:
    """Return the events of one frame, as numpy would count them."""
    kept = np.where((frame > background) & (frame < xray), frame.astype(np.int64), 0)
    padded = np.pad(kept, 1, constant_values=-1)
    rows, columns = frame.shape
    neighbours = np.stack(
        [
            padded[1 + dr : 1 + dr + rows, 1 + dc : 1 + dc + columns]
            for dr in (-1, 0, 1)
            for dc in (-1, 0, 1)
            if (dr, dc) != (0, 0)
        ]
    )
    return np.flatnonzero((kept > 0) & (kept > neighbours.max(axis=0))).astype(np.uint32)
