"""Images whose median is 1, so that flats and images of different exposure can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from runstart.errors import Alert
from runstart.operation_kit import Fits, FitsFile, OutputImage, Work, operation
from runstart.operations._planes import as_float


@operation(name="Normalization", version="1", description="Divides every image by its own median, which becomes 1.")
def normalization(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Images to normalize.")],
) -> Iterator[OutputImage]:
    """Yield every image divided by the median of its pixels; NaN is left out of the median."""
    for file in work.each(input_files, "Normalizing"):
        image = file.read()
        data = as_float(image.data)
        median = np.nanmedian(data)
        if median == 0 or not np.isfinite(median):
            raise Alert(f"The median of {file.name} is {median:g}: it cannot be normalized.", "Leave it out.")
        uncertainty = None if image.uncertainty is None else image.uncertainty / np.abs(median)
        yield OutputImage(
            data / median, image.header, uncertainty, image.mask, label=file.name, figures={"median": float(median)}
        )
