"""Images without the cosmic rays that a single exposure shows by their sharp edges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import numpy as np

from runstart.fits.camera_keywords import CameraKeywords
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
    keywords: Annotated[str, _camera.KEYWORDS] = "",
) -> Iterator[OutputImage]:
    """Yield every image, cleaned; gain, read noise and saturation are those of its header."""
    from runstart.images import MaskBit, reject_cosmic_rays

    named = CameraKeywords.parse(keywords)
    for file in work.each(input_files, "Looking for cosmic rays in"):
        image = file.read()
        history = []
        gain = _camera.number_of(image.header, named.gain, file.name)
        saturation = _camera.number_of(image.header, named.saturation, file.name)
        if _camera.is_in_electrons(image.header):
            gain = 1.0
        elif gain is None:
            gain = 1.0
            history.append("no gain in the header: 1 electron per ADU is taken for granted")
        read_noise = _camera.number_of(image.header, named.read_noise, file.name)
        if read_noise is None:
            read_noise = 0.0
            history.append("no read noise in the header: 0 is taken for granted")
        with about(file.name):
            cleaned = reject_cosmic_rays(
                image.data,
                gain=gain,
                read_noise=read_noise,
                saturation=math.inf if saturation is None else saturation,
                mask=image.mask,
                contrast=contrast,
            )
        mask = np.zeros(image.data.shape, np.uint16) if image.mask is None else image.mask
        mask = np.where(cleaned.mask, mask | int(MaskBit.COSMIC_RAY), mask)
        figures = {"cosmic_ray_pixels": int(np.count_nonzero(cleaned.mask))}
        yield OutputImage(
            cleaned.cleaned,
            image.header,
            image.uncertainty,
            mask,
            history=history,
            label=file.name,
            figures=figures,
        )
