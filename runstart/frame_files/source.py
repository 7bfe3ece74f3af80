"""What every file of frames looks like to the code that reads it: a header, slots, and frames by their index.

A slot says which frame of which scan position a stored frame is: `position * frames_per_position + number`. Slots are
read without pixels, so that frames can be accounted for, and batches planned, before any is read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runstart.frames import Frames, Shape

NO_SLOT = -1  # of a stored frame that belongs to no scan position


@dataclass(frozen=True)
class ScanHeader:
    """What a file says about its scan.

    Attributes
    ----------
    scan_shape, frame_shape : tuple of int
        Rows and columns of the scan, and of a frame.
    dtype : str
        Of a pixel: uint8, uint16, uint32 or float32; `sparse` for electron events.
    frames_per_position : int
        Frames that were to be taken at each position.
    scan : str
        Name or number of the scan; empty if the file does not say.
    started : str
        When it began, ISO 8601, UTC; empty if the file does not say.
    calibration : mapping of str to float
        What the file knows of `scan_step_nm`, `mrad_per_pixel`, `voltage_kv`.
    """

    scan_shape: Shape
    frame_shape: Shape
    dtype: str
    frames_per_position: int = 1
    scan: str = ""
    started: str = ""
    calibration: dict[str, float] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Frames that the scan has when nothing is missing."""
        return self.scan_shape[0] * self.scan_shape[1] * self.frames_per_position

    @property
    def is_sparse(self) -> bool:
        """Whether frames are lists of electron events."""
        return self.dtype == "sparse"


class FrameSource(ABC):
    """A file of frames; use it as a context manager. Frames have an index in the order in which they are stored."""

    header: ScanHeader

    @property
    def piece(self) -> int:
        """Frames that are stored as one piece: ranges that begin and end at its multiples are read fastest."""
        return 1

    @property
    def damaged(self) -> int:
        """Stored frames that were found damaged so far, in slots or by reading them."""
        return 0

    @property
    @abstractmethod
    def frame_count(self) -> int:
        """Whole frames that were there at the last look."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether the file itself says that no further frame will come: all are there, or its writer has ended it."""

    @abstractmethod
    def look(self) -> int:
        """Look again at a file that may have grown; return the number of whole frames."""

    @abstractmethod
    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the slots of stored frames; `NO_SLOT` for a frame that belongs to no scan position.

        Raises
        ------
        Alert
            If the file is shorter than it says, or damaged.
        """

    @abstractmethod
    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the bytes that stored frames take in memory."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Frames:
        """Return stored frames, with their scan positions.

        The position is -1 for `NO_SLOT`, and for a frame that its checksum shows to be damaged.

        Raises
        ------
        Alert
            If the file is shorter than it says, or damaged.
        """

    @abstractmethod
    def close(self) -> None:
        """Let the file go."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the file go."""
        self.close()


def split_into_batches(
    sizes: NDArray[np.int64], batch_bytes: int, start: int = 0, piece: int = 1
) -> Iterator[tuple[int, int]]:
    """Yield ranges of successive frames that take at most `batch_bytes` together; a larger frame goes alone.

    Parameters
    ----------
    sizes : ndarray of int64
        Bytes of each frame, from index `start` on.
    batch_bytes : int
        The limit.
    start : int, optional
        Index of the first frame.
    piece : int, optional
        Ranges end at its multiples where one fits into the limit (`FrameSource.piece`).

    Raises
    ------
    ValueError
        If the limit is below 1.
    """
    if batch_bytes < 1:
        raise ValueError(f"batch_bytes is {batch_bytes}; it must be at least 1")
    first, ends = 0, np.cumsum(sizes, dtype=np.int64)
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + batch_bytes, "right")), first + 1)
        whole = last - (start + last) % piece
        if first < whole and last < len(ends):
            last = whole
        yield start + first, start + last
        first = last


def read_batches(source: FrameSource, batch_bytes: int) -> Iterator[Frames]:
    """Yield all frames of a source in batches of at most `batch_bytes`; a larger frame comes alone.

    Batches end between the source's pieces (`FrameSource.piece`) where one fits into the limit.

    Raises
    ------
    ValueError
        If the limit is below 1.
    Alert
        If the file is shorter than it says, or damaged.
    """
    sizes = source.sizes(0, source.frame_count)
    for start, stop in split_into_batches(sizes, batch_bytes, piece=source.piece):
        yield source.read(start, stop)
