"""Stacks of FITS files with ccdproc, and with astropy and bottleneck, each the fastest way that was found."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bottleneck
import ccdproc
import numpy as np
from astropy.io import fits
from astropy.stats import sigma_clip
from numpy.typing import NDArray

# It goes to stdout, among the figures.
logging.getLogger("astropy").setLevel(logging.ERROR)

_MEMORY = 16e9


def read_stack(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Return all images as one native float32 array, which is what bottleneck is fast with."""
    first = fits.getdata(paths[0], memmap=False)
    stack = np.empty((len(paths), *first.shape), np.float32)
    for image, path in zip(stack, paths, strict=True):
        image[...] = fits.getdata(path, memmap=False)
    return stack


def median_with_bottleneck(paths: Sequence[Path]) -> NDArray[Any]:
    """Read all with astropy, `bottleneck.nanmedian`."""
    return bottleneck.nanmedian(read_stack(paths), axis=0)


def clipped_mean_with_astropy(paths: Sequence[Path]) -> NDArray[Any]:
    """Read all with astropy, `astropy.stats.sigma_clip` with 5 iterations, mean in float64."""
    clipped = sigma_clip(read_stack(paths), sigma=3.0, maxiters=5, cenfunc="median", stdfunc="std", axis=0)
    return np.ma.filled(clipped.mean(axis=0, dtype=np.float64), np.nan)


def median_with_ccdproc(paths: Sequence[Path], *, with_uncertainty: bool = True) -> NDArray[Any]:
    """`ccdproc.combine` in float32; what it makes beside the image can be kept down, not left out."""
    keywords: dict[str, Any] = {} if with_uncertainty else {"combine_uncertainty_function": _no_uncertainty}
    names = [str(path) for path in paths]
    return ccdproc.combine(names, method="median", unit="adu", dtype=np.float32, mem_limit=_MEMORY, **keywords).data


def clipped_mean_with_ccdproc(paths: Sequence[Path], *, with_uncertainty: bool = True) -> NDArray[Any]:
    """`ccdproc.combine` with sigma clipping around the median in float32; it does one iteration and no more."""
    keywords: dict[str, Any] = {} if with_uncertainty else {"combine_uncertainty_function": _no_uncertainty}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ccdproc.combine(
            [str(path) for path in paths],
            method="average",
            unit="adu",
            dtype=np.float32,
            mem_limit=_MEMORY,
            sigma_clip=True,
            sigma_clip_func="median",
            sigma_clip_dev_func="std",
            **keywords,
        ).data


def _no_uncertainty(data: NDArray[Any], **_: Any) -> NDArray[Any]:
    return np.zeros(data.shape[1:], data.dtype)
