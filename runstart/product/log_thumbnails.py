"""Logs so small that Dagster's pages show them in place; see `runstart.product.thumbnails`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runstart.product._log_panels import curve_of, end_seconds, pick_logs
from runstart.product._style import LINE, SEVERITY_COLOURS
from runstart.product.thumbnails import LONGEST_MARKDOWN, svg_markdown

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.logs import LogSeries
    from runstart.product.model import RunProduct

__all__ = ["log_thumbnails"]

_MOST = 4
_WIDTH, _HEIGHT = 360, 60
_STEPS = (45, 30, 20, 12)  # columns, tried until it is short enough


def log_thumbnails(product: RunProduct) -> dict[str, str]:
    """Return markdown thumbnails of up to 4 logs by `log NAME`: a curve, with gaps and alarms behind it."""
    return {f"log {series.name}": _thumbnail(series, product) for series in pick_logs(product.logs, _MOST)}


def _thumbnail(series: LogSeries, product: RunProduct) -> str:
    for steps in _STEPS:
        edges = np.linspace(0, end_seconds(product), steps + 1)
        seconds, values = curve_of(series, product)
        # The value and the worst severity of each column; before the first sample there is nothing.
        place = np.searchsorted(seconds[:-1], edges[1:], side="right") - 1
        worst = np.array(
            [
                series.severity[max(first, 0) : max(last, 0) + 1].max() if last >= 0 else 4
                for first, last in zip(np.append(place[0], place[:-1]), place, strict=True)
            ]
        )
        shown = np.where(place >= 0, values[np.maximum(place, 0)], np.nan)
        shape = _backgrounds(worst) + _curve(shown)
        markdown = svg_markdown(series.name, _WIDTH, _HEIGHT, shape)
        if len(markdown) <= LONGEST_MARKDOWN:
            break
    return markdown


def _curve(values: npt.NDArray[np.float64]) -> str:
    """Return the SVG path of one value a column; NaN lifts the pen."""
    known = values[np.isfinite(values)]
    if not known.size:
        return ""
    low, span = known.min(), known.max() - known.min()
    width = _WIDTH // len(values)
    path, pen_down = "", False
    for column, value in enumerate(values):
        if not np.isfinite(value):
            pen_down = False
            continue
        level = 0.5 if span == 0 else (value - low) / span
        y = round(_HEIGHT - 4 - level * (_HEIGHT - 8))
        path += f"V{y}h{width}" if pen_down else f"M{column * width} {y}h{width}"
        pen_down = True
    return f"<path d='{path}' fill='none' stroke='{LINE}'/>"


def _backgrounds(severity: npt.NDArray[np.int8]) -> str:
    """Return one SVG path for each severity that is not OK."""
    width = _WIDTH // len(severity)
    shapes = ""
    for code, colour in SEVERITY_COLOURS.items():
        chosen = np.concatenate([[False], severity == code, [False]])
        begins, ends = np.nonzero(np.diff(chosen.astype(np.int8)))[0].reshape(-1, 2).T
        path = "".join(
            f"M{b * width} 0h{(e - b) * width}v{_HEIGHT}H{b * width}" for b, e in zip(begins, ends, strict=True)
        )
        if path:
            shapes += f"<path d='{path}' fill='{colour}'/>"
    return shapes
