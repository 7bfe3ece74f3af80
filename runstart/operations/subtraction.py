"""The difference between images and one other: what has changed, or what is left without a background or dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from runstart.operation_kit import Fits, FitsFile, OutputImage, Work, operation
from runstart.operations._planes import add_in_quadrature, as_float, join_masks


@operation(
    name="Subtraction",
    version="1",
    description="Subtracts one image from each of the others, pixel by pixel, cropped to the shape both have.",
)
def subtraction(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Images to subtract from.")],
    subtraction_file: Annotated[
        list[FitsFile], Fits("Subtraction file", "The image that is subtracted.", minimum=1, maximum=1)
    ],
) -> Iterator[OutputImage]:
    """Yield every image less the other, in floating point; uncertainties add in quadrature, masks join."""
    from runstart.images import crop_to_common

    (other_file,) = subtraction_file
    other = other_file.read()
    for file in work.each(input_files, "Subtracting from"):
        image = file.read()
        one, less = crop_to_common([as_float(image.data), as_float(other.data)])
        rows, columns = one.shape
        common = slice(rows), slice(columns)
        yield OutputImage(
            one - less,
            image.header,
            add_in_quadrature(image.uncertainty, other.uncertainty, common),
            join_masks(image.mask, other.mask, common),
            label=f"{file.name} - {other_file.name}",
        )
