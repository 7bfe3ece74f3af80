"""Stacks of FITS files in fixed memory: bands of rows, each read from all files and combined while it is cached.

The result is that of the statistic on the whole stack in memory, whatever the memory limit. Images of different
shapes are cropped to the common one from row 0 and column 0. NaN and BLANK are ignored; a pixel with nothing left
is NaN, in a sum 0. Reading and computing both let other threads run, so bands are done in two threads at once.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.images import statistics
from runstart.images._bands import BandPlan, plan_bands
from runstart.images._fits_layout import find_layout
from runstart.images._row_readers import RowReaders
from runstart.images._stacks import NO_MASK, Stack, to_float

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["DEFAULT_MEMORY_LIMIT", "stack_files"]

DEFAULT_MEMORY_LIMIT = 512 * 2**20
"""Bytes."""

# Blocks of the kernels and what Python makes for each band.
_KERNEL_BYTES = 2**20

_Into = Callable[[Stack, Any], Callable[[int, int], None]]


def stack_files(
    paths: Sequence[str | os.PathLike[str]],
    method: str = "median",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    *,
    sigma: float = 3.0,
    max_iterations: int | None = 5,
    threads: int = 2,
    on_progress: Callable[[float], object] | None = None,
) -> npt.NDArray[Any]:
    """Return the median, mean, sum or sigma-clipped mean of FITS images.

    Of each file the HDU named SCI is taken if there is one, else the first with two-dimensional data; plain or
    compressed by fpack.

    Parameters
    ----------
    paths : sequence of str or os.PathLike
        At least one. Their order does not matter to a median.
    method : {"median", "mean", "sum", "sigma_clipped_mean"}
        As the functions of `runstart.images` compute them.
    memory_limit : int
        Most bytes for the result and what is read at a time, however many files there are.
    sigma, max_iterations
        See `sigma_clipped_mean`.
    threads : int
        Bands at once.
    on_progress : callable, optional
        Called in this thread with the fraction that is done, 0 to 1; what it raises ends the stacking.

    Returns
    -------
    float32 or float64[rows, columns]
        A median of float32 images is float32, all else float64.

    Raises
    ------
    Alert
        There is no file; one is missing, empty, truncated, damaged, no FITS file or without a two-dimensional
        image; the method is unknown; a number is out of its range; not even one row of each image fits into
        the memory limit.
    Transient
        The file system does not answer.
    """
    into = _choose(method, sigma, max_iterations)
    if isinstance(paths, str | os.PathLike):
        message = "paths is one path, not a sequence of paths"
        raise TypeError(message)
    if not paths:
        raise Alert("There is no file to stack.", "Give at least one.")
    if threads < 1:
        raise Alert(f"threads is {threads}; stacking takes at least 1.", "2 is usual.")
    layouts = [find_layout(path) for path in paths]
    common = np.result_type(*(layout.dtype for layout in layouts))
    dtype = np.dtype(statistics.median_dtype(common) if method == "median" else to_float(common))
    rows = min(layout.rows for layout in layouts)
    columns = min(layout.columns for layout in layouts)
    is_single = method == "median" and common == np.float32
    out_dtype = np.dtype(np.float32 if is_single else np.float64)
    with RowReaders(layouts, dtype, columns) as readers:
        plan = plan_bands(
            rows,
            columns * dtype.itemsize,
            len(layouts),
            rows * columns * out_dtype.itemsize,
            # Of a sum, the numbers of values too.
            lambda band_rows: readers.scratch_bytes(band_rows) + 8 * band_rows * columns + _KERNEL_BYTES,
            memory_limit,
            threads,
            max((layout.stored.tile_rows for layout in layouts if layout.stored.is_compressed), default=0),
        )
        out = np.empty((rows, columns), out_dtype)
        _run(plan, readers, len(layouts), dtype, into, out, on_progress)
    return out


def _choose(method: str, sigma: float, max_iterations: int | None) -> _Into:
    statistics.check_clipping(sigma, max_iterations)
    methods: dict[str, _Into] = {
        "median": statistics.median_into,
        "mean": statistics.mean_into,
        "sum": statistics.sum_into,
        "sigma_clipped_mean": lambda flat, out: statistics.clipped_mean_into(flat, out, sigma, max_iterations),
    }
    if method not in methods:
        raise Alert(f"There is no method {method!r} to stack by.", f"There are: {', '.join(methods)}.")
    return methods[method]


def _run(
    plan: BandPlan,
    readers: RowReaders,
    n: int,
    dtype: np.dtype[Any],
    into: _Into,
    out: npt.NDArray[Any],
    on_progress: Callable[[float], object] | None,
) -> None:
    columns = out.shape[1]
    buffers: queue.SimpleQueue[npt.NDArray[Any]] = queue.SimpleQueue()
    for _ in range(plan.workers):
        buffers.put(np.empty(n * plan.band_rows * columns, dtype))

    def do_band(first: int, last: int) -> None:
        buffer = buffers.get()
        try:
            band = buffer[: n * (last - first) * columns].reshape(n, last - first, columns)
            readers.read_band(first, band)
            flat = Stack(band.reshape(n, -1), NO_MASK, band.shape[1:])
            into(flat, out[first:last].reshape(-1))(0, flat.values.shape[1])
        finally:
            buffers.put(buffer)

    bands = plan.bands
    with ThreadPoolExecutor(plan.workers) as pool:
        futures = [pool.submit(do_band, first, last) for first, last in bands]
        try:
            for n_done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if on_progress is not None:
                    on_progress(n_done / len(bands))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
