"""The panels that pictures of a script's arrays are made of: a curve with error bars, a table in colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from runstart.product._style import GRID, INK, LINE, MUTED, TIDY_STEPS, colour_map, printable, short_number, tidy

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

__all__ = ["draw_curve", "draw_table"]

_LONGEST_LABEL = 60
_MOST_POINTS = 200  # points of a curve that get marks
_LARGEST = 1e100  # beyond it matplotlib's own numbers overflow
_SMALLEST_PLAIN = 1e-3  # smaller numbers are written with an exponent


def draw_curve(
    axes: Axes,
    points: npt.NDArray[np.float64],
    values: npt.NDArray[Any],
    errors: npt.NDArray[np.float64] | None,
    *,
    log: bool,
) -> None:
    """Draw a curve: a histogram's outline between edges, or points at centres; with its error bars.

    Parameters
    ----------
    axes : Axes
        Drawn into.
    points : float64[n] or float64[n + 1]
        Centres, or edges.
    values : number[n]
    errors : float64[n] or None
        Standard deviations.
    log : bool
        Whether the scale of the values is logarithmic; values up to 0 are then left out.
    """
    heights = values.astype(np.float64)
    shown = np.abs(heights) < _LARGEST
    if log:
        shown &= heights > 0
    heights = np.where(shown, heights, np.nan)
    centres = points
    if points.size == values.size + 1:
        centres = (points[:-1] + points[1:]) / 2
        axes.stairs(heights, points, baseline=None, color=LINE, linewidth=1.1)
    else:
        mark = "o" if values.size <= _MOST_POINTS else ""
        axes.plot(points, heights, color=LINE, linewidth=1.1, marker=mark, markersize=3)
    if errors is not None:
        bars = np.where(np.abs(errors) < _LARGEST, np.abs(errors), 0.0)
        axes.errorbar(centres, heights, bars, fmt="none", ecolor=LINE, elinewidth=0.8, alpha=0.7)
    if log and shown.any():
        axes.set_yscale("log")
        top, bottom = float(np.nanmax(heights)), float(np.nanmin(heights))
        axes.set_ylim(bottom / 2, top * 2)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=TIDY_STEPS))
        axes.yaxis.set_major_formatter(FuncFormatter(_number))
    if _is_geometric(points):
        axes.set_xscale("log")
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    if not shown.any():
        axes.text(0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", size=11, color=MUTED)


def draw_table(
    axes: Axes,
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    values: npt.NDArray[Any],
    *,
    log: bool,
    label: str,
) -> None:
    """Draw a table in colours, its first axis upwards and its second to the right.

    Parameters
    ----------
    axes : Axes
        Drawn into.
    rows, columns : float64[n] or float64[n + 1]
        Centres or edges of the axes, rising or falling.
    values : number[n_rows, n_columns]
    log : bool
        Whether colours are logarithmic; values up to 0 are then drawn as none.
    label : str
        Beside the scale of colours.
    """
    heights = np.ma.masked_where(~(np.abs(values) < _LARGEST), values.astype(np.float64))
    norm: Normalize = Normalize()
    if log and (heights > 0).any():
        heights = np.ma.masked_less_equal(heights, 0)
        norm = LogNorm()
    edges = [_edges(points, length) for points, length in zip((columns, rows), values.shape[::-1], strict=True)]
    drawn = axes.pcolormesh(*edges, heights, cmap=colour_map(), norm=norm, shading="flat", rasterized=True)
    figure = axes.get_figure()
    if figure is None or not heights.count():
        return
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0)))
    bar.outline.set_visible(False)
    bar.set_label(printable(label, _LONGEST_LABEL), size=8.5, color=INK)
    bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3, which="major")
    if not isinstance(norm, LogNorm):
        bar.ax.yaxis.set_major_formatter(FuncFormatter(_number))


def label_axes(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    """Give axes their labels, which may be any text."""
    x, y = (printable(text, _LONGEST_LABEL).replace("$", "\\$") for text in (x_label, y_label))
    tidy(axes, x, y, "")
    axes.set_title(printable(title, 80), loc="left", size=9.5, color=INK, pad=7, weight="bold", parse_math=False)


def _number(value: float, _position: int | None = None) -> str:
    if 0 < abs(value) < _SMALLEST_PLAIN:
        return f"{value:.3g}"
    return short_number(value)


def _is_geometric(points: npt.NDArray[np.float64]) -> bool:
    """Return whether points are spaced as on a logarithmic scale, over at least half a decade."""
    if points.size < 3 or not ((points > 0) & (points < _LARGEST)).all() or points[-1] < 3 * points[0]:
        return False
    steps = np.diff(np.log(points))
    return bool(np.allclose(steps, steps.mean(), rtol=0.01))


def _edges(points: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Return edges as they are, or those that lie between centres."""
    if points.size == length + 1:
        return points
    if length == 1:
        return np.array([points[0] - 0.5, points[0] + 0.5])
    between = (points[:-1] + points[1:]) / 2
    return np.concatenate([[2 * points[0] - between[0]], between, [2 * points[-1] - between[-1]]])
