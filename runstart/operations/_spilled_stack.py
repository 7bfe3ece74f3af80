"""A stack of images with their planes, kept in scratch files and read back in bands that fit into memory.

Images of different shapes are cropped to the common one from the first pixel on. What a mask flags, what is not
finite, and what has an unknown uncertainty although the image has such a plane, is out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.operations._planes import as_float

if TYPE_CHECKING:
    import numpy.typing as npt

_KERNEL_BYTES = 160  # of a pixel of the result, in the statistics and what is made of them


@dataclass(frozen=True)
class Band:
    """Some rows of all images.

    Attributes
    ----------
    rows : slice
        Which.
    data : float32 or float64[n, rows, cols]
    flagged : bool[n, rows, cols]
        What is out.
    variance : float32[n, rows, cols] or None
        None if an image has no plane of uncertainty.
    bits : uint16[rows, cols]
        What any of the masks flags.
    """

    rows: slice
    data: npt.NDArray[Any]
    flagged: npt.NDArray[np.bool_]
    variance: npt.NDArray[np.float32] | None
    bits: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class _Spilled:
    data: Path
    dtype: np.dtype[Any]
    flagged: Path
    variance: Path | None
    shape: tuple[int, int]


class SpilledStack:
    """Images that were added one after the other.

    Parameters
    ----------
    folder : Path
        For the scratch files, which take 9 bytes a pixel of a float32 image with all planes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images: list[_Spilled] = []
        self._bits: npt.NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return len(self._images)

    @property
    def shape(self) -> tuple[int, int]:
        """Common rows and columns."""
        return min(i.shape[0] for i in self._images), min(i.shape[1] for i in self._images)

    @property
    def has_uncertainty(self) -> bool:
        """Whether every image has a plane of uncertainty."""
        return all(image.variance is not None for image in self._images)

    def add(
        self,
        data: npt.NDArray[Any],
        uncertainty: npt.NDArray[Any] | None = None,
        mask: npt.NDArray[Any] | None = None,
    ) -> None:
        """Write an image to the scratch folder.

        Parameters
        ----------
        data : number[rows, cols]
        uncertainty : real[rows, cols], optional
            One standard deviation.
        mask : integer[rows, cols], optional
            Not 0: out.
        """
        stem = self._folder / f"stack-{len(self._images):04d}"
        values = as_float(data)
        flagged = ~np.isfinite(values)
        if mask is not None:
            flagged |= mask != 0
        self._note_bits(values.shape, mask)
        variance_path = None
        if uncertainty is not None:
            variance = np.square(uncertainty, dtype=np.float32)
            flagged |= ~(np.isfinite(variance) & (variance > 0))
            variance_path = stem.with_suffix(".variance")
            spill(variance_path, variance)
        spill(stem.with_suffix(".data"), values)
        spill(stem.with_suffix(".flagged"), flagged)
        rows, columns = values.shape
        self._images.append(
            _Spilled(
                stem.with_suffix(".data"),
                values.dtype,
                stem.with_suffix(".flagged"),
                variance_path,
                (rows, columns),
            )
        )

    def bands(self, memory_limit: int, extra_per_value: int = 0) -> Iterator[Band]:
        """Yield bands of rows, from the first row on.

        Parameters
        ----------
        memory_limit : int
            Bytes that a band and what is computed of it may take.
        extra_per_value : int
            Bytes that the caller takes for each value of a band.

        Raises
        ------
        Alert
            Not even one row of each image fits.
        """
        rows, columns = self.shape
        dtype = np.result_type(*(image.dtype for image in self._images))
        per_value = dtype.itemsize + 1 + extra_per_value + (4 if self.has_uncertainty else 0)
        row_bytes = columns * (len(self) * per_value + _KERNEL_BYTES)
        height = min(rows, memory_limit // row_bytes)
        if height < 1:
            raise Alert(
                f"memory_limit is {memory_limit:,} bytes, too small for one row of {len(self)} images.",
                f"Allow at least {row_bytes:,} bytes, or give fewer images.",
            )
        for first in range(0, rows, height):
            yield self._band(slice(first, min(first + height, rows)), columns, dtype)

    def _note_bits(self, shape: tuple[int, int], mask: npt.NDArray[Any] | None) -> None:
        bits = np.zeros(shape, np.uint16) if mask is None else mask.astype(np.uint16)
        if self._bits is not None:
            rows, columns = (min(sizes) for sizes in zip(self._bits.shape, shape, strict=True))
            bits = self._bits[:rows, :columns] | bits[:rows, :columns]
        self._bits = bits

    def _band(self, rows: slice, columns: int, dtype: np.dtype[Any]) -> Band:
        shape = (len(self), rows.stop - rows.start, columns)
        data, flagged = np.empty(shape, dtype), np.empty(shape, np.bool_)
        variance = np.empty(shape, np.float32) if self.has_uncertainty else None
        for number, image in enumerate(self._images):
            data[number] = _read_rows(image.data, image.dtype, image.shape[1], rows)[:, :columns]
            flagged[number] = _read_rows(image.flagged, np.dtype(np.bool_), image.shape[1], rows)[:, :columns]
            if variance is not None and image.variance is not None:
                plane = _read_rows(image.variance, np.dtype(np.float32), image.shape[1], rows)
                variance[number] = plane[:, :columns]
        bits = np.zeros(shape[1:], np.uint16) if self._bits is None else self._bits[rows]
        return Band(rows, data, flagged, variance, bits)


def spill(path: Path, values: npt.NDArray[Any]) -> None:
    """Write an array's bytes; a full disk is an OSError that says so, as it is not of `numpy.ndarray.tofile`."""
    with path.open("wb") as file:
        file.write(np.ascontiguousarray(values).data)


def _read_rows(path: Path, dtype: np.dtype[Any], columns: int, rows: slice) -> npt.NDArray[Any]:
    count = (rows.stop - rows.start) * columns
    values = np.fromfile(path, dtype, count, offset=rows.start * columns * dtype.itemsize)
    return values.reshape(-1, columns)
