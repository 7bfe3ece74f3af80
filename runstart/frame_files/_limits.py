"""What no scan exceeds, so that a header that lies is refused before memory is taken for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files.source import ScanHeader
from runstart.frames import DENSE_DTYPES, Shape

MOST_PIXELS = 2**26  # of a frame: 8192 x 8192
MOST_POSITIONS = 2**26  # of a scan
MOST_PER_POSITION = 2**16
MOST_FRAMES = 2**28  # of a scan
CALIBRATIONS = ("scan_step_nm", "mrad_per_pixel", "voltage_kv")

_EXACT_AS = {"bool": "uint8", "int8": "float32", "int16": "float32", "float16": "float32"}


def refused(name: str, what: str, remedy: str = "Have it written anew, or copy it again.") -> Alert:
    """Return the alert about a file whose content cannot be."""
    return Alert(f"{name} {what}.", remedy)


def check_header(header: ScanHeader, name: str) -> ScanHeader:
    """Return a header, if a scan can have it.

    Raises
    ------
    Alert
        If a shape is empty or absurd, or the pixels are of an unknown type.
    """
    for title, shape, most in (
        ("a scan", header.scan_shape, MOST_POSITIONS),
        ("frames", header.frame_shape, MOST_PIXELS),
    ):
        if len(shape) != 2 or min(shape) < 1 or math.prod(shape) > most:
            raise refused(name, f"claims {title} of {' x '.join(map(str, shape))}, which cannot be")
    if not 1 <= header.frames_per_position <= MOST_PER_POSITION:
        raise refused(name, f"claims {header.frames_per_position} frames for each position, which cannot be")
    if header.expected > MOST_FRAMES:
        raise refused(name, f"claims a scan of {header.expected:,} frames, which cannot be")
    if header.dtype not in (*map(str, DENSE_DTYPES), "sparse"):
        raise refused(name, f"claims pixels of type {header.dtype!r}, which cannot be read")
    return header


def kept_dtype(stored: np.dtype[Any], name: str) -> np.dtype[Any]:
    """Return the type in which pixels are kept: the stored one, or one that holds its values exactly.

    Raises
    ------
    Alert
        If there is none.
    """
    kind = np.dtype(_EXACT_AS.get(stored.name, stored.name))
    if kind not in DENSE_DTYPES:
        kinds = ", ".join(map(str, DENSE_DTYPES))
        remedy = f"Convert it to one of {kinds}: for example with `frames.astype('float32')` in numpy."
        raise refused(name, f"holds pixels of type {stored.name}", remedy)
    return kind


def split_shape(shape: Sequence[int], scan_shape: Shape | None, name: str) -> tuple[Shape, Shape, int]:
    """Return scan shape, frame shape and frames per position of an array of three or four dimensions.

    Parameters
    ----------
    shape : sequence of int
        (scan rows, scan columns, rows, columns), or (frames, rows, columns).
    scan_shape : tuple of int or None
        What the caller knows; without it, three dimensions are a scan of one row.
    name : str
        The file's, for messages.

    Raises
    ------
    Alert
        If the array has other dimensions, or does not fit the scan.
    """
    if len(shape) not in (3, 4):
        text = " x ".join(map(str, shape)) or "a single number"
        remedy = "Give an array of (scan rows, scan columns, rows, columns) or (frames, rows, columns)."
        raise refused(name, f"holds an array of {len(shape)} dimensions ({text})", remedy)
    frames, frame_shape = math.prod(shape[:-2]), (int(shape[-2]), int(shape[-1]))
    if scan_shape is None:
        found = (int(shape[0]), int(shape[1])) if len(shape) == 4 else (1, frames)
        return found, frame_shape, 1
    return scan_shape, frame_shape, frames_per_position(frames, scan_shape, name)


def frames_per_position(frames: int, scan_shape: Shape, name: str) -> int:
    """Return how many frames each position has; the last positions of a scan may have none.

    Raises
    ------
    Alert
        If there are more frames than positions, and no multiple of them.
    """
    positions = math.prod(scan_shape)
    if positions < 1:
        raise refused(name, f"was given the scan shape {scan_shape}", "Give the rows and columns of the scan.")
    each, left = divmod(frames, positions)
    if each and left:
        what = f"holds {frames} frames, which does not fit a scan of {scan_shape[0]} x {scan_shape[1]} positions"
        raise refused(name, what, "Correct the scan shape that was given.")
    return max(each, 1)


def check_range(start: int, stop: int, count: int) -> None:
    """Raise ValueError if a range of frames is not within those that there are."""
    if not 0 <= start <= stop <= count:
        raise ValueError(f"frames {start} to {stop} of {count}")


def positions_of(slots: NDArray[np.int64], per_position: int) -> NDArray[np.int64]:
    """Return the scan positions of slots; -1 for `NO_SLOT`."""
    return slots // per_position


def without_events(
    starts: NDArray[np.int64], events: NDArray[np.uint32], frames: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return the starts and events of sparse frames, of which some have lost their events."""
    lengths = np.diff(starts)
    is_lost = np.isin(np.arange(len(lengths)), frames)
    kept = events[~np.repeat(is_lost, lengths)]
    return np.concatenate([[0], np.cumsum(np.where(is_lost, 0, lengths))]).astype(np.int64), kept
