"""What kind of data a message holds, and how it is kept as a file."""

from __future__ import annotations

import io
import json

import numpy as np

from runstart.frame_messages.arrays import is_array, read_array, read_meta
from runstart.frame_messages.batches import read_batch
from runstart.frames import DenseFrames
from runstart.operators import BytesMessage

ANYTHING = "application/octet-stream"
_BEGINS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"\x93NUMPY", "application/x-npy"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"PK\x03\x04", "application/zip"),
)
_LONGEST_JSON = 1 << 24


def media_type_of(data: bytes) -> str:
    """Return the media type of data by their first bytes."""
    begin = bytes(data[:16])
    if begin.startswith(b"RIFF") and begin[8:12] == b"WEBP":
        return "image/webp"
    for start, media_type in _BEGINS:
        if begin.startswith(start):
            return media_type
    if begin.lstrip()[:1] in (b"{", b"[") and len(data) <= _LONGEST_JSON and _is_json(data):
        return "application/json"
    return ANYTHING


def as_file(message: BytesMessage) -> tuple[str, bytes]:
    """Return the media type and the content of the file that holds a message.

    Arrays are NumPy's `.npy`, batches of frames its `.npz`; all else is kept as it is.

    Parameters
    ----------
    message : BytesMessage
        Of any kind.
    """
    buffer = io.BytesIO()
    if is_array(message):
        np.save(buffer, read_array(message)[0], allow_pickle=False)
        return "application/x-npy", buffer.getvalue()
    if is_batch(message):
        frames = read_batch(message).frames
        if isinstance(frames, DenseFrames):
            np.savez(buffer, positions=frames.positions, pixels=frames.pixels)
        else:
            shape = np.array(frames.frame_shape)
            np.savez(
                buffer, events=frames.events, positions=frames.positions, starts=frames.starts, frame_shape=shape
            )
        return "application/x-npz", buffer.getvalue()
    told = read_meta(message).get("media_type")
    data = bytes(message.data)
    return (told if isinstance(told, str) and told else media_type_of(data)), data


def is_batch(message: BytesMessage) -> bool:
    """Tell whether a message says that it is a batch of frames, or a single one."""
    meta = message.header.meta
    if isinstance(meta, dict):
        return "nSTEM_rows_m1" in meta
    return b"headers" in meta and b"nSTEM_rows_m1" in meta


def _is_json(data: bytes) -> bool:
    try:
        json.loads(bytes(data))
    except ValueError:
        return False
    return True
