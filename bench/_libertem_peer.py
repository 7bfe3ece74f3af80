"""One pass over frames with LiberTEM: centre of mass, masks and sum, in the ways that were found to be the fastest.

Which of them is the fastest depends on the machine, and on what else it does. Sparse masks are worth it with the
executor of threads only; dask's workers are processes of their own and take longer than threads.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from libertem.api import Context
from libertem.executor.inline import InlineJobExecutor
from libertem.udf.com import CoMUDF
from libertem.udf.masks import ApplyMasksUDF
from libertem.udf.sum import SumUDF
from numpy.typing import NDArray

# It warns of the size of masks, at each run.
logging.getLogger("libertem").setLevel(logging.ERROR)


@dataclass(frozen=True)
class PeerResult:
    """Centres of mass (row, column) of each frame, sums of each frame on each mask, and the sum of all frames."""

    centers: NDArray[np.float32]
    detected: NDArray[np.float32]
    pattern: NDArray[np.float32]


def passes(
    frames: NDArray[np.uint16], masks: NDArray[np.bool_], workers: int
) -> dict[str, Callable[[], PeerResult]]:
    """Return functions that make one pass over frames in memory, by the name of the way.

    Parameters
    ----------
    frames : ndarray of uint16, shape (n, rows, columns)
        Of a square scan, which it wants for centres of mass.
    masks : ndarray of bool, shape (k, rows, columns)
        Virtual detectors.
    workers : int
        Threads.
    """
    inline = Context(executor=InlineJobExecutor(inline_threads=workers))
    threaded = Context.make_with("threads", cpus=workers)
    return {
        f"LiberTEM, dense masks, inline, {workers} BLAS threads": _pass(inline, frames, masks, use_sparse=False),
        f"LiberTEM, dense masks, {workers} threads": _pass(threaded, frames, masks, use_sparse=False),
        f"LiberTEM, sparse masks, {workers} threads": _pass(threaded, frames, masks, use_sparse="scipy.sparse.csc"),
    }


def _pass(
    context: Context, frames: NDArray[np.uint16], masks: NDArray[np.bool_], use_sparse: Any
) -> Callable[[], PeerResult]:
    scan_side = math.isqrt(len(frames))
    data = frames.reshape(scan_side, scan_side, *frames.shape[1:])
    dataset = context.load("memory", data=data, sig_dims=2)
    row, column = ((size - 1) / 2 for size in frames.shape[1:])
    # In float32, which its matrix product is the quickest with.
    factories = [lambda mask=mask: mask.astype(np.float32) for mask in masks]

    def run() -> PeerResult:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            centers, detected, pattern = context.run_udf(
                dataset=dataset,
                udf=[
                    CoMUDF.with_params(cy=row, cx=column),
                    ApplyMasksUDF(factories, use_sparse=use_sparse, mask_count=len(masks), mask_dtype=np.float32),
                    SumUDF(),
                ],
            )
        return PeerResult(centers["raw_com"].data, detected["intensity"].data, pattern["intensity"].data)

    return run
