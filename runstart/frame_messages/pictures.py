"""Pictures of arrays for the page: maps with scales of colours, and curves.

What an array is (`content` in its meta) decides on colours and range. Values that are not finite are hatched; row 0 is
at the top. Large maps are shown as means of blocks, never skipped over.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runstart.frame_messages.coloring import MISSING, limits_of, planes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

CENTER_OF_MASS, PATTERN = "centre of mass", "diffraction pattern"
"""Contents that are drawn in a way of their own."""

_PERCENTILES = (0.5, 99.5)
_MOST_PANELS = 6
_SIDE = 420  # pixels of a panel, and most values along a side of it
_HEAD = 44
_LOG_FROM, _MOST_DECADES = 30, 6  # a linear scale shows about 30 shades
_SMALLEST = 1e-3  # a smaller deviation is rounding
_LONGEST_RATIO = 4
_LINES = "#aab2bb"  # over what is missing


class _Map(NamedTuple):
    """Values as they are drawn."""

    values: NDArray[np.float64]
    title: str
    colors: str
    norm: Normalize


def array_picture(array: NDArray[Any], meta: Mapping[str, Any]) -> bytes:
    """Return a PNG with a panel for each plane of an array, up to six.

    Parameters
    ----------
    array : ndarray of numbers
        Of one dimension, a curve; of two or three, maps.
    meta : mapping of str to Any
        As `runstart.frame_messages.array_message` takes it.

    Raises
    ------
    Alert
        If the array is empty, or has other dimensions.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from runstart.product import DPI, INK, drawing, printable

    planes = planes_of(array[None] if array.ndim == 1 else array)
    shown = planes[:_MOST_PANELS]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    with drawing:
        size = (columns * _SIDE / DPI, (rows * _SIDE * 0.85 + _HEAD) / DPI)
        figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
        title = printable(_title(meta, len(planes) - len(shown)), 40 * columns + 10)
        figure.suptitle(title, x=0.02, ha="left", size=10, color=INK, parse_math=False)
        for index, plane in enumerate(shown):
            axes = figure.add_subplot(rows, columns, index + 1)
            if array.ndim == 1:
                axes.plot(np.arange(array.size), array, linewidth=1)
            else:
                _draw_map(axes, plane, _map_of(plane, str(meta.get("content", "")), index, len(planes)))
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def _title(meta: Mapping[str, Any], hidden: int) -> str:
    """Return what is shown, of which scan, and how much of it is there."""
    words = [str(meta.get("content") or meta.get("name") or "array")]
    if "scan_number" in meta:
        words.append(f"scan {meta['scan_number']}")
    if meta.get("missing_positions"):
        words.append(f"{meta['missing_positions']} positions without a frame")
    if hidden:
        words.append(f"{hidden} more planes")
    return "   ·   ".join(words)


def _map_of(plane: NDArray[Any], content: str, index: int, count: int) -> _Map:
    """Return how a plane is drawn."""
    from matplotlib.colors import LogNorm, Normalize

    values = _shrink(plane)
    if content == CENTER_OF_MASS and count == 2:
        return _Map(values, ("mean column (px)", "mean row (px)")[index], "RdBu_r", Normalize(*_deviation(values)))
    title = f"plane {index}" if count > 1 else ""
    if content != PATTERN:
        return _Map(values, title, "viridis", Normalize(*limits_of(values, _PERCENTILES)))
    positive = values[np.isfinite(values) & (values > 0)]
    top = float(positive.max(initial=0.0))
    if not top or top <= _LOG_FROM * float(np.percentile(positive, 10)):
        return _Map(values, title, "magma", Normalize(0, top or 1))
    low = max(float(positive.min()), top / 10**_MOST_DECADES)
    # Nothing has no logarithm: it is as dark as the least.
    return _Map(np.maximum(values, low), title, "magma", LogNorm(low, top))


def _draw_map(axes: Axes, plane: NDArray[Any], shown: _Map) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    from runstart.product import INK, MUTED

    rows, columns = plane.shape
    drawn = axes.imshow(
        np.ma.masked_invalid(shown.values),
        cmap=colormaps[shown.colors].with_extremes(bad=(0.0, 0.0, 0.0, 0.0)),  # the axes are seen there
        norm=shown.norm,
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        aspect="equal" if 1 / _LONGEST_RATIO <= rows / columns <= _LONGEST_RATIO else "auto",
    )
    axes.patch.set(facecolor=f"#{bytes(MISSING).hex()}", edgecolor=_LINES, hatch="////")
    axes.set_title(shown.title, loc="left", size=9, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3)
    if np.isfinite(shown.values).any():
        bar = axes.inset_axes((1.03, 0, 0.05, 1))
        drawn.figure.colorbar(drawn, cax=bar)
        bar.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3)


def _deviation(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean less and plus the standard deviation."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return -1.0, 1.0
    deviation = max(float(finite.std()), _SMALLEST)
    return float(finite.mean()) - deviation, float(finite.mean()) + deviation


def _shrink(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of equal blocks, values that are not finite left out."""
    values = plane.astype(np.float64)
    is_known = np.isfinite(values)
    sums, counts = np.where(is_known, values, 0.0), is_known.astype(np.float64)
    for axis, length in enumerate(plane.shape):
        starts = np.arange(0, length, max(1, -(-length // _SIDE)))
        sums, counts = np.add.reduceat(sums, starts, axis), np.add.reduceat(counts, starts, axis)
    means: NDArray[np.float64] = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
