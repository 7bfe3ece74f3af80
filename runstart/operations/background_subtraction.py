"""Images without their sky."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from runstart.operation_kit import Fits, FitsFile, Int, OutputImage, Work, operation
from runstart.operations._naming import about


@operation(
    name="Background Subtraction",
    version="1",
    description="Subtracts a smooth sky, which is found in boxes after stars are clipped away.",
)
def background_subtraction(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Images of stars or galaxies.")],
    box: Annotated[
        int, Int("Box", "Side of the boxes in pixels: larger than the largest star or galaxy.", 8, 4096)
    ] = 64,
) -> Iterator[OutputImage]:
    """Yield every image without its sky; what its mask flags is not taken for sky."""
    from runstart.images import subtract_background

    for file in work.each(input_files, "Subtracting the sky of"):
        image = file.read()
        with about(file.name):
            sky = subtract_background(image.data, image.mask, box)
        figures = {
            "background": round(float(np.median(sky.background)), 6),
            "noise": round(float(np.median(sky.rms)), 6),
        }
        yield OutputImage(
            sky.subtracted, image.header, image.uncertainty, image.mask, label=file.name, figures=figures
        )
