"""The master flat: how sensitive each pixel is, through one filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from runstart.operation_kit import Fits, FitsFile, OutputImage, Work, operation
from runstart.operations._camera import KEYWORDS
from runstart.operations._frames import Frame
from runstart.operations._kept_masters import read_master
from runstart.operations._masters import combine_frames, mark_bad_pixels

if TYPE_CHECKING:
    import numpy.typing as npt


@operation(
    name="Master Flat",
    version="1",
    description="Combines flat fields through one filter, less bias and dark, to the sensitivity of each pixel: 1 in "
    "the middle of the detector.",
)
def master_flat(
    work: Work,
    input_files: Annotated[
        list[FitsFile],
        Fits("Flat fields", "Raw flat fields of one camera, binning and filter.", single_filter=True),
    ],
    bias_file: Annotated[
        Sequence[FitsFile], Fits("Master bias", "What is subtracted from each.", minimum=0, maximum=1)
    ] = (),
    dark_file: Annotated[
        Sequence[FitsFile],
        Fits("Master dark", "What is subtracted from each, times its exposure time.", minimum=0, maximum=1),
    ] = (),
    keywords: Annotated[str, KEYWORDS] = "",
) -> OutputImage:
    """Return the master with its uncertainty, and a mask of dead pixels and columns.

    Each flat field is divided by the median of its middle before they are combined; so is the result. What is below
    0.05 there is NaN.
    """
    from runstart.images.masters import LEAST_FLAT, middle_level

    bias, dark = read_master(work, bias_file, "bias"), read_master(work, dark_file, "dark")
    levels = []

    def normalized(frame: Frame) -> npt.NDArray[np.float32]:
        data = frame.data if bias is None else frame.data - bias.fitting(frame)
        if dark is not None:
            data = data - dark.fitting(frame) * np.float32(frame.exposure_s())
        levels.append(middle_level(data))
        return data / np.float32(levels[-1])

    master = combine_frames(work, input_files, keywords, normalized)
    level = np.float32(middle_level(master.data))
    data = master.data / level
    data[~(data >= LEAST_FLAT)] = np.nan
    master = replace(master, data=data, uncertainty=master.uncertainty / level)
    master.header["BUNIT"] = ("", "no unit: sensitivity relative to the middle")
    figures = {"frames": len(input_files), "level_adu": float(np.median(levels)), "overscan_adu": master.overscan}
    return master.to_output(mark_bad_pixels(flat=data), "Master flat", figures)
