"""What panels are set on: places in pixels, axes for an image that fit its shape, scales of colours and of lengths.

All places are in pixels from the top left corner of the picture: so panels fit whatever the shape of the scan, and images
are drawn without a layout being searched for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from runstart.product import DPI, INK, MUTED, TIDY_STEPS, printable, short_number
from runstart.scans._display import length_label, round_length
from runstart.scans.axes import Axis

TITLE = 22  # above an image
_FOOT = 26  # below an image without numbers
_BAR = 66  # right of an image: scale of colours and its numbers
_TICKS = (56, 42)  # left of and below an image with numbers
_LONGEST_RATIO = 4.0  # of the sides of an image; a longer one is stretched


@dataclass(frozen=True)
class Place:
    """A rectangle of the picture in pixels from its top left corner."""

    left: float
    top: float
    width: float
    height: float


class Sheet:
    """A picture that panels are drawn on.

    Parameters
    ----------
    width, height : int
        In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")

    def axes(self, place: Place) -> Axes:
        """Return axes that fill a place, without numbers."""
        left, bottom = place.left / self.width, 1 - (place.top + place.height) / self.height
        axes = self.figure.add_axes((left, bottom, place.width / self.width, place.height / self.height))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_linewidth(0.6)
            spine.set_color(MUTED)
        return axes

    def text(self, left: float, top: float, words: str, **options: Any) -> None:
        """Write words at a place, upright centred; they are never mathematics."""
        options = {"size": 9.0, "color": INK, "va": "center", "parse_math": False, **options}
        self.figure.text(left / self.width, 1 - top / self.height, words, **options)

    def fill(self, place: Place, color: str) -> None:
        """Fill a place with a colour."""
        corner = (place.left / self.width, 1 - (place.top + place.height) / self.height)
        size = (place.width / self.width, place.height / self.height)
        self.figure.add_artist(Rectangle(corner, *size, facecolor=color, edgecolor="none", zorder=-1))


def height_for(axes_of: tuple[Axis, Axis], width: int, *, ticks: bool) -> int:
    """Return how high a panel of a width is whose image fills it.

    Parameters
    ----------
    axes_of : tuple of Axis
        y and x of the image; one that is higher than wide gets a square.
    width : int
        In pixels.
    ticks : bool
        Whether the image has numbers along its sides.
    """
    y, x = axes_of
    left, bottom = _TICKS if ticks else (0, _FOOT)
    ratio = min(max(x.length / y.length, 1.0), _LONGEST_RATIO)
    return TITLE + bottom + math.ceil(max((width - left - _BAR) / ratio, 60))


def image_axes(sheet: Sheet, place: Place, axes_of: tuple[Axis, Axis], ticks: bool) -> tuple[Axes, Place]:
    """Return axes for an image as large as the place allows, and where they are."""
    y, x = axes_of
    left, bottom = _TICKS if ticks else (0, _FOOT)
    width, height = place.width - left - _BAR, place.height - TITLE - bottom
    ratio = min(max(x.length / y.length, 1 / _LONGEST_RATIO), _LONGEST_RATIO)
    size = (width, width / ratio) if width / ratio <= height else (height * ratio, height)
    image = Place(place.left + left, place.top + TITLE, *(float(round(side)) for side in size))
    axes = sheet.axes(image)
    if ticks:
        for axis, pixels in ((axes.xaxis, image.width), (axes.yaxis, image.height)):
            axis.set_major_locator(MaxNLocator(max(1, min(6, int(pixels / 55))), steps=TIDY_STEPS))
            axis.set_major_formatter(FuncFormatter(short_number))
        axes.set_xlabel(x.label, size=9, color=INK, loc="left")
        axes.set_ylabel(y.label, size=9, color=INK)
        axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3)
    return axes, image


def write_head(sheet: Sheet, place: Place, title: str, unit: str) -> None:
    """Write title and unit above an image."""
    room = max(8, int((place.width - 6.2 * len(unit)) / 7.2))
    sheet.text(place.left, place.top + 10, printable(title, room), weight="bold", size=9.5)
    sheet.text(place.left + place.width - 4, place.top + 10, unit, ha="right", size=8.5, color=MUTED)


def draw_color_bar(sheet: Sheet, image: Place, drawn: AxesImage) -> None:
    """Draw the scale of an image's colours beside it."""
    axes = sheet.axes(Place(image.left + image.width + 7, image.top, 10, max(image.height, 60)))
    bar = sheet.figure.colorbar(drawn, cax=axes)
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3, which="major", pad=2)
    axes.tick_params(length=0, which="minor")
    if isinstance(drawn.norm, LogNorm):
        few = float(drawn.norm.vmax or 1) < 100 * float(drawn.norm.vmin or 1)
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=8))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(max(2, min(5, int(image.height / 40))), steps=TIDY_STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))


def draw_scale_bar(sheet: Sheet, image: Place, axes_of: tuple[Axis, Axis], *, ticks: bool) -> None:
    """Draw a bar of a round length below an image: at the left, or right of the label if there are numbers."""
    y, x = axes_of
    whole = x.step * x.length
    if x.unit in ("positions", "px") and x.length < 4:
        return
    length = round_length(0.3 * whole)
    pixels = length / whole * image.width
    label = length_label(length, x.unit)
    if not 1 / _LONGEST_RATIO <= x.length / y.length <= _LONGEST_RATIO:
        label += " across"
    left, top = image.left, image.top + image.height + 12
    if ticks:
        left += max(image.width - pixels - 7 - 6.5 * len(label), 8.0 * len(x.label) + 6)
        top += 22
    sheet.fill(Place(left, top - 2, pixels, 4), INK)
    sheet.text(left + pixels + 7, top, label, size=8.5)
