"""The master dark: what a detector collects in a second without light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from runstart.errors import Alert
from runstart.fits.camera_keywords import CameraKeywords
from runstart.operation_kit import Fits, FitsFile, OutputImage, Work, operation
from runstart.operations._camera import KEYWORDS, to_one_second
from runstart.operations._frames import Frame
from runstart.operations._kept_masters import read_master
from runstart.operations._masters import combine_frames, mark_bad_pixels

if TYPE_CHECKING:
    import numpy.typing as npt


@operation(
    name="Master Dark",
    version="1",
    description="Combines dark frames, less the bias, to the dark current of each pixel in a second.",
)
def master_dark(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Dark frames", "Raw dark frames of one camera and binning.")],
    bias_file: Annotated[
        Sequence[FitsFile], Fits("Master bias", "What is subtracted from each.", minimum=0, maximum=1)
    ] = (),
    keywords: Annotated[str, KEYWORDS] = "",
) -> OutputImage:
    """Return the master in ADU per second, with its uncertainty, and a mask of hot pixels and columns."""
    bias = read_master(work, bias_file, "bias")

    def per_second(frame: Frame) -> npt.NDArray[np.float32]:
        seconds = frame.exposure_s()
        if seconds <= 0:
            raise Alert(f"{frame.name} was exposed for {seconds:g} s.", "Leave it out: it is no dark frame.")
        less_bias = frame.data if bias is None else frame.data - bias.fitting(frame)
        return np.asarray(less_bias / seconds, np.float32)

    master = combine_frames(work, input_files, keywords, per_second)
    master.header["BUNIT"] = ("adu/s", "unit of the image")
    to_one_second(master.header, CameraKeywords.parse(keywords))
    figures = {
        "frames": len(input_files),
        "dark_adu_per_s": float(np.nanmedian(master.data)),
        "overscan_adu": master.overscan,
    }
    return master.to_output(mark_bad_pixels(dark=master.data), "Master dark", figures)
