"""Compiles the kernels of live reduction, frames and images before they are needed: `python -m runstart.warming`.

It is run when an image is built, on a few events and pixels of each type that instruments, microscopes and telescopes
deliver; what was compiled is found in numba's cache. A kernel for another type is compiled at its first use, as ever.
"""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

import numpy as np

from runstart.frame_messages.warming import warm as warm_operators
from runstart.frames import DENSE_DTYPES, Counting, DenseFrames, FramePass, bin_frames, count_electrons
from runstart.images import clipped_mean_planes, mean, median, nansum, sigma_clipped_mean, stack_files
from runstart.instruments import Bank, Instrument, TofAxis, View
from runstart.views import warm_up

__all__ = ["warm"]

_SIDE = 8
_COUNTING = Counting(background_threshold=1, xray_threshold=200)
_METHODS = ("median", "mean", "sigma_clipped_mean")


def warm() -> None:
    """Compile them all, or find them in the cache."""
    _warm_live_reduction()
    _warm_frames()
    _warm_images()
    warm_operators()


def _warm_live_reduction() -> None:
    contiguous = (Bank(name="all", shape=(4,), first_detector_id=1),)
    apart = (*contiguous, Bank(name="apart", shape=(4,), first_detector_id=11))
    every_view: tuple[View, ...] = ("tof", "pixel", "pixel_tof")
    for banks, views in product((contiguous, apart), (every_view[:2], every_view)):
        axis = TofAxis(start_us=0, stop_us=8, bins=8)
        warm_up(Instrument(name="WARMING", banks=banks, tof=axis, views=views))


def _warm_frames() -> None:
    mask = np.ones((1, _SIDE, _SIDE), np.bool_)
    for dtype in DENSE_DTYPES:
        pixels = np.zeros((1, _SIDE, _SIDE), dtype)
        pixels[0, 4, 4] = 100
        dense = DenseFrames(np.zeros(1, np.int64), pixels)
        bin_frames(dense, 2)
        FramePass((_SIDE, _SIDE), dtype, masks=mask).process(dense)
        FramePass((_SIDE, _SIDE), dtype, counting=_COUNTING, masks=mask, keep_events=True).process(dense)
    events = count_electrons(dense, _COUNTING.background_threshold, _COUNTING.xray_threshold)
    FramePass((_SIDE, _SIDE), "sparse", masks=mask, keep_events=True).process(events)


def _warm_images() -> None:
    for dtype in (np.uint16, np.float32, np.float64):
        stack = np.ones((3, _SIDE, _SIDE), dtype)
        median(stack)
        mean(stack)
        nansum(stack)
        sigma_clipped_mean(stack)
    clipped_mean_planes(stack)
    clipped_mean_planes(stack, weights=np.ones(3))
    with tempfile.TemporaryDirectory() as folder:
        for dtype in (np.uint16, np.float32, np.float64):
            path = Path(folder) / f"{np.dtype(dtype)}.fits"
            _write_image(path, dtype)
            for method in _METHODS:
                stack_files([path] * 3, method)


def _write_image(path: Path, dtype: type) -> None:
    from astropy.io import fits

    fits.PrimaryHDU(np.ones((_SIDE, _SIDE), dtype)).writeto(path)


if __name__ == "__main__":
    warm()
