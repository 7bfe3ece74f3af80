"""Electron counting of messages: a batch of camera images, a single one, or an array of them becomes a batch of events."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from runstart.errors import Alert
from runstart.frame_messages.arrays import is_array, read_array
from runstart.frame_messages.batches import Batch, ScanInfo, batch_message, read_batch
from runstart.frames import DENSE_DTYPES, DenseFrames, SparseFrames, count_electrons
from runstart.operators import BytesMessage


def count_message(message: BytesMessage, background_threshold: float, xray_threshold: float) -> BytesMessage:
    """Return the electron events of the frames of a message; see `runstart.frames.count_electrons`.

    Parameters
    ----------
    message : BytesMessage
        A batch of frames, one frame, or an array of (rows, columns), (frames, rows, columns), or (scan rows, scan columns,
        rows, columns), which is a scan of its own.
    background_threshold, xray_threshold : float
        Pixels between them, both excluded, may be events.

    Raises
    ------
    Alert
        If it holds no camera images, or the thresholds are the wrong way round.
    """
    if background_threshold >= xray_threshold:
        what = f"background_threshold is {background_threshold:g}, and xray_threshold {xray_threshold:g}."
        raise Alert(what, "Set the first below the second.")
    batch = _whole_scan(message) if is_array(message) else read_batch(message)
    if isinstance(batch.frames, SparseFrames):
        raise Alert("The frames are electron events already.", "Wire camera images to it, or leave it out.")
    events = count_electrons(batch.frames, background_threshold, xray_threshold, threads=1)
    return batch_message(replace(batch, frames=events))


def _whole_scan(message: BytesMessage) -> Batch:
    """Return an array's frames as a scan with one batch."""
    array, meta = read_array(message)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.ndim not in (2, 3, 4) or native.dtype not in DENSE_DTYPES or not native.size:
        shape = " x ".join(map(str, native.shape))
        kinds = ", ".join(map(str, DENSE_DTYPES))
        raise Alert(f"An array of {shape}, {native.dtype}, is no camera image.", f"Send images of {kinds}.")
    scan_shape = (native.shape[0], native.shape[1]) if native.ndim == 4 else (1, math.prod(native.shape[:-2]))
    frames = DenseFrames(np.arange(math.prod(scan_shape)), native.reshape(-1, *native.shape[-2:]))
    number = meta.get("scan_number", 0)
    scan = ScanInfo(number if type(number) is int else 0, scan_shape, frames.frame_shape, len(frames))
    return Batch(scan, frames, frames.positions, 0, 1)
