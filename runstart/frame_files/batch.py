"""One batch of frames as detectors stream them: headers in MessagePack, and the frames' bytes one behind the other.

The field names are those of interactEM's messages. Despite the `_m1` in their names, `nSTEM_rows_m1` and
`nSTEM_positions_per_row_m1` are the numbers of rows and of positions in a row.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runstart.errors import Alert
from runstart.frame_files._limits import MOST_PIXELS, MOST_POSITIONS, refused
from runstart.frames import DENSE_DTYPES, DenseFrames, Frames, Shape, SparseFrames

__all__ = [
    "BatchedFrameHeader",
    "FrameHeader",
    "SlotNumbers",
    "batch_header",
    "decode_batch",
    "encode_batch",
    "pack_message",
    "parse_meta",
    "split_scan",
    "unpack_message",
]

EVENT = np.dtype("<u4")
LONGEST_META = 2**26
_META_LENGTH = struct.Struct("<I")

_Count = Annotated[int, Field(ge=1, le=2**26)]
_Natural = Annotated[int, Field(ge=0, le=2**53)]


class FrameHeader(BaseModel):
    """What stands about one frame in a batch."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    scan_number: _Natural
    nSTEM_positions_per_row_m1: _Count  # noqa: N815 - as in the messages
    nSTEM_rows_m1: _Count  # noqa: N815
    STEM_x_position_in_row: _Natural
    STEM_row_in_scan: _Natural
    modules: tuple[int, ...] = (0, 1, 2, 3)
    frame_shape: tuple[_Count, _Count]
    data_size_bytes: Annotated[int, Field(ge=0, le=2**31)]
    frame_number: _Natural | None = None
    dtype: Literal["uint8", "uint16", "uint32", "int32", "float32", "float64"] = "uint32"

    @model_validator(mode="after")
    def _check_place(self) -> FrameHeader:
        if math.prod(self.scan_shape) > MOST_POSITIONS or math.prod(self.frame_shape) > MOST_PIXELS:
            raise ValueError(f"a scan of {self.scan_shape} with frames of {self.frame_shape} cannot be")
        row, column = self.STEM_row_in_scan, self.STEM_x_position_in_row
        if row >= self.scan_shape[0] or column >= self.scan_shape[1]:
            raise ValueError(f"position ({row}, {column}) is outside the scan of {self.scan_shape}")
        return self

    @property
    def scan_shape(self) -> Shape:
        """Rows and columns of the scan."""
        return self.nSTEM_rows_m1, self.nSTEM_positions_per_row_m1

    @property
    def position(self) -> int:
        """Flat scan position."""
        return self.STEM_row_in_scan * self.nSTEM_positions_per_row_m1 + self.STEM_x_position_in_row


class BatchedFrameHeader(BaseModel):
    """What stands about a batch."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    scan_number: _Natural
    headers: Annotated[tuple[FrameHeader, ...], Field(min_length=1)]
    batch_size_bytes: _Natural
    total_batches: _Natural | None = None
    total_frames: _Natural | None = None
    current_batch_index: _Natural | None = None

    @model_validator(mode="after")
    def _check_headers(self) -> BatchedFrameHeader:
        first = self.headers[0]
        for header in self.headers:
            if header.scan_number != self.scan_number:
                raise ValueError(f"a frame of scan {header.scan_number} in a batch of scan {self.scan_number}")
            if (header.scan_shape, header.frame_shape, header.dtype) != (
                first.scan_shape,
                first.frame_shape,
                first.dtype,
            ):
                raise ValueError("its frames are of different shapes or types")
        total = sum(header.data_size_bytes for header in self.headers)
        if total != self.batch_size_bytes:
            raise ValueError(f"batch_size_bytes is {self.batch_size_bytes}, but its frames have {total}")
        return self

    @property
    def positions(self) -> NDArray[np.int64]:
        """Flat scan position of each frame."""
        return np.array([header.position for header in self.headers], np.int64)

    @property
    def frames_per_position(self) -> int:
        """Frames that each position should have: `total_frames` spread evenly over the scan, else 1."""
        each, rest = divmod(self.total_frames or 0, math.prod(self.headers[0].scan_shape))
        return 1 if rest else max(each, 1)

    @property
    def ends(self) -> list[int]:
        """Where each frame ends in the data, after a first 0."""
        return [0, *np.cumsum([header.data_size_bytes for header in self.headers]).tolist()]


def batch_header(
    frames: Frames,
    scan_shape: Shape,
    *,
    scan_number: int = 0,
    frame_numbers: NDArray[np.int64] | None = None,
    total_frames: int | None = None,
    total_batches: int | None = None,
    current_batch_index: int | None = None,
) -> BatchedFrameHeader:
    """Return the header of a batch.

    Parameters
    ----------
    frames : SparseFrames or DenseFrames
        At least one.
    scan_shape : tuple of int
        Rows and columns of the scan.
    scan_number : int, optional
        The scan's number.
    frame_numbers : ndarray of int64, shape (n,), optional
        The number of each frame in the scan: `position * frames_per_position + number`.
    total_frames, total_batches, current_batch_index : int, optional
        Of the scan: how many frames and batches it has, and which this is.

    Raises
    ------
    ValueError
        If there is no frame, or a position lies outside the scan.
    """
    if isinstance(frames, SparseFrames):
        sizes, dtype = np.diff(frames.starts) * EVENT.itemsize, "uint32"
    else:
        sizes, dtype = np.full(len(frames), frames.pixels[:1].nbytes), frames.pixels.dtype.name
    numbers = [None] * len(frames) if frame_numbers is None else frame_numbers.tolist()
    headers = tuple(
        FrameHeader(
            scan_number=scan_number,
            nSTEM_positions_per_row_m1=scan_shape[1],
            nSTEM_rows_m1=scan_shape[0],
            STEM_x_position_in_row=position % scan_shape[1],
            STEM_row_in_scan=position // scan_shape[1],
            frame_shape=frames.frame_shape,
            data_size_bytes=size,
            frame_number=number,
            dtype=dtype,
        )
        for position, size, number in zip(frames.positions.tolist(), sizes.tolist(), numbers, strict=True)
    )
    return BatchedFrameHeader(
        scan_number=scan_number,
        headers=headers,
        batch_size_bytes=int(sizes.sum()),
        total_batches=total_batches,
        total_frames=total_frames,
        current_batch_index=current_batch_index,
    )


def encode_batch(header: BatchedFrameHeader, frames: Frames) -> tuple[bytes, bytes]:
    """Return the header of a batch as MessagePack, and its data.

    Raises
    ------
    ValueError
        If the frames are not those of the header.
    """
    if isinstance(frames, SparseFrames):
        sizes = np.diff(frames.starts) * EVENT.itemsize
        data = frames.events[frames.starts[0] : frames.starts[-1]].astype(EVENT, copy=False).tobytes()
        is_outside = frames.events.size and frames.events.max() >= math.prod(frames.frame_shape)
    else:
        sizes = np.full(len(frames), frames.pixels[:1].nbytes)
        data = frames.pixels.astype(frames.pixels.dtype.newbyteorder("<"), copy=False).tobytes()
        is_outside = False
    claimed = [one.data_size_bytes for one in header.headers]
    if claimed != sizes.tolist() or not np.array_equal(header.positions, frames.positions) or is_outside:
        raise ValueError("the frames are not those of the header")
    return msgpack.packb(header.model_dump(exclude_none=True)), data


def decode_batch(meta: bytes, data: bytes, name: str = "The batch") -> tuple[BatchedFrameHeader, Frames]:
    """Return the header of a batch, and its frames: sparse if they are of uint32, else dense.

    Parameters
    ----------
    meta, data : bytes
        As `encode_batch` returns them.
    name : str, optional
        What messages call it.

    Raises
    ------
    Alert
        If the header cannot be, the data are shorter or longer than it says, a position lies outside the scan or an
        event outside the frame, or pixels are of a type that cannot be read.
    """
    header = parse_meta(meta, name)
    if len(data) != header.batch_size_bytes:
        raise refused(name, f"has {len(data)} bytes of data, but says that it has {header.batch_size_bytes}")
    first = header.headers[0]
    if first.dtype != "uint32":
        pixels = np.frombuffer(data, np.dtype(first.dtype).newbyteorder("<")).astype(first.dtype)
        return header, DenseFrames(header.positions, pixels.reshape(-1, *first.frame_shape))
    events = np.frombuffer(data, EVENT).astype(np.uint32)
    if events.size and events.max() >= math.prod(first.frame_shape):
        what = f"has an event at pixel {events.max()}, outside the frame of {first.frame_shape}"
        raise refused(name, what)
    starts = np.array(header.ends, np.int64) // EVENT.itemsize
    return header, SparseFrames(header.positions, starts, events, first.frame_shape)


def pack_message(meta: bytes, data: bytes) -> bytes:
    """Return header and data of a batch as the value of one Kafka message: behind the header's length, uint32, LE."""
    return _META_LENGTH.pack(len(meta)) + meta + data


def unpack_message(message: bytes, name: str = "The message") -> tuple[bytes, bytes]:
    """Return the header and the data of a batch, as they were given to `pack_message`; for `decode_batch`.

    Raises
    ------
    Alert
        If the message is shorter than it says.
    """
    if len(message) < _META_LENGTH.size:
        raise refused(name, f"has {len(message)} bytes, too few for a batch")
    end = _META_LENGTH.size + _META_LENGTH.unpack_from(message)[0]
    if end > len(message):
        raise refused(name, f"has {len(message)} bytes, but claims a header that ends at byte {end}")
    return message[_META_LENGTH.size : end], message[end:]


class SlotNumbers:
    """Numbers the frames of a scan as they come: see `runstart.frame_files.batched.open_batches`.

    Parameters
    ----------
    frames_per_position : int
        Frames that each position should have.
    """

    def __init__(self, frames_per_position: int) -> None:
        self._each = frames_per_position
        self._seen: Counter[int] = Counter()

    @property
    def total(self) -> int:
        """Frames that were numbered."""
        return self._seen.total()

    def take(self, header: BatchedFrameHeader) -> NDArray[np.int64]:
        """Return the slots of the frames of the next batch."""
        each, slots = self._each, []
        for one in header.headers:
            position, number = one.position, self._seen[one.position]
            self._seen[position] += 1
            if one.frame_number is not None and one.frame_number // each == position:
                slots.append(one.frame_number)
            else:
                slots.append(position * each + min(number, each - 1))
        return np.array(slots, np.int64)


def parse_meta(meta: bytes, name: str) -> BatchedFrameHeader:
    """Return the header of a batch whose data can be read.

    Raises
    ------
    Alert
        If it is no header, or says what cannot be.
    """
    if len(meta) > LONGEST_META:
        raise refused(name, f"has a header of {len(meta)} bytes; the longest has {LONGEST_META}")
    try:
        header = BatchedFrameHeader.model_validate(msgpack.unpackb(meta))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "header"
        raise Alert(f"{name} is wrong at {place}: {first['msg']}.", "Have it sent again.") from error
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise refused(name, f"has a header that is no MessagePack ({error})") from error
    one = header.headers[0]
    if one.dtype == "uint32":
        unit, sizes = EVENT.itemsize, {each.data_size_bytes % EVENT.itemsize for each in header.headers}
    elif np.dtype(one.dtype) in DENSE_DTYPES:
        unit = math.prod(one.frame_shape) * np.dtype(one.dtype).itemsize
        sizes = {each.data_size_bytes - unit for each in header.headers}
    else:
        remedy = "Send events, or pixels of uint8, uint16 or float32."
        raise refused(name, f"has frames of type {one.dtype}, which cannot be read", remedy)
    if sizes != {0}:
        raise refused(name, f"has a frame whose data_size_bytes does not fit {one.dtype} (unit {unit} bytes)")
    return header


def split_scan(frames: SparseFrames, batch_bytes: int = 1_000_000) -> Iterator[SparseFrames]:
    """Yield batches of whole scan positions in their order; the next position would reach the size.

    Parameters
    ----------
    frames : SparseFrames
        Of one scan, in any order.
    batch_bytes : int, optional
        The size that the events of a batch stay below; a position with more comes alone.

    Raises
    ------
    ValueError
        If the size is below 1.
    """
    if batch_bytes < 1:
        raise ValueError(f"batch_bytes is {batch_bytes}; it must be at least 1")
    order = np.argsort(frames.positions, kind="stable")
    sizes = np.diff(frames.starts)[order] * EVENT.itemsize
    bounds = [0, *(np.flatnonzero(np.diff(frames.positions[order])) + 1).tolist(), len(order)]
    start, total = 0, 0
    for first, last in pairwise(bounds):
        size = int(sizes[first:last].sum())
        if first > start and total + size >= batch_bytes:
            yield _taken(frames, order[start:first])
            start, total = first, 0
        total += size
    if start < len(order):
        yield _taken(frames, order[start:])


def _taken(frames: SparseFrames, indices: NDArray[np.int64]) -> SparseFrames:
    lists = [frames.frame(index) for index in indices.tolist()]
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return SparseFrames(frames.positions[indices], starts, np.concatenate(lists), frames.frame_shape)
