"""Master frames of many prepared frames, in fixed memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runstart.errors import Alert
from runstart.fits.camera_keywords import CameraKeywords
from runstart.operation_kit import FitsFile, OutputImage, Work
from runstart.operations._frames import Frame, prepare_frame
from runstart.operations._naming import about
from runstart.operations._spilled_stack import SpilledStack

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header

_PREPARED = 0.6  # of the progress
_MEDIAN_NOISE = 1.2533  # of a median, in standard errors of the mean: the square root of pi / 2
_COPIES = 10  # bytes a value, that `make_master` and its argument take


@dataclass(frozen=True, eq=False)
class Combined:
    """What became of the frames.

    Attributes
    ----------
    data, uncertainty : float32[rows, cols]
        The uncertainty is the standard error that follows from the frames' scatter, NaN of a single frame.
    scatter : float
        Standard deviation of a pixel of a single frame, the median of all pixels; NaN of a single frame.
    header : Header
        Of the first frame.
    history : tuple of str
        What was done with the first frame; the others are treated alike.
    overscan : float
        Mean of the frames' overscan levels, ADU.
    """

    data: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]
    scatter: float
    header: Header
    history: tuple[str, ...]
    overscan: float

    def to_output(self, mask: npt.NDArray[np.uint16], label: str, figures: dict[str, float]) -> OutputImage:
        """Return the output, with figures that are not finite left out."""
        told = {name: round(value, 6) for name, value in figures.items() if math.isfinite(value)}
        told["bad_pixels"] = int(np.count_nonzero(mask))
        return OutputImage(
            self.data, self.header, self.uncertainty, mask, history=self.history, label=label, figures=told
        )


def combine_frames(
    work: Work, files: Sequence[FitsFile], keywords: str, change: Callable[[Frame], npt.NDArray[np.float32]]
) -> Combined:
    """Return what many frames have in common, combined as `runstart.images` combines master frames.

    Parameters
    ----------
    work : Work
        Is told the progress.
    files : sequence of FitsFile
        Raw frames.
    keywords : str
        By which their headers are read, as `CameraKeywords.parse` takes them.
    change : callable
        What is done with each prepared frame before they are combined.

    Raises
    ------
    Alert
        A frame cannot be used, or is of another shape than the first; names the file.
    """
    stack, first, levels = SpilledStack(work.scratch), None, []
    named = CameraKeywords.parse(keywords)
    for file in work.each(files, "Preparing", end=_PREPARED):
        frame = prepare_frame(file, named)
        first = frame if first is None else first
        if frame.data.shape != first.data.shape:
            raise Alert(
                f"{file.name} is of shape {frame.data.shape}, {first.name} of {first.data.shape}.",
                "Combine frames of one camera, binning and section.",
            )
        with about(file.name):
            stack.add(change(frame), None, frame.mask)
        levels.append(frame.overscan)
    if first is None:
        raise ValueError("there are no frames to combine")
    data, uncertainty = _combine(work, stack)
    header = first.header
    header["NCOMBINE"] = (len(files), "number of frames combined")
    known = uncertainty[np.isfinite(uncertainty)]
    share = math.sqrt(len(files)) / _noise_of_master(len(files))
    scatter = float(np.median(known)) * share if known.size else math.nan
    return Combined(data, uncertainty, scatter, header, first.history, float(np.mean(levels)))


def mark_bad_pixels(**masters: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Return the mask of a master, given as `bias`, `dark` or `flat`.

    Returns
    -------
    uint16[rows, cols]
        Bits of `MaskBit`.
    """
    from runstart.images import MaskBit, find_bad_pixels

    (data,) = masters.values()
    mask = np.where(find_bad_pixels(**masters), int(MaskBit.BAD), 0).astype(np.uint16)
    mask[~np.isfinite(data)] |= int(MaskBit.NO_DATA)
    return mask


def _combine(work: Work, stack: SpilledStack) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    from runstart.images import clipped_mean_planes, make_master

    data, uncertainty = np.empty(stack.shape, np.float32), np.empty(stack.shape, np.float32)
    noise = _noise_of_master(len(stack))
    for band in stack.bands(work.memory_limit, extra_per_value=_COPIES):
        done = band.rows.start / stack.shape[0]
        work.progress(_PREPARED + (0.95 - _PREPARED) * done, f"Combining {len(stack)} frames")
        values = np.where(band.flagged, np.float32(np.nan), band.data)
        data[band.rows] = make_master(list(values))
        uncertainty[band.rows] = clipped_mean_planes(values).uncertainty * noise
    return data, uncertainty


def _noise_of_master(n: int) -> float:
    """Return the noise of a master of n frames, in standard errors of the mean."""
    from runstart.images.masters import LEAST_MEAN

    return _MEDIAN_NOISE if n < LEAST_MEAN else 1.0
