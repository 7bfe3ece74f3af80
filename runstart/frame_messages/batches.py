"""Batches of frames as messages: the header in MessagePack as meta, and the frames' bytes one behind the other.

What `runstart.frame_files.encode_batch` writes, and interactEM, is read too; headers as this module writes them are read
without a look at each frame. A single frame, with its header as JSON, is read as a batch of one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from runstart.errors import Alert
from runstart.frame_files import BatchedFrameHeader, FrameHeader, decode_batch
from runstart.frame_messages._packed import NUMBERS, pack_headers, unpack_headers
from runstart.frames import DenseFrames, Frames, Shape, SparseFrames
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.messages import BytesLike

_EVENT = np.dtype("<u4")
_X, _ROW, _SIZE, _NUMBER = NUMBERS


class ScanInfo(NamedTuple):
    """The scan that a message belongs to.

    Attributes
    ----------
    scan_number : int
        By which messages of one scan are known.
    scan_shape, frame_shape : tuple of int
        Rows and columns of the scan, and of a frame.
    total_frames : int or None
        Frames that are sent in all; None if that is not known.
    """

    scan_number: int
    scan_shape: Shape
    frame_shape: Shape
    total_frames: int | None = None

    @property
    def positions(self) -> int:
        """Scan positions in all."""
        return math.prod(self.scan_shape)


@dataclass(frozen=True)
class Batch:
    """Frames of some positions of a scan.

    Attributes
    ----------
    scan : ScanInfo
        Their scan.
    frames : SparseFrames or DenseFrames
        At least one.
    numbers : ndarray of int64, shape (n,), or None
        The number of each frame in the scan.
    index, total : int or None
        Which batch of the scan it is, and how many there are.
    """

    scan: ScanInfo
    frames: Frames
    numbers: NDArray[np.int64] | None = None
    index: int | None = None
    total: int | None = None


def batch_message(batch: Batch) -> BytesMessage:
    """Return a batch as a message.

    Raises
    ------
    ValueError
        If it has no frame, a position lies outside the scan, or an event outside the frame.
    """
    frames, scan = batch.frames, batch.scan
    if not len(frames):
        raise ValueError("a batch has at least one frame")
    if not 0 <= frames.positions.min() <= frames.positions.max() < scan.positions:
        raise ValueError(f"a position outside the scan of {scan.scan_shape}")
    sizes, dtype, data = _encoded(frames)
    numbers = {
        _X: frames.positions % scan.scan_shape[1],
        _ROW: frames.positions // scan.scan_shape[1],
        _SIZE: sizes,
    }
    if batch.numbers is not None:
        numbers[_NUMBER] = batch.numbers
    common = {
        "scan_number": scan.scan_number,
        "nSTEM_positions_per_row_m1": scan.scan_shape[1],
        "nSTEM_rows_m1": scan.scan_shape[0],
        "modules": [0, 1, 2, 3],
        "frame_shape": list(scan.frame_shape),
        "dtype": dtype,
    }
    about = {
        "scan_number": scan.scan_number,
        "batch_size_bytes": len(data),
        "total_batches": batch.total,
        "total_frames": scan.total_frames,
        "current_batch_index": batch.index,
    }
    known = {key: value for key, value in about.items() if value is not None}
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(known) + 1)
    for key, value in known.items():
        packer.pack(key)
        packer.pack(value)
    packer.pack("headers")
    return BytesMessage(MessageHeader(meta=packer.bytes() + pack_headers(common, numbers)), data)


def read_batch(message: BytesMessage) -> Batch:
    """Return the batch, or the single frame, of a message.

    Raises
    ------
    Alert
        If it is neither, is damaged, or says what cannot be.
    """
    meta = message.header.meta
    if isinstance(meta, dict):
        return _slow(_single(meta, len(message.data)), message.data)
    packed = unpack_headers(meta)
    batch = None if packed is None else _fast(*packed, message.data)
    # Whatever is odd about it, the careful way tells.
    return _slow(meta, message.data) if batch is None else batch


def _encoded(frames: Frames) -> tuple[NDArray[np.int64], str, bytes]:
    """Return the bytes of each frame, their type, and all of them."""
    if isinstance(frames, DenseFrames):
        if frames.pixels.dtype == np.uint32:
            raise Alert("Pixels of uint32 cannot be sent: in a batch these are events.", "Convert them to float32.")
        sizes = np.full(len(frames), frames.pixels[:1].nbytes, np.int64)
        return (
            sizes,
            frames.pixels.dtype.name,
            frames.pixels.astype(_little(frames.pixels.dtype), copy=False).tobytes(),
        )
    events = frames.events[frames.starts[0] : frames.starts[-1]]
    if events.size and events.max() >= math.prod(frames.frame_shape):
        raise ValueError(f"an event outside the frame of {frames.frame_shape}")
    return np.diff(frames.starts) * _EVENT.itemsize, "uint32", events.astype(_EVENT, copy=False).tobytes()


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")


def _fast(
    about: dict[str, Any], common: dict[str, Any], numbers: dict[str, NDArray[np.int64]], data: BytesLike
) -> Batch | None:
    """Return a batch that is as it should be; None if there is any doubt."""
    sizes, x, row = numbers.get(_SIZE), numbers.get(_X), numbers.get(_ROW)
    if sizes is None or x is None or row is None:
        return None
    try:
        # What all have in common is checked once, with the numbers of the first.
        first = FrameHeader.model_validate(common | {key: int(values[0]) for key, values in numbers.items()})
        size = int(sizes.sum())
        whole = BatchedFrameHeader.model_validate(
            about | {"headers": [first.model_copy(update={"data_size_bytes": size})], "batch_size_bytes": size}
        )
    except ValidationError:
        return None
    rows, columns = first.scan_shape
    if size != len(data) or about.get("batch_size_bytes") != size or (x >= columns).any() or (row >= rows).any():
        return None
    frames = _frames(first, row * columns + x, sizes, data)
    if frames is None:
        return None
    scan = ScanInfo(whole.scan_number, first.scan_shape, first.frame_shape, whole.total_frames)
    return Batch(scan, frames, numbers.get(_NUMBER), whole.current_batch_index, whole.total_batches)


def _frames(
    first: FrameHeader, positions: NDArray[np.int64], sizes: NDArray[np.int64], data: BytesLike
) -> Frames | None:
    if first.dtype != "uint32":
        unit = math.prod(first.frame_shape) * np.dtype(first.dtype).itemsize
        if (sizes != unit).any() or first.dtype not in ("uint8", "uint16", "float32"):
            return None
        pixels = np.frombuffer(data, _little(np.dtype(first.dtype))).astype(first.dtype)
        return DenseFrames(positions, pixels.reshape(-1, *first.frame_shape))
    events = np.frombuffer(data, _EVENT).astype(np.uint32) if not (sizes % _EVENT.itemsize).any() else None
    if events is None or (events.size and events.max() >= math.prod(first.frame_shape)):
        return None
    starts = np.concatenate([[0], np.cumsum(sizes // _EVENT.itemsize)]).astype(np.int64)
    return SparseFrames(positions, starts, events, first.frame_shape)


def _slow(meta: bytes, data: BytesLike) -> Batch:
    header, frames = decode_batch(meta, bytes(data), "The message")
    first = header.headers[0]
    scan = ScanInfo(header.scan_number, first.scan_shape, first.frame_shape, header.total_frames)
    found = [one.frame_number for one in header.headers]
    numbers = None if None in found else np.array(found, np.int64)
    return Batch(scan, frames, numbers, header.current_batch_index, header.total_batches)


def _single(meta: dict[str, Any], size: int) -> bytes:
    """Return the header of a batch of the one frame that a JSON header describes."""
    one = {**meta, "data_size_bytes": meta.get("data_size_bytes", size)}
    batch = {"scan_number": one.get("scan_number"), "headers": [one], "batch_size_bytes": size}
    try:
        return bytes(msgpack.packb(batch))
    except (TypeError, ValueError, OverflowError) as error:
        told = json.dumps(meta, default=str)[:200]
        raise Alert(
            f"The message is no batch of frames: its header is {told}.", "Wire frames to this input."
        ) from error
