"""What is to be computed of the frames of a scan: counting, crop, virtual detectors. A recipe is data; it decides nothing.

All lengths are in pixels of the frames as they are analysed, that is after binning. A centre is (row, column), where the
middle of the first pixel is (0, 0).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DETECTOR_NAME = r"^[a-z][a-z0-9_]{0,39}$"

Length = Annotated[float, Field(ge=0, le=1e5, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Counting(_Frozen):
    """How electrons are found in a dense frame: see `count_electrons`."""

    background_threshold: Annotated[float, Field(allow_inf_nan=False)] = 28.0
    """A pixel at or below it is background."""

    xray_threshold: Annotated[float, Field(allow_inf_nan=False)] = 2000.0
    """A pixel at or above it is an x-ray's."""

    @model_validator(mode="after")
    def _check_order(self) -> Counting:
        if self.background_threshold >= self.xray_threshold:
            raise ValueError("background_threshold must be below xray_threshold")
        return self


class Crop(_Frozen):
    """The pixels around the centre that count for the centre of mass.

    A rectangle is half-open: `-half < index - center <= half` on either axis. A circle is closed: `r <= radius`.
    """

    shape: Literal["rectangle", "circle"] = "rectangle"
    half_rows: Length | None = None
    half_columns: Length | None = None
    radius: Length | None = None

    @model_validator(mode="after")
    def _check_sizes(self) -> Crop:
        sides = (self.half_rows, self.half_columns)
        if self.shape == "rectangle" and (None in sides or self.radius is not None):
            raise ValueError("a rectangle has half_rows and half_columns, and no radius")
        if self.shape == "circle" and (self.radius is None or sides != (None, None)):
            raise ValueError("a circle has a radius, and neither half_rows nor half_columns")
        return self


class Detector(_Frozen):
    """A virtual detector around the centre: the pixels with `inner <= r < outer`."""

    name: Annotated[str, Field(pattern=DETECTOR_NAME)]
    inner: Length = 0.0
    outer: Length

    @model_validator(mode="after")
    def _check_radii(self) -> Detector:
        if self.inner >= self.outer:
            raise ValueError(f"{self.name}: inner must be below outer")
        return self


class Recipe(_Frozen):
    """What is computed of a scan."""

    counting: Counting | None = None
    """Electrons are counted first, and everything else is made of their events; None takes pixels as they are."""

    bin_by: Annotated[int, Field(ge=1, le=64)] = 1
    """Pixels that are added together along each axis, after counting."""

    center: tuple[float, float] | None = None
    """(row, column) of the undeflected beam; None finds it in the first row of the scan."""

    crop: Crop | None = None
    """Of the centre of mass; None takes the whole frame."""

    detectors: tuple[Detector, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Recipe:
        names = [detector.name for detector in self.detectors]
        if len(set(names)) < len(names):
            raise ValueError("two detectors have the same name")
        return self
