"""Frames in memory: dense pixels or sparse electron events, each frame with the scan position that it belongs to.

Shapes: a scan has `(scan_rows, scan_columns)` positions, a frame `(rows, columns)` pixels; a batch has `n` frames. A
position is flat: `scan_row * scan_columns + scan_column`. An event is the flat index `row * columns + column` of the
pixel that an electron hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, int]

DENSE_DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "uint32", "float32"))
MISSING_POSITION = -1


@dataclass(frozen=True, slots=True)
class DenseFrames:
    """Camera images.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
        Flat scan position of each frame; several frames may have the same.
    pixels : ndarray of uint8, uint16, uint32 or float32, shape (n, rows, columns)
        C-contiguous, in the machine's byte order.
    """

    positions: NDArray[np.int64]
    pixels: NDArray[Any]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.positions)

    @property
    def frame_shape(self) -> Shape:
        """Rows and columns of a frame."""
        return self.pixels.shape[1], self.pixels.shape[2]


@dataclass(frozen=True, slots=True)
class SparseFrames:
    """Electron events.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
        Flat scan position of each frame; several frames may have the same.
    starts : ndarray of int64, shape (n + 1,)
        The events of frame `i` are `events[starts[i] : starts[i + 1]]`.
    events : ndarray of uint32
        Flat pixel indices; a pixel that is named twice was hit twice.
    frame_shape : tuple of int
        Rows and columns of a frame.
    """

    positions: NDArray[np.int64]
    starts: NDArray[np.int64]
    events: NDArray[np.uint32]
    frame_shape: Shape

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.positions)

    def frame(self, index: int) -> NDArray[np.uint32]:
        """Return the events of one frame."""
        return self.events[self.starts[index] : self.starts[index + 1]]


Frames: TypeAlias = DenseFrames | SparseFrames
