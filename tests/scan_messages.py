"""Scans of electron events, and messages of them, for tests of operators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runstart.frame_files import BatchedFrameHeader, decode_batch, split_scan
from runstart.frame_messages import Batch, ScanInfo, batch_message
from runstart.frames import DenseFrames, SparseFrames
from runstart.operators import BytesMessage

OPERATORS = Path(__file__).parents[1] / "operators"
SCAN, FRAME = (6, 7), (24, 30)


def run_py(name: str) -> Path:
    """Return the code of an operator that ships."""
    return OPERATORS / name / "run.py"


def make_events(seed: int = 1, each: int = 1, positions: Sequence[int] | None = None) -> SparseFrames:
    """Return frames of a scan of 6 x 7 positions: events about a drifting beam, some frames without any."""
    chance = np.random.default_rng(seed)
    placed = np.repeat(np.arange(SCAN[0] * SCAN[1]) if positions is None else np.array(positions), each)
    lengths = chance.integers(0, 40, len(placed)) * (chance.random(len(placed)) > 0.1)
    owner = np.repeat(np.arange(len(placed)), lengths)
    rows = np.clip(chance.normal(11 + placed[owner] % 3, 4), 0, FRAME[0] - 1).astype(np.uint32)
    columns = np.clip(chance.normal(15 + placed[owner] % 5, 5), 0, FRAME[1] - 1).astype(np.uint32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return SparseFrames(placed.astype(np.int64), starts, rows * np.uint32(FRAME[1]) + columns, FRAME)


def make_images(seed: int = 1, dtype: str = "uint16") -> DenseFrames:
    """Return camera images of a scan of 6 x 7 positions."""
    pixels = np.random.default_rng(seed).integers(0, 200, (SCAN[0] * SCAN[1], *FRAME)).astype(dtype)
    return DenseFrames(np.arange(len(pixels)), pixels)


def scan_info(number: int = 1, total: int | None = None) -> ScanInfo:
    """Return the scan of 6 x 7 positions."""
    return ScanInfo(number, SCAN, FRAME, total)


def to_messages(
    events: SparseFrames, number: int = 1, size: int = 500, total: int | None = None
) -> list[BytesMessage]:
    """Return events as batches of whole positions."""
    scan = scan_info(number, total)
    return [batch_message(Batch(scan, part)) for part in split_scan(events, size)]


def images_message(frames: DenseFrames, first: int = 0, last: int | None = None) -> BytesMessage:
    """Return some images as one batch."""
    part = DenseFrames(frames.positions[first:last], frames.pixels[first:last])
    return batch_message(Batch(scan_info(), part))


def read_as_others(message: BytesMessage) -> tuple[BatchedFrameHeader, SparseFrames | DenseFrames]:
    """Return a batch as who knows only MessagePack reads it."""
    return decode_batch(bytes(message.header.meta), bytes(message.data))
