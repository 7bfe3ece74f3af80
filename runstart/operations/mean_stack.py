"""The mean of images with its uncertainty: clipped, weighted or plain, on one grid if they are registered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from runstart.errors import Alert
from runstart.operation_kit import Fits, FitsFile, Float, Int, OutputImage, Select, Work, operation
from runstart.operations._few_images import BYTES_PER_VALUE, Expectation, expect, measure_image
from runstart.operations._sources import find_sources
from runstart.operations._spilled_stack import Band, SpilledStack

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header

_READ = 0.6  # of the progress


@operation(
    name="Mean Stack",
    version="2",
    description="Takes the mean of each pixel over all images, without outliers, and says how sure it is: with planes "
    "of uncertainty and mask. Outliers of 11 images or more are found by sigma clipping, of fewer by the noise that is "
    "expected: that of their planes of uncertainty, else that of each whole image.",
)
def mean_stack(
    work: Work,
    input_files: Annotated[
        list[FitsFile],
        Fits("Input files", "Two images or more. What their masks flag is ignored.", minimum=2),
    ],
    method: Annotated[
        str,
        Select(
            "Method",
            "sigma_clipped: without outliers; weighted: the same, and quieter images count more, for which each needs "
            "a plane of uncertainty; mean: of all values.",
            options=("sigma_clipped", "weighted", "mean"),
        ),
    ] = "sigma_clipped",
    sigma: Annotated[
        float,
        Float(
            "Sigma",
            "Standard deviations from the median beyond which a value is an outlier: of the values, or with fewer "
            "than 11 images those expected.",
            0.5,
            100.0,
        ),
    ] = 3.0,
    max_iterations: Annotated[int, Int("Iterations", "How often outliers are looked for, at most.", 1, 100)] = 5,
    registration: Annotated[
        str,
        Select(
            "Registration",
            "none: pixel on pixel, cropped to the common shape; wcs: onto the grid of the first image by each WCS.",
            options=("none", "wcs"),
        ),
    ] = "none",
) -> OutputImage:
    """Return the mean with uncertainty and mask.

    Outliers are dropped by sigma clipping of the values of each pixel. Of fewer than 11 images that finds none, and
    values are compared with the noise that is expected instead (`runstart.images.outliers`).

    The uncertainty is propagated from the planes of the inputs if all have one; else it is the standard error of the
    values kept. Weights are one number for each image, the inverse of its median variance: weights that followed the
    pixels' own counts would bias the profiles of stars.
    """
    from runstart.images import MaskBit
    from runstart.images.outliers import FEW

    stack, header, weights, measured = _read(work, input_files, method, registration)
    clipping = None if method == "mean" else sigma
    expectation = None if clipping is None or len(stack) >= FEW else expect(work, stack, measured)
    data, uncertainty = np.empty(stack.shape, np.float32), np.empty(stack.shape, np.float32)
    mask = np.empty(stack.shape, np.uint16)
    n_given = n_kept = 0
    for band in stack.bands(work.memory_limit, extra_per_value=0 if expectation is None else BYTES_PER_VALUE):
        done = band.rows.start / stack.shape[0]
        work.progress(_READ + (0.95 - _READ) * done, f"Combining {len(stack)} images")
        mean, error, kept = _combine(band, clipping, max_iterations, weights, expectation)
        data[band.rows], uncertainty[band.rows] = mean, error
        mask[band.rows] = np.where(kept == 0, band.bits | int(MaskBit.NO_DATA), 0)
        n_given += int(np.count_nonzero(~band.flagged))
        n_kept += int(kept.sum())
    if n_kept == 0:
        raise Alert("No pixel is good in any of the images.", "Look at their masks, or whether they overlap.")
    seeing = _measure_seeing(data, header, mask)
    header["NCOMBINE"] = (len(input_files), "number of images in the mean")
    figures = {
        "images": len(input_files),
        "rejected_fraction": round(1 - n_kept / n_given, 6),
        "empty_pixels": int(np.count_nonzero(mask)),
        **seeing,
    }
    return OutputImage(
        data,
        header,
        uncertainty,
        mask,
        label=f"Mean of {len(input_files)}",
        figures=figures,
        history=(f"{method} of {len(input_files)} images, registration {registration}",),
    )


def _measure_seeing(data: npt.NDArray[np.float32], header: Header, mask: npt.NDArray[np.uint16]) -> dict[str, Any]:
    """Return how sharp the stack is, or why that cannot be told."""
    try:
        return find_sources(data, header, "the stack", mask=mask).figures
    except Alert as alert:
        return {"seeing_not_measured": alert.what}


def _read(
    work: Work, files: list[FitsFile], method: str, registration: str
) -> tuple[SpilledStack, Header, npt.NDArray[np.float64] | None, list[tuple[float, float]]]:
    """Return the stack, the first header, the weights if there are any, and level and noise of each image."""
    from runstart.operations._registration import Registration

    stack = SpilledStack(work.scratch)
    grid: Registration | None = None
    header: Header | None = None
    variances, measured = [], []
    for file in work.each(files, "Reading", end=_READ):
        image = file.read()
        planes = image.data, image.uncertainty, image.mask
        if method == "weighted":
            variances.append(_typical_variance(image.uncertainty, file))
        if header is None:
            header = image.header
            if registration == "wcs":
                grid = Registration(header, image.data.shape, file.name)
        elif grid is not None:
            planes = grid.bring(image, file.name)
        stack.add(*planes)
        measured.append(measure_image(planes[0], planes[2]))
    return stack, header, 1 / np.array(variances) if variances else None, measured


def _typical_variance(uncertainty: npt.NDArray[Any] | None, file: FitsFile) -> float:
    if uncertainty is None:
        raise Alert(
            f"{file.name} has no plane of uncertainty, so it has no weight.",
            "Calibrate it first, or choose the method sigma_clipped.",
        )
    good = uncertainty[np.isfinite(uncertainty) & (uncertainty > 0)]
    if not good.size:
        raise Alert(f"The uncertainty of {file.name} is nowhere above 0.", "Leave it out, or choose sigma_clipped.")
    return float(np.median(good)) ** 2


def _combine(
    band: Band,
    sigma: float | None,
    max_iterations: int,
    weights: npt.NDArray[np.float64] | None,
    expectation: Expectation | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Return mean, uncertainty and number of values kept."""
    from runstart.images import clipped_mean_planes

    if expectation is not None and sigma is not None:
        outliers = expectation.find_outliers(band, sigma, max_iterations)
        missing = expectation.missing_sky(band.flagged, outliers, weights)
        mean, error, n_kept = _combine(replace(band, flagged=band.flagged | outliers), None, 1, weights, None)
        return mean + missing, error, n_kept
    planes = clipped_mean_planes(band.data, sigma, max_iterations, mask=band.flagged, weights=weights)
    if band.variance is None:
        return planes.mean, planes.uncertainty, planes.n_kept
    each = np.ones(len(band.data)) if weights is None else weights
    variance, total = np.zeros(planes.mean.shape), np.zeros(planes.mean.shape)
    for weight, plane, flagged in zip(each, band.variance, band.flagged, strict=True):
        variance += np.where(flagged, 0, weight**2 * plane)
        total += np.where(flagged, 0, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = planes.n_kept if weights is None else planes.uncertainty**-2
        # Of what sigma clipping drops only the weight is known here: what is left counts as typical of all.
        uncertainty = np.sqrt(variance / total / kept)
    uncertainty[planes.n_kept == 0] = np.nan
    return planes.mean, uncertainty, planes.n_kept
