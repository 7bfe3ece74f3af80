"""The sum of images, pixel by pixel or on a common piece of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from runstart.operation_kit import Fits, FitsFile, OutputImage, Select, Work, operation
from runstart.operations._spilled_stack import spill
from runstart.operations._stacks import stack_inputs

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header

_READ, _DONE = 0.3, 0.95  # of the progress


@operation(
    name="Stacking",
    version="1",
    description="Adds images up, so that faint objects stand out: as they lie, or laid upon each other by their WCS.",
)
def stacking(
    work: Work,
    input_files: Annotated[
        list[FitsFile],
        Fits(
            "Input files",
            "Two images or more. Masks are not looked at: Mean Stack leaves masked pixels out.",
            minimum=2,
        ),
    ],
    stacking_mode: Annotated[
        str,
        Select(
            "Mode",
            "simple: pixel on pixel, cropped to the common shape; reproject: on one grid of the sky, by each WCS.",
            options=("simple", "reproject"),
        ),
    ] = "simple",
) -> OutputImage:
    """Return the sum of the images; NaN counts as 0."""
    figures = {"images": len(input_files), "mode": stacking_mode}
    label = f"Sum of {len(input_files)}"
    if stacking_mode == "simple":
        data, header = stack_inputs(work, input_files, "sum")
        return OutputImage(data, header, label=label, figures=figures)
    data, header = _reproject(work, input_files)
    return OutputImage(data, header, label=label, figures=figures)


def _reproject(work: Work, files: Sequence[FitsFile]) -> tuple[npt.NDArray[Any], Header]:
    """Return the sum on a common grid; the images lie in scratch files, and are in memory one at a time."""
    from runstart.images import reproject_and_sum
    from runstart.operations._registration import celestial_wcs

    images, headers = [], []
    for number, file in enumerate(work.each(files, "Reading", end=_READ)):
        image = file.read()
        celestial_wcs(image.header, file.name)
        path = work.scratch / f"image-{number}.data"
        spill(path, image.data)
        images.append(np.memmap(path, image.data.dtype, "r", shape=image.data.shape))
        headers.append(image.header)

    def tell(done: float) -> None:
        work.progress(_READ + (_DONE - _READ) * done, f"Reprojecting {len(files)} images")

    tell(0.0)
    return reproject_and_sum(images, headers, tell, work.memory_limit)
