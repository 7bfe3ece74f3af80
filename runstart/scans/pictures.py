"""Draws the pictures of a scan as PNG: maps with scale bars, the diffraction pattern with what was made of it.

Row 0 of the scan is at the top, column 0 at the left. Positions without a frame are hatched. Large maps are shown as
means of blocks, never skipped over. One picture is drawn at a time in a process, and none touches matplotlib's global
state, so any thread may ask for one.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runstart.scans._display import deflections, deviation_limits, direction_colors, power_spectrum, robust_limits
from runstart.scans.axes import Axis, camera_axes, phase_unit, scan_axes, signal_unit
from runstart.scans.model import ScanProduct

if TYPE_CHECKING:
    from PIL import Image

    from runstart.scans._sheet import Place, Sheet

__all__ = ["coverage", "overview_picture", "scan_pictures"]

_Panel: TypeAlias = Callable[["Sheet", "Place", ScanProduct, bool], None]  # the last: whether with numbers

MOST_IMAGES = 12
"""Virtual images in their picture; the file has all."""

_MOST_IN_OVERVIEW = 4
_SMALL, _LARGE, _LARGEST, _LEGEND = 300, 420, 600, 300  # widths of panels
_SQUARE = (Axis("y", 0, 1, 1, ""), Axis("x", 0, 1, 1, ""))
_TOP, _FOOT, _EDGE, _GAP = 50, 30, 16, 8
_NARROWEST = 640  # room for the title
_LINE, _TRACK = "#31688e", "#e3e6ea"
_ALARM, _ALARM_FIELD = "#b42318", "#fde3df"
_COLOR_MAPS = ("viridis", "RdBu_r", "cividis", "magma")
_COMPRESSION = 4  # a higher one takes three times as long for a tenth


def scan_pictures(product: ScanProduct) -> dict[str, bytes]:
    """Return all pictures of a scan by file name.

    Parameters
    ----------
    product : ScanProduct
        Of a scan, finished or not.

    Returns
    -------
    dict of str to bytes
        `overview.png`, `center_of_mass.png`, `virtual_images.png` (if there are detectors), `phase.png`,
        `diffraction_pattern.png`.
    """
    images: list[_Panel] = [partial(_draw_image, name=name) for name in product.virtual_images]
    parts = deflections(product.center_of_mass) * _pixel(product)
    hidden = len(images) - MOST_IMAGES
    more = f"{hidden} more virtual images in the file" if hidden > 0 else ""
    pictures = {
        "overview.png": overview_picture(product),
        "center_of_mass.png": _large(product, [*_part_panels(parts), partial(_draw_directions, parts=parts)]),
        "phase.png": _large(product, [_draw_phase, _draw_power]),
        "diffraction_pattern.png": _diffraction_pattern(product),
    }
    if images:
        pictures["virtual_images.png"] = _large(product, images[:MOST_IMAGES], more)
    return pictures


def overview_picture(product: ScanProduct) -> bytes:
    """Return one picture of the whole scan as PNG, quick enough to be drawn each second while it goes on.

    Parameters
    ----------
    product : ScanProduct
        Of a scan; its title says how much of it is there.
    """
    from runstart.scans._sheet import height_for

    images = list(product.virtual_images)
    shown = images[:_MOST_IN_OVERVIEW]
    parts = deflections(product.center_of_mass) * _pixel(product)
    panels: list[_Panel] = [_draw_pattern, *(partial(_draw_image, name=name) for name in shown)]
    panels += _part_panels(parts)
    if len(panels) % 2 == 0:
        panels.append(partial(_draw_directions, parts=parts))
    panels.append(_draw_phase)
    columns = len(panels) // 2
    hidden = len(images) - len(shown)
    more = f"{hidden} more virtual images in their own picture" if hidden else ""
    heights = [_GAP + height_for(axes, _SMALL - _GAP, ticks=False) for axes in (_SQUARE, scan_axes(product))]
    return _picture(product, panels, [_SMALL] * columns, heights, more, ticks=False, few_colors=True)


def coverage(product: ScanProduct) -> str:
    """Return how much of a scan its product covers, in words: `37 % of 4,096 positions`.

    Parameters
    ----------
    product : ScanProduct
        Of a scan.
    """
    positions = product.frame_counts.size
    words = f"{positions:,} positions" if positions > 1 else "1 position"
    part = product.accounting.covered
    if product.ended == "broken off":
        return f"broken off at {_percent(part)} of {words}"
    if part >= 1:
        return words if product.ended else f"100 % of {words}"
    return f"{_percent(part)} of {words}"


def _percent(part: float) -> str:
    """Return a part in percent, rounded down: only all is 100 %."""
    if 0 < part < 0.01 or 0.99 <= part < 1:
        return f"{min(math.floor(part * 1000 + 1e-9), 999) / 10:g} %"
    return f"{math.floor(part * 100 + 1e-9)} %"


def _large(product: ScanProduct, panels: list[_Panel], more: str = "") -> bytes:
    """Return a picture of large maps of the scan, up to three in a row."""
    from runstart.scans._sheet import height_for

    columns = min(len(panels), 3)
    height = 2 * _GAP + height_for(scan_axes(product), _LARGE - _GAP, ticks=True)
    return _picture(product, panels, [_LARGE] * columns, [height] * -(-len(panels) // columns), more)


def _diffraction_pattern(product: ScanProduct) -> bytes:
    from runstart.scans._sheet import height_for

    heights = [_GAP + height_for(camera_axes(product), _LARGEST - _GAP, ticks=True)]
    return _picture(product, [_draw_pattern, _draw_legend], [_LARGEST, _LEGEND], heights)


def _picture(
    product: ScanProduct,
    panels: list[_Panel],
    widths: list[int],
    heights: list[int],
    more: str = "",
    *,
    ticks: bool = True,
    few_colors: bool = False,
) -> bytes:
    """Return a PNG with panels in columns and rows of so many pixels, below the title."""
    from runstart.product import drawing
    from runstart.scans._sheet import Place, Sheet

    with drawing:
        sheet = Sheet(2 * _EDGE + max(sum(widths), _NARROWEST), _TOP + sum(heights) + _FOOT)
        _write_title(sheet, product)
        for index, draw in enumerate(panels):
            row, column = divmod(index, len(widths))
            corner = (_EDGE + sum(widths[:column]), _TOP + sum(heights[:row]))
            draw(sheet, Place(*corner, widths[column] - _GAP, heights[row]), product, ticks)
        _write_foot(sheet, product, more)
        return _png(sheet, few_colors)


def _write_title(sheet: Sheet, product: ScanProduct) -> None:
    """Write which scan it is and how much of it is there; a scan that was broken off is marked."""
    from runstart.product import INK, MUTED, printable
    from runstart.scans._sheet import Place

    is_broken = product.ended == "broken off"
    if is_broken:
        sheet.fill(Place(0, 0, sheet.width, 34), _ALARM_FIELD)
    title = f"{printable(product.scan, 40)} \u2014 {coverage(product)}"
    sheet.text(_EDGE, 18, title, size=12, weight="bold", color=_ALARM if is_broken else INK)
    started = printable(product.header.started, 40)
    aside = [printable(product.microscope, 30), f"started {started}" if started else ""]
    sheet.text(sheet.width - _EDGE, 18, "   ·   ".join(filter(None, aside)), ha="right", color=MUTED)
    color = _ALARM if is_broken else _LINE
    if product.accounting.covered < 1:
        sheet.fill(Place(0, 34, sheet.width, 3), _TRACK)
        sheet.fill(Place(0, 34, sheet.width * product.accounting.covered, 3), color)


def _write_foot(sheet: Sheet, product: ScanProduct, more: str) -> None:
    """Write what became of the frames."""
    from runstart.product import MUTED

    accounting, header = product.accounting, product.header
    words = [f"{accounting.seen:,} of {accounting.expected:,} frames"]
    kinds = ("duplicate", "unplaced", "damaged")
    words += [f"{count:,} {kind}" for kind in kinds if (count := getattr(accounting, kind))]
    words.append(f"{_sides(header.scan_shape)} positions, {_sides(header.frame_shape)} px")
    if product.recipe.bin_by > 1:
        words.append(f"binned by {product.recipe.bin_by}")
    if "voltage_kv" in header.calibration:
        words.append(f"{header.calibration['voltage_kv']:g} kV")
    if not product.frame_counts.all():
        words.append("grey, hatched: no frame")
    if more:
        words.append(more)
    sheet.text(_EDGE, sheet.height - 14, "   ·   ".join(words), size=8.5, color=MUTED)


def _sides(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} \u00d7 {shape[1]:,}"


def _note(product: ScanProduct) -> str:
    """Return what a map without any value says."""
    if product.accounting.seen:
        return "no signal"
    return "no frames" if product.ended else "no frames yet"


def _draw_pattern(sheet: Sheet, place: Place, product: ScanProduct, ticks: bool) -> None:
    from runstart.scans._panels import draw_pattern

    draw_pattern(sheet, place, product, ticks=ticks, note=_note(product))


def _draw_legend(sheet: Sheet, place: Place, product: ScanProduct, ticks: bool) -> None:
    """List centre, detectors and crop beside the pattern."""
    from runstart.scans._panels import draw_legend

    del ticks  # it has no image
    draw_legend(sheet, place, product)


def _draw_image(sheet: Sheet, place: Place, product: ScanProduct, ticks: bool, *, name: str) -> None:
    from runstart.scans._panels import Look, draw_map

    image = product.virtual_images[name]
    look = Look(name.replace("_", " "), f"{signal_unit(product)}/frame", "viridis", robust_limits(image))
    draw_map(sheet, place, image, scan_axes(product), look, ticks=ticks, note=_note(product))


def _part_panels(parts: NDArray[np.float64]) -> list[_Panel]:
    """Return the panels of deflections along columns and along rows."""
    return [partial(_draw_part, values=part, name=name) for part, name in zip(parts, "xy", strict=True)]


def _draw_part(
    sheet: Sheet, place: Place, product: ScanProduct, ticks: bool, *, values: NDArray[np.float64], name: str
) -> None:
    from runstart.scans._panels import Look, draw_map

    title = f"centre of mass, {name} \u2212 mean"
    look = Look(title, camera_axes(product)[0].unit, "RdBu_r", deviation_limits(values))
    draw_map(sheet, place, values, scan_axes(product), look, ticks=ticks, note=_note(product))


def _draw_directions(
    sheet: Sheet, place: Place, product: ScanProduct, ticks: bool, *, parts: NDArray[np.float64]
) -> None:
    from runstart.scans._panels import draw_directions

    unit = camera_axes(product)[0].unit
    draw_directions(sheet, place, parts, scan_axes(product), unit, ticks=ticks, note=_note(product))


def _draw_phase(sheet: Sheet, place: Place, product: ScanProduct, ticks: bool) -> None:
    from runstart.scans._panels import Look, draw_map

    unit = phase_unit(product.header).replace("*", "\u00d7")
    look = Look("phase", unit, "cividis", robust_limits(product.phase))
    draw_map(sheet, place, product.phase, scan_axes(product), look, ticks=ticks, note=_note(product))


def _draw_power(sheet: Sheet, place: Place, product: ScanProduct, ticks: bool) -> None:
    """Draw the power spectrum of the phase: a crystal's planes are spots."""
    from runstart.scans._panels import Look, draw_map

    power = power_spectrum(product.phase)
    unit = "1/nm" if scan_axes(product)[0].unit == "nm" else "1/position"
    axes = [
        Axis(f"k_{axis.name}", -(axis.length // 2) / whole, 1 / whole, axis.length, unit)
        for axis in scan_axes(product)
        if (whole := axis.length * axis.step)
    ]
    look = Look("power spectrum of the phase", "log\u2081\u2080", "magma", robust_limits(power))
    draw_map(sheet, place, power, (axes[0], axes[1]), look, ticks=ticks, note=_note(product))


def _pixel(product: ScanProduct) -> float:
    """Return what a pixel as analysed is in the unit of the camera's axes."""
    return camera_axes(product)[0].step


def _png(sheet: Sheet, few_colors: bool) -> bytes:
    """Return a PNG; with few colours it is a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(sheet.figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if few_colors:
        picture = picture.quantize(palette=_palette(), dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _palette() -> Image.Image:
    """Return the colours of the overview: its maps', directions', and blends of what is drawn with white."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb
    from PIL import Image

    from runstart.product import INK, MUTED
    from runstart.scans._panels import DETECTOR_COLORS, MISSING, MISSING_LINES, SHADES

    maps = [colormaps[name].resampled(SHADES)(np.arange(SHADES))[:, :3] for name in _COLOR_MAPS]
    blends = [np.linspace(to_rgb(below), to_rgb(drawn), 6) for below, drawn in (("white", INK), ("white", MUTED))]
    blends += [
        np.linspace(to_rgb(_ALARM_FIELD), to_rgb(_ALARM), 5),
        np.linspace(to_rgb(MISSING), to_rgb(MISSING_LINES), 3),
    ]
    single = [[to_rgb(color) for color in (_LINE, _TRACK, *DETECTOR_COLORS)]]
    lengths, angles = (part.ravel() for part in np.meshgrid([0.25, 0.5, 0.75, 1.0], np.arange(12) * math.pi / 6))
    wheel = (
        direction_colors(np.stack([lengths * np.cos(angles), lengths * np.sin(angles)])[:, None, :], 1.0)[0] / 255
    )
    colors = np.rint(np.concatenate([*maps, wheel, *blends, *single])[:256] * 255).astype(np.uint8)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors.tobytes())
    return palette
