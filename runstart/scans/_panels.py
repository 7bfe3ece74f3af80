"""The panels that pictures of a scan are made of: maps of the scan, deflections in colours, the diffraction pattern.

Row 0 is at the top, as the beam scans.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from runstart.product import MUTED, printable
from runstart.scans._display import (
    Limits,
    direction_colors,
    pattern_limits,
    radius_limit,
    shrink,
)
from runstart.scans._sheet import TITLE, Place, Sheet, draw_color_bar, draw_scale_bar, image_axes, write_head
from runstart.scans.axes import Axis, camera_axes, signal_unit
from runstart.scans.model import ScanProduct

MISSING = "#cdd2d8"  # what no frame has shown
MISSING_LINES = "#aab2bb"
SHADES = 44  # of a scale of colours: more cannot be told apart, and cost bytes
DETECTOR_COLORS = ("#4cc9f0", "#f9c74f", "#90e05e", "#ff7b9c", "#c8b6ff", "#ff9f43")
_MOST_LISTED = 12  # detectors
CROP_COLOR = "#ffffff"
_SHADOW = "#3a3348"


@dataclass(frozen=True)
class Look:
    """How a map is drawn.

    Attributes
    ----------
    title, unit : str
        Above the image, and above the scale of its colours.
    colors : str
        A colour map of matplotlib.
    limits : tuple of float
        Values of the first and last colour.
    """

    title: str
    unit: str
    colors: str
    limits: Limits


def draw_map(
    sheet: Sheet,
    place: Place,
    values: NDArray[Any],
    axes_of: tuple[Axis, Axis],
    look: Look,
    *,
    ticks: bool,
    note: str,
) -> None:
    """Draw a map of the scan, with positions that no frame has shown hatched.

    Parameters
    ----------
    sheet : Sheet
        Drawn on.
    place : Place
        For image, title and scale.
    values : ndarray of numbers, shape (rows, columns)
        NaN where there is none.
    axes_of : tuple of Axis
        y and x.
    look : Look
        Title, colours and their range.
    ticks : bool
        Whether the image has numbers along its sides.
    note : str
        What a map without any value says.
    """
    axes, image = image_axes(sheet, place, axes_of, ticks)
    write_head(sheet, place, look.title, look.unit if np.isfinite(values).any() else "")
    shown, factors = shrink(values, (int(image.height), int(image.width)))
    drawn = axes.imshow(
        np.ma.masked_invalid(shown),
        cmap=colormaps[look.colors].resampled(SHADES),
        norm=Normalize(*look.limits),
        extent=_extent(axes_of, shown.shape, factors),
        interpolation="nearest",
        aspect="auto",
    )
    _limit(axes, axes_of)
    _hatch_missing(axes, shown, note)
    if np.isfinite(shown).any():
        draw_color_bar(sheet, image, drawn)
    draw_scale_bar(sheet, image, axes_of, ticks=ticks)


def draw_directions(
    sheet: Sheet,
    place: Place,
    parts: NDArray[np.float64],
    axes_of: tuple[Axis, Axis],
    unit: str,
    *,
    ticks: bool,
    note: str,
) -> None:
    """Draw deflections as colours: the hue says where to, the lightness how far; with the wheel that says so.

    Parameters
    ----------
    sheet, place, axes_of, ticks, note
        As of `draw_map`.
    parts : ndarray of float64, shape (2, rows, columns)
        Deflections along columns and rows.
    unit : str
        Of the deflections.
    """
    axes, image = image_axes(sheet, place, axes_of, ticks)
    write_head(sheet, place, "deflection, direction and size", "")
    most = (int(image.height), int(image.width))
    (right, factors), (down, _) = (shrink(part, most) for part in parts)
    small = np.stack([right, down])
    known = np.isfinite(small).all(axis=0)
    radius = radius_limit(small)
    alpha = np.where(known, 255, 0).astype(np.uint8)[..., None]
    axes.imshow(
        np.concatenate([direction_colors(small, radius), alpha], axis=2),
        extent=_extent(axes_of, known.shape, factors),
        interpolation="nearest",
        aspect="auto",
    )
    _limit(axes, axes_of)
    _hatch_missing(axes, np.where(known, 0.0, np.nan), note)
    if known.any():
        _wheel(sheet, Place(image.left + image.width + 8, image.top, 50, 50), f"{radius:.2g} {unit}")
    draw_scale_bar(sheet, image, axes_of, ticks=ticks)


def draw_pattern(sheet: Sheet, place: Place, product: ScanProduct, *, ticks: bool, note: str) -> None:
    """Draw the summed diffraction pattern with the centre, the crop of the centre of mass and the virtual detectors.

    Parameters
    ----------
    sheet, place, ticks, note
        As of `draw_map`.
    product : ScanProduct
        Of a scan.
    """
    axes_of = camera_axes(product)
    axes, image = image_axes(sheet, place, axes_of, ticks)
    limits, log = pattern_limits(product.pattern)
    shown, factors = shrink(product.pattern, (int(image.height), int(image.width)))
    if not product.pattern.any():
        shown[:] = np.nan
    colors = colormaps["magma"].resampled(SHADES)
    norm = LogNorm(*limits, clip=True) if log else Normalize(*limits)
    # Nothing has no logarithm: it is as dark as the least.
    visible = np.where(shown <= limits[0], limits[0], shown) if log else shown
    drawn = axes.imshow(
        np.ma.masked_invalid(visible),
        cmap=colors,
        norm=norm,
        extent=_extent(axes_of, shown.shape, factors),
        interpolation="nearest",
        aspect="auto",
    )
    _limit(axes, axes_of)
    _hatch_missing(axes, shown, note)
    has_any = bool(np.isfinite(shown).any())
    write_head(sheet, place, "diffraction pattern, sum", signal_unit(product) if has_any else "")
    if has_any:
        draw_color_bar(sheet, image, drawn)
        _mark(axes, product, axes_of)
    draw_scale_bar(sheet, image, axes_of, ticks=ticks)


def draw_legend(sheet: Sheet, place: Place, product: ScanProduct) -> None:
    """List what is drawn over the diffraction pattern, with its lengths.

    Parameters
    ----------
    sheet, place
        As of `draw_map`.
    product : ScanProduct
        Of a scan.
    """
    x = camera_axes(product)[1]
    row, column = product.center
    entries = [("+", MUTED, "centre", f"row {row:.2f}, column {column:.2f} px")]
    crop = product.recipe.crop
    if crop is not None:
        size = f"\u00b1{crop.half_rows or 0:g} rows, \u00b1{crop.half_columns or 0:g} columns"
        if crop.radius is not None:
            size = f"r \u2264 {crop.radius:g} px"
        entries.append((":", MUTED, "crop of the centre of mass", size))
    for index, detector in enumerate(product.recipe.detectors[:_MOST_LISTED]):
        inner, outer = detector.inner * x.step, detector.outer * x.step
        entries.append(("-", detector_color(index), detector.name, f"{inner:.3g} \u2264 r < {outer:.3g} {x.unit}"))
    hidden = len(product.recipe.detectors) - _MOST_LISTED
    if hidden > 0:
        entries.append(("", MUTED, f"and {hidden} more detectors", ""))
    for index, (sign, color, name, size) in enumerate(entries):
        top = place.top + TITLE + 12 + 40 * index
        if sign == "-":
            sheet.fill(Place(place.left, top - 3, 22, 6), color)
        else:
            sheet.text(place.left + 11, top, {":": "\u2026"}.get(sign, sign), ha="center", size=12, color=color)
        sheet.text(place.left + 32, top, printable(name.replace("_", " "), 40), weight="bold")
        sheet.text(place.left + 32, top + 16, size, size=8.5, color=MUTED)


def detector_color(index: int) -> str:
    """Return the colour of a virtual detector's circles."""
    return DETECTOR_COLORS[index % len(DETECTOR_COLORS)]


def _mark(axes: Axes, product: ScanProduct, axes_of: tuple[Axis, Axis]) -> None:
    """Draw the centre, the crop and the detectors."""
    y, x = axes_of
    row, column = product.center
    middle = (x.at(column), y.at(row))
    for color, width in ((_SHADOW, 3.0), (CROP_COLOR, 1.2)):
        axes.plot(*middle, marker="+", color=color, markersize=9, markeredgewidth=width)
    for index, detector in enumerate(product.recipe.detectors):
        for radius in (detector.inner, detector.outer):
            if radius > 0:
                # Dashes are set off, so that circles upon each other are all seen; a shadow, so that they are on white.
                shadow = {"color": _SHADOW, "linewidth": 2.6, "linestyle": "-"}
                dashes = {"color": detector_color(index), "linewidth": 1.3, "linestyle": (index * 6.0, (6.0, 5.0))}
                for level, look in enumerate((shadow, dashes)):
                    axes.add_patch(Circle(middle, radius * x.step, fill=False, zorder=2 + level, **look))
    crop = product.recipe.crop
    if crop is None:
        return
    outline: Circle | Rectangle
    if crop.radius is not None:
        outline = Circle(middle, crop.radius * x.step)
    else:
        sides = ((column, crop.half_columns or 0.0, x), (row, crop.half_rows or 0.0, y))
        (left, right), (top, bottom) = (
            (axis.at(math.floor(at - half) + 0.5), axis.at(math.floor(at + half) + 0.5)) for at, half, axis in sides
        )
        outline = Rectangle((left, top), right - left, bottom - top)
    outline.set(fill=False, edgecolor=CROP_COLOR, linestyle=":", linewidth=1.2)
    axes.add_patch(outline)


def _extent(
    axes_of: tuple[Axis, Axis], shape: tuple[int, ...], factors: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return where blocks of values lie; the last may reach past the map."""
    y, x = axes_of
    bottom, right = (axis.at(n * factor - 0.5) for axis, n, factor in zip(axes_of, shape, factors, strict=True))
    return x.edges[0], right, bottom, y.edges[0]


def _limit(axes: Axes, axes_of: tuple[Axis, Axis]) -> None:
    y, x = axes_of
    axes.set_xlim(*x.edges)
    axes.set_ylim(*y.edges[::-1])


def _hatch_missing(axes: Axes, shown: NDArray[Any], note: str) -> None:
    """Hatch what lies below missing values; say why if all are missing."""
    missing = ~np.isfinite(shown)
    if not missing.any():
        return
    axes.patch.set(facecolor=MISSING, edgecolor=MISSING_LINES, hatch="////", linewidth=0)
    if missing.all():
        box = {"facecolor": MISSING, "edgecolor": "none", "pad": 3}
        axes.text(
            0.5, 0.5, note, transform=axes.transAxes, ha="center", va="center", size=10, color=MUTED, bbox=box
        )


def _wheel(sheet: Sheet, place: Place, label: str) -> None:
    """Draw the wheel of directions."""
    axes = sheet.axes(place)
    steps = np.linspace(-1, 1, 100)
    parts = np.stack(np.meshgrid(steps, steps))
    alpha = np.where(np.hypot(*parts) <= 1, 255, 0).astype(np.uint8)[..., None]
    axes.imshow(np.concatenate([direction_colors(parts, 1.0), alpha], axis=2), interpolation="nearest")
    axes.set_axis_off()
    sheet.text(place.left + place.width / 2, place.top + place.height + 10, label, ha="center", size=8)
