"""The panels of the logs' picture: a step curve for each, its alarms and gaps as coloured backgrounds.

A value holds until the next. What nobody knew is drawn as nothing on grey. Of a log with more samples than can be
told apart, the lowest and the highest of each stretch are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from runstart.events import Severity
from runstart.product._style import INK, LINE, SEVERITY_COLOURS, printable, run_seconds, tidy

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from runstart.logs import LogSeries
    from runstart.product.model import RunProduct

MOST_LOGS = 8
_POINTS = 600  # of a curve, twice
_MOST_TEXTS = 6  # on an axis
_NS_PER_S = 1e9
_HUGE = 1e100


def pick_logs(logs: Mapping[str, LogSeries], most: int) -> list[LogSeries]:
    """Return the logs to show, by name: those that change before those that never do."""
    ranked = sorted(logs.values(), key=lambda series: (_is_constant(series), series.name))
    return sorted(ranked[:most], key=lambda series: series.name)


def curve_of(series: LogSeries, product: RunProduct) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return seconds since the run's start and values, a text as the position of it in `texts_of`.

    Parameters
    ----------
    series : LogSeries
        n samples, at least one.
    product : RunProduct
        The run.

    Returns
    -------
    seconds, values : float64 array
        Shape (n + 1,): the value at the start begins at 0, and the last holds until the end of what is there.
    """
    seconds = (series.time_ns - np.int64(product.start_time_ns)) / _NS_PER_S
    if isinstance(series.values, tuple):
        places = {text: float(place) for place, text in enumerate(texts_of(series))}
        values = np.array([places.get(text, np.nan) for text in series.values])
    else:
        # Larger numbers would overflow while an axis is laid out.
        values = np.where(np.isfinite(series.values), np.clip(series.values, -_HUGE, _HUGE), np.nan)
    return np.append(np.maximum(seconds, 0.0), max(end_seconds(product), seconds[-1])), np.append(
        values, values[-1]
    )


def texts_of(series: LogSeries) -> list[str]:
    """Return the different texts of a log, sorted."""
    return sorted({text for text in series.values if isinstance(text, str) and text})


def end_seconds(product: RunProduct) -> float:
    """Return the seconds from the run's start to its end, or to the newest that is there while it goes on."""
    newest = max(
        (float(s.time_ns[-1] - product.start_time_ns) for s in product.logs.values() if len(s)), default=0.0
    )
    return max(run_seconds(product), newest / _NS_PER_S, 1e-3)


def draw_logs(figure: Figure, place: Sequence[Any], logs: Sequence[LogSeries], product: RunProduct) -> None:
    """Draw a log into each place of a grid, and explain the backgrounds that occur."""
    for spot, series in zip(place, logs, strict=False):
        _draw_log(figure.add_subplot(spot), series, product)
    shown = sorted({int(code) for series in logs for code in np.unique(series.severity)} & set(SEVERITY_COLOURS))
    if shown:
        patches = [Patch(color=SEVERITY_COLOURS[code], label=Severity(code).name.lower()) for code in shown]
        figure.legend(
            handles=patches,
            loc="center right",
            bbox_to_anchor=(0.985, 34 / (figure.get_figheight() * figure.dpi)),
            ncols=len(patches),
            frameon=False,
            fontsize=8,
            labelcolor=INK,
            borderaxespad=0,
        )


def _draw_log(axes: Axes, series: LogSeries, product: RunProduct) -> None:
    end = end_seconds(product)
    scale, unit = next(
        (s, u) for s, u in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")) if end >= 2 * s or s == 1
    )
    seconds, values = curve_of(series, product)
    _shade(axes, seconds / scale, series.severity)
    x, y = _envelope(seconds / scale, values)
    axes.step(x, y, where="post", color=LINE, linewidth=1.1)
    axes.set_xlim(0, end / scale)
    title = printable(series.name, 28) + (f" ({printable(series.unit, 10)})" if series.unit else "")
    tidy(axes, f"time since start ({unit})", "", title)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.ticklabel_format(axis="y", useOffset=False) if not series.is_text else _name_texts(axes, texts_of(series))
    if not np.isfinite(values).any():
        axes.set_yticks([])


def _name_texts(axes: Axes, texts: list[str]) -> None:
    """Put texts on the axis, if they are few enough to be read."""
    if len(texts) <= _MOST_TEXTS:
        axes.set_yticks(range(len(texts)), [printable(text, 12) for text in texts])
        for label in axes.get_yticklabels():
            label.set_parse_math(False)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(texts)} texts", size=8, color=INK)
    axes.set_ylim(-0.5, max(len(texts), 1) - 0.5)


def _shade(axes: Axes, x: npt.NDArray[np.float64], severity: npt.NDArray[np.int8]) -> None:
    """Colour the stretches in which a log was in alarm or not there."""
    begins = np.append(0, np.nonzero(np.diff(severity))[0] + 1)
    ends = np.append(begins[1:], severity.size)
    for code, colour in SEVERITY_COLOURS.items():
        chosen = severity[begins] == code
        spans = [(x[first], x[last] - x[first]) for first, last in zip(begins[chosen], ends[chosen], strict=True)]
        if spans:
            axes.broken_barh(
                spans, (0, 1), transform=axes.get_xaxis_transform(), color=colour, linewidth=0, zorder=0
            )


def _envelope(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the curve, or the lowest and highest points of its stretches if it has too many; NaN marks gaps."""
    if x.size <= 2 * _POINTS:
        return x, y
    first = np.unique(np.linspace(0, x.size - 1, _POINTS).astype(np.int64))
    low, high = np.fmin.reduceat(y, first), np.fmax.reduceat(y, first)
    gap = np.logical_or.reduceat(np.isnan(y), first)
    heights = np.stack([low, high, np.where(gap, np.nan, high)], axis=1).ravel()
    return np.repeat(x[first], 3), heights


def _is_constant(series: LogSeries) -> bool:
    return len(set(series.values if isinstance(series.values, tuple) else series.values.tolist())) <= 1
