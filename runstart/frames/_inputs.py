"""Frames as the functions of this package take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames.model import DENSE_DTYPES, MISSING_POSITION, DenseFrames, Frames, Shape, SparseFrames


def to_frames(frames: Frames | NDArray[Any], scan_shape: Shape | None = None) -> Frames:
    """Return frames, checked; those of a plain array belong to positions 0, 1, 2 and so on.

    Parameters
    ----------
    frames : DenseFrames, SparseFrames or ndarray
        An array is of shape `(n, rows, columns)` or `(scan_rows, scan_columns, rows, columns)`.
    scan_shape : tuple of int, optional
        Rows and columns of the scan.

    Raises
    ------
    ValueError
        If shapes or types do not fit.
    """
    if not isinstance(frames, DenseFrames | SparseFrames):
        frames = _from_array(np.asarray(frames), scan_shape)
    check_frames(frames)
    if scan_shape is not None:
        _check_scan(frames, scan_shape)
    return frames


def check_frames(frames: Frames) -> None:
    """Raise ValueError if frames are not as their class says: what is compiled does not look again."""
    _check_vector("positions", frames.positions, np.int64)
    if min(frames.frame_shape) < 1:
        raise ValueError(f"frames of {frames.frame_shape[0]} x {frames.frame_shape[1]} have no pixels")
    if len(frames) and frames.positions.min() < MISSING_POSITION:
        raise ValueError(f"{frames.positions.min()} is no scan position")
    if isinstance(frames, DenseFrames):
        _check_dense(frames)
    else:
        _check_sparse(frames)


def outside_frame(frames: SparseFrames, at: int) -> ValueError:
    """Return the error of an event, by its index among all, that is no pixel of its frame."""
    frame = int(np.searchsorted(frames.starts, at, side="right")) - 1
    rows, columns = frames.frame_shape
    return ValueError(
        f"event {at - frames.starts[frame]} of frame {frame} is pixel {frames.events[at]}, "
        f"outside a frame of {rows} x {columns}"
    )


def dense_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the type of dense frames; raise ValueError if it is another."""
    found: np.dtype[Any] = np.dtype(dtype)
    if found not in DENSE_DTYPES:
        raise ValueError(f"frames are of {', '.join(map(str, DENSE_DTYPES))}, not {found}")
    return found


def _from_array(array: NDArray[Any], scan_shape: Shape | None) -> DenseFrames:
    if array.ndim not in (3, 4):
        raise ValueError(f"an array of frames has 3 or 4 axes, not {array.ndim}")
    if array.ndim == 4 and scan_shape is not None and array.shape[:2] != tuple(scan_shape):
        raise ValueError(f"frames of a scan of {array.shape[:2]}, not {tuple(scan_shape)}")
    pixels = np.ascontiguousarray(array, dense_dtype(array.dtype.newbyteorder("=")))
    pixels = pixels.reshape(-1, *array.shape[-2:]) if array.size else pixels.reshape(0, *array.shape[-2:])
    return DenseFrames(np.arange(len(pixels), dtype=np.int64), pixels)


def _check_scan(frames: Frames, scan_shape: Shape) -> None:
    count = scan_shape[0] * scan_shape[1]
    if min(scan_shape) < 1:
        raise ValueError(f"a scan of {scan_shape[0]} x {scan_shape[1]} has no positions")
    if len(frames) and frames.positions.max() >= count:
        raise ValueError(f"position {frames.positions.max()} is not of a scan of {scan_shape[0]} x {scan_shape[1]}")


def _check_dense(frames: DenseFrames) -> None:
    pixels = frames.pixels
    dense_dtype(pixels.dtype)
    if pixels.ndim != 3 or len(pixels) != len(frames.positions):
        raise ValueError(f"{len(frames.positions)} frames have pixels of shape {pixels.shape}")
    if not pixels.flags.c_contiguous or not pixels.dtype.isnative:
        raise ValueError("pixels are C-contiguous, and in the byte order of the machine")


def _check_sparse(frames: SparseFrames) -> None:
    starts = frames.starts
    _check_vector("starts", starts, np.int64)
    _check_vector("events", frames.events, np.uint32)
    if len(starts) != len(frames) + 1:
        raise ValueError(f"{len(frames)} frames have {len(frames) + 1} starts, not {len(starts)}")
    if starts[0] < 0 or starts[-1] > len(frames.events) or (np.diff(starts) < 0).any():
        raise ValueError(f"starts do not ascend from 0 to the {len(frames.events)} events")


def _check_vector(name: str, array: NDArray[Any], dtype: Any) -> None:
    if array.ndim != 1 or array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"{name} are a contiguous array of {np.dtype(dtype)} with one axis")
