"""Weighted sums of a frame, laid out as runs of weights along its rows, so that only pixels that count are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames.model import Shape

_ALIGN = 32  # runs begin and end at whole vectors
_MOMENT_BLOCK = 256  # columns; sums of int16 pixels times their column in the block then fit an int32
_NO_CHANNEL = -1
_MOST_WEIGHT = (1 << 16) - 1  # of a run of int16: 2**15 times it is below 2**31


@dataclass(frozen=True)
class WeightPlan:
    """Weighted sums, each a channel.

    Attributes
    ----------
    row_starts : int64[rows + 1]
        The runs of row `y` are `runs[row_starts[y] : row_starts[y + 1]]`.
    runs : int64[m, 5]
        First column, column after the last, where its weights are in `weights`, channel that it is added to, and
        channel that it is added to times `y`, or -1.
    weights : int16, int64 or float64[size]
        Rows may share them.
    channels : int
        How many there are: of each block of columns the sum and the sum of products with the column in the block; the
        row moment; the masks.
    block_columns : int64[blocks]
        The column that counts as 0 in each block; no block if no moments are wanted.
    constant : int64 or float64[channels]
        The channels of a frame of ones.
    """

    row_starts: NDArray[np.int64]
    runs: NDArray[np.int64]
    weights: NDArray[Any]
    channels: int
    block_columns: NDArray[np.int64]
    constant: NDArray[Any]

    def moments(self, sums: NDArray[Any]) -> NDArray[Any]:
        """Return intensity, row moment and column moment of each frame, `(3, frames)`, given the channels."""
        blocks = len(self.block_columns)
        intensities, within, row_moment = sums[:blocks], sums[blocks : 2 * blocks], sums[2 * blocks]
        column_moment = within.sum(axis=0) + (intensities * self.block_columns[:, None]).sum(axis=0)
        return np.stack([intensities.sum(axis=0), row_moment, column_moment])

    def detected(self, sums: NDArray[Any]) -> NDArray[Any]:
        """Return the sums of each mask, `(k, frames)`, given the channels."""
        blocks = len(self.block_columns)
        return sums[2 * blocks + 1 if blocks else 0 :]


def fits_int16(masks: NDArray[Any] | None, columns: int) -> bool:
    """Return whether the weights of masks can be int16, and sums along a row int32, when pixels are int16."""
    if columns > _MOST_WEIGHT:
        return False
    if masks is None or masks.dtype.kind == "b" or not masks.size:
        return True
    if masks.dtype.kind not in "iu" or int(masks.min()) < -(1 << 15) or int(masks.max()) >= 1 << 15:
        return False
    return int(np.abs(masks.astype(np.int64)).sum(axis=-1).max()) <= _MOST_WEIGHT


def make_plan(
    shape: Shape, dtype: np.dtype[Any], crop: NDArray[np.bool_] | None, masks: NDArray[Any] | None, *, moments: bool
) -> WeightPlan:
    """Return a plan with weights of a type: int16, int64 or float64."""
    columns = shape[1]
    is_narrow = dtype == np.int16
    width = _MOMENT_BLOCK if is_narrow else columns
    edges = np.arange(0, columns, width) if moments else np.empty(0, np.int64)
    middles = edges + (np.minimum(width, columns - edges) // 2 if is_narrow else 0) if moments else edges
    blocks = len(edges)
    first_mask = 2 * blocks + 1 if moments else 0
    layout = _Layout(shape, dtype, first_mask + (0 if masks is None else len(masks)))
    inside = np.ones((1, columns), np.bool_) if crop is None else crop
    for block, (edge, middle) in enumerate(zip(edges.tolist(), middles.tolist(), strict=True)):
        ones = inside[:, edge : edge + width].astype(dtype)
        layout.add(edge, ones, block, 2 * blocks)
        layout.add(edge, ones * (np.arange(edge, edge + ones.shape[1]) - middle).astype(dtype), blocks + block)
    for k in range(0 if masks is None else len(masks)):
        layout.add(0, masks[k], first_mask + k)  # type: ignore[index]
    return layout.plan(middles)


class _Layout:
    """A plan that is being made, channel by channel."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any], channels: int) -> None:
        self._rows = shape[0]
        self._dtype = dtype
        self._runs: list[NDArray[np.int64]] = []
        self._weights: list[NDArray[Any]] = []
        self._size = 0
        self._constant = np.zeros(channels, np.float64 if dtype.kind == "f" else np.int64)

    def add(self, start: int, weights: NDArray[Any], channel: int, row_channel: int = _NO_CHANNEL) -> None:
        """Add the weights, `(rows, width)`, of columns from `start` on; or of shape `(1, width)`, the same for all rows."""
        used = weights != 0
        width = weights.shape[1]
        first = used.argmax(axis=1) // _ALIGN * _ALIGN
        stop = np.minimum(-(-(width - used[:, ::-1].argmax(axis=1)) // _ALIGN) * _ALIGN, width)
        stop[~used.any(axis=1)] = 0
        columns = np.arange(width)
        flat = weights[(columns >= first[:, None]) & (columns < stop[:, None])].astype(self._dtype)
        lengths = np.maximum(stop - first, 0)
        offsets = self._size + np.cumsum(lengths) - lengths
        rows = np.arange(self._rows)
        run = np.stack(
            np.broadcast_arrays(rows, start + first, start + first + lengths, offsets, channel, row_channel), axis=1
        )
        self._runs.append(run[np.broadcast_to(lengths > 0, self._rows)].astype(np.int64))
        self._weights.append(flat)
        self._size += len(flat)
        totals = np.broadcast_to(weights.sum(axis=1, dtype=self._constant.dtype), self._rows)
        self._constant[channel] += totals.sum()
        if row_channel >= 0:
            self._constant[row_channel] += (totals * rows).sum()

    def plan(self, block_columns: NDArray[np.int64]) -> WeightPlan:
        """Return what was added."""
        runs = np.concatenate([np.empty((0, 6), np.int64), *self._runs])
        runs = runs[np.argsort(runs[:, 0], kind="stable")]
        return WeightPlan(
            row_starts=np.searchsorted(runs[:, 0], np.arange(self._rows + 1)).astype(np.int64),
            runs=np.ascontiguousarray(runs[:, 1:]),
            weights=np.concatenate([np.empty(0, self._dtype), *self._weights]),
            channels=len(self._constant),
            block_columns=block_columns,
            constant=self._constant,
        )
