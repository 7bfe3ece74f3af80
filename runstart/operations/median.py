"""The median of images: what is in most of them stays, what is in few goes."""

from __future__ import annotations

from typing import Annotated

from runstart.operation_kit import Fits, FitsFile, OutputImage, Work, operation
from runstart.operations._stacks import stack_inputs


@operation(
    name="Median",
    version="1",
    description="Takes the median of each pixel over all images: satellites, cosmic rays and noise go, stars stay.",
)
def median(
    work: Work,
    input_files: Annotated[
        list[FitsFile],
        Fits(
            "Input files",
            "Two images or more; they are cropped to the shape they have in common. Masks are not looked at: Mean "
            "Stack leaves masked pixels out.",
            minimum=2,
        ),
    ],
) -> OutputImage:
    """Return the median of the images' common part, from the first pixel on; NaN is ignored."""
    data, header = stack_inputs(work, input_files, "median")
    return OutputImage(data, header, label=f"Median of {len(input_files)}", figures={"images": len(input_files)})
