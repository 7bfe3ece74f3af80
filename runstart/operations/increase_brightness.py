"""Adds a number to every pixel: the smallest data operation, and the example of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from runstart.operation_kit import Fits, FitsFile, Float, OutputImage, Work, operation


@operation(name="Increase Brightness", version="1", description="Adds a number to every pixel of every image.")
def increase_brightness(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Images to brighten.")],
    brightness: Annotated[float, Float("Brightness", "What is added, in the unit of the images.", -1e9, 1e9)],
) -> Iterator[OutputImage]:
    """Yield every image, brightened; its planes of uncertainty and mask stay as they are."""
    for file in work.each(input_files, "Brightening"):
        image = file.read()
        yield OutputImage(image.data + brightness, image.header, image.uncertainty, image.mask, label=file.name)
