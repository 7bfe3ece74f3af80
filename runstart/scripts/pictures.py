"""Draws a script's arrays: a curve with error bars, or a table in colours, in the style of a run's own pictures.

A script's figures are its own work and are kept as they are. Names, units and titles are any text: they are drawn
as they stand, never as mathematics.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.scripts.model import Axis, NamedArray, ScriptOutcome

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["script_pictures", "script_thumbnails"]

_CURVE_SIZE = (900, 420)
_TABLE_SIZE = (720, 640)
_MOST_DRAWN = {0: 1, 1: 2000, 2: 700}  # values along each axis, by dimensions
_TINY = 1e-9  # of the largest height


def script_pictures(outcome: ScriptOutcome, caption: str = "") -> dict[str, bytes]:
    """Return PNGs by file name: `script_NAME.png` for each array and each figure.

    Parameters
    ----------
    outcome : ScriptOutcome
        Of an execution.
    caption : str, optional
        Drawn above each array: any text. By default which script it was, and when.
    """
    if not caption:
        when = datetime.fromtimestamp(outcome.executed_at, UTC)
        caption = f"reduction script {outcome.sha256[:10]} at {when:%Y-%m-%d %H:%M:%S} UTC"
    drawn = {f"script_{name}.png": _draw_whatever_comes(array, caption) for name, array in outcome.arrays.items()}
    return drawn | {f"script_{name}.png": png for name, png in outcome.figures.items()}


def script_thumbnails(outcome: ScriptOutcome) -> dict[str, str]:
    """Return markdown thumbnails of the arrays by name, each short enough for Dagster's pages to show in place."""
    from runstart.product.thumbnails import curve_thumbnail, image_thumbnail

    thumbnails = {}
    for name, whole in outcome.arrays.items():
        array = _thinned(whole)
        if array.values.size:
            draw = curve_thumbnail if array.values.ndim == 1 else image_thumbnail
            thumbnails[name] = draw(name, _heights(array))
    return thumbnails


def _draw_whatever_comes(array: NamedArray, caption: str) -> bytes:
    """Return the picture of an array, or one that says why there is none: it must not cost the other arrays."""
    thin = _thinned(array)
    if thin is not array:
        caption += (
            f", {' x '.join(map(str, thin.values.shape))} of {' x '.join(map(str, array.values.shape))} drawn"
        )
    try:
        with np.errstate(all="ignore"):  # axes may be as wide as floats allow
            return _draw(thin, caption)
    except (ValueError, TypeError, LookupError, ArithmeticError) as problem:
        blank = NamedArray(array.name, np.zeros(1), [Axis("no axis", np.zeros(1))])
        return _draw(blank, f"{array.name} cannot be drawn: {problem}")


def _thinned(array: NamedArray) -> NamedArray:
    """Return every n-th value of an array that is larger than a picture, whose drawing would take minutes."""
    most = _MOST_DRAWN[min(array.values.ndim, 2)]
    steps = [max(1, -(-length // most)) for length in array.values.shape]
    if max(steps, default=1) == 1:
        return array
    cut = tuple(slice(None, None, step) for step in steps)
    axes = [
        replace(axis, values=axis.centres(length)[::step])
        for axis, length, step in zip(array.axes, array.values.shape, steps, strict=True)
    ]
    errors = None if array.errors is None else array.errors[cut]
    return replace(array, values=array.values[cut], axes=axes, errors=errors)


def _draw(array: NamedArray, caption: str) -> bytes:
    from matplotlib.figure import Figure

    from runstart.product._script_panels import draw_curve, draw_table, label_axes
    from runstart.product._style import DPI, INK, printable, to_png

    # Matplotlib's caches belong to one thread at a time, whoever draws.
    from runstart.product.pictures import drawing

    width, height = _CURVE_SIZE if array.values.ndim == 1 else _TABLE_SIZE
    labels = [f"{axis.name} ({axis.unit})" if axis.unit else axis.name for axis in array.axes]
    with drawing:
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        left = 16 / width
        text = printable(caption, 100)
        figure.text(left, 1 - 15 / height, text, va="center", size=11.5, color=INK, weight="bold", parse_math=False)
        bottom, top = 60 / height, 1 - 58 / height
        if array.values.ndim == 1:
            axes = figure.add_axes((0.09, bottom, 0.885, top - bottom))
            draw_curve(axes, array.axes[0].values, array.values, array.errors, log=array.log)
            label_axes(axes, labels[0], array.unit or "value", array.title or array.name)
        else:
            axes = figure.add_axes((0.11, bottom, 0.73, top - bottom))
            rows, columns = (axis.values for axis in array.axes)
            draw_table(axes, rows, columns, array.values, log=array.log, label=array.unit or "value")
            label_axes(axes, labels[1], labels[0], array.title or array.name)
        return to_png(figure)


def _heights(array: NamedArray) -> npt.NDArray[Any]:
    """Return the values as heights of a thumbnail, from 0 to 1: what is missing is lowest, what is tiny is 0."""
    values = array.values.astype(np.float64)
    finite = np.isfinite(values)
    top = float(np.abs(values[finite]).max(initial=0.0))
    if top == 0:
        return np.zeros(values.shape)
    scaled = np.where(finite, values, -np.inf) / top
    heights = np.maximum(scaled, min(0.0, float(scaled[finite].min())))
    heights -= min(0.0, float(heights.min()))
    return np.asarray(np.where(heights < _TINY, 0.0, heights))
