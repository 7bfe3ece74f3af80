"""Images without the cosmic rays that a single exposure shows by their sharp edges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import numpy as np

from runstart.operation_kit import Fits, FitsFile, Float, OutputImage, Work, operation
from runstart.operations import _camera
from runstart.operations._naming import about


@operation(
    name="Cosmic Ray Rejection",
    version="1",
    description="Finds what is sharper than any star, replaces it by its neighbours, and flags it in the mask.",
)
def cosmic_ray_rejection(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Images that still have their sky.")],
    contrast: Annotated[
        float,
        Float(
            "Contrast",
            "How much sharper than a star a cosmic ray must be: larger values spare the cores of sharp stars.",
            0.1,
            1000.0,
        ),
    ] = 5.0,
) -> Iterator[OutputImage]:
    """Yield every image, cleaned; gain, read noise and saturation are those of its header."""
    from runstart.images import MaskBit, reject_cosmic_rays

    for file in work.each(input_files, "Looking for cosmic rays in"):
        image = file.read()
        gain = _camera.number_of(image.header, _camera.GAIN, file.name)
        saturation = _camera.number_of(image.header, _camera.SATURATION, file.name)
        with about(file.name):
            cleaned = reject_cosmic_rays(
                image.data,
                gain=1.0 if gain is None or _camera.is_in_electrons(image.header) else gain,
                read_noise=_camera.number_of(image.header, _camera.READ_NOISE, file.name) or 0.0,
                saturation=math.inf if saturation is None else saturation,
                mask=image.mask,
                contrast=contrast,
            )
        mask = np.zeros(image.data.shape, np.uint16) if image.mask is None else image.mask
        mask = np.where(cleaned.mask, mask | int(MaskBit.COSMIC_RAY), mask)
        figures = {"cosmic_ray_pixels": int(np.count_nonzero(cleaned.mask))}
        yield OutputImage(cleaned.cleaned, image.header, image.uncertainty, mask, label=file.name, figures=figures)
