"""Stars and galaxies of images, as tables in the FITS files: where, how bright, how wide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from runstart.fits.camera_keywords import CameraKeywords
from runstart.operation_kit import Fits, FitsFile, Float, OutputImage, Work, operation
from runstart.operations._camera import KEYWORDS
from runstart.operations._naming import about
from runstart.operations._sources import find_sources


@operation(
    name="Source Catalog",
    version="1",
    description="Finds the sources of images, and adds them as a table: position, flux, width.",
)
def source_catalog(
    work: Work,
    input_files: Annotated[
        list[FitsFile], Fits("Input files", "Images of stars or galaxies.", minimum=1, maximum=99)
    ],
    threshold: Annotated[
        float, Float("Threshold", "Standard deviations that a source is above the sky.", 1.0, 1000.0)
    ] = 5.0,
    keywords: Annotated[str, KEYWORDS] = "",
) -> Iterator[OutputImage]:
    """Yield every image as it is, with the catalogue of its sources."""
    for file in work.each(input_files, "Looking for sources in"):
        image = file.read()
        with about(file.name):
            found = find_sources(
                image.data,
                image.header,
                file.name,
                uncertainty=image.uncertainty,
                mask=image.mask,
                threshold=threshold,
                gain_keywords=CameraKeywords.parse(keywords).gain,
            )
        yield OutputImage(
            image.data,
            image.header,
            image.uncertainty,
            image.mask,
            found.table,
            label=file.name,
            figures=found.figures,
        )
