"""The master bias: what a detector reads without light or time."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from runstart.operation_kit import Fits, FitsFile, OutputImage, Work, operation
from runstart.operations._camera import KEYWORDS
from runstart.operations._masters import combine_frames, mark_bad_pixels


@operation(
    name="Master Bias",
    version="1",
    description="Combines bias frames: without the level of their overscan, trimmed, as their headers say.",
)
def master_bias(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Bias frames", "Raw bias frames of one camera and binning.")],
    keywords: Annotated[str, KEYWORDS] = "",
) -> OutputImage:
    """Return the master in ADU, with its uncertainty, and a mask of noisy pixels and columns."""
    master = combine_frames(work, input_files, keywords, lambda frame: frame.data)
    figures = {
        "frames": len(input_files),
        "level_adu": float(np.nanmedian(master.data)),
        "overscan_adu": master.overscan,
        "noise_adu": master.scatter,
    }
    return master.to_output(mark_bad_pixels(bias=master.data), "Master bias", figures)
