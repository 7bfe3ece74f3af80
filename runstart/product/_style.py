"""Words, numbers and colours that all pictures share."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from runstart.product.model import RunProduct

DPI = 100
INK = "#22262b"
MUTED = "#6b7280"
GRID = "#e3e6ea"
LINE = "#31688e"  # viridis at a third, so that curves and pictures belong together
NOTE = "#c9d3dc"  # words on a dark picture
SEVERITY_COLOURS = {1: "#fbe0a6", 2: "#f6bdb5", 3: "#dcc8ea", 4: "#d5d9de"}
"""Backgrounds of a log by `runstart.events.Severity`: minor, major, invalid, disconnected."""
SHADES = 64  # of viridis: more cannot be told apart, and cost bytes

TIDY_STEPS = (1, 2, 2.5, 5, 10)

_NS_PER_S = 1_000_000_000
_LOG_FROM = 50  # a linear scale shows about this many shades or pixels


def colour_map() -> Colormap:
    """Return viridis, with cells without counts as dark as the fewest."""
    viridis = colormaps["viridis"].resampled(SHADES)
    return viridis.with_extremes(bad=viridis(0.0), under=viridis(0.0))


def wants_log(counts: npt.NDArray[Any]) -> bool:
    """Return whether a linear scale would show most of the counts as nothing.

    Parameters
    ----------
    counts : integer array
        Zeros say nothing about the range: they are left out.
    """
    positive = counts[counts > 0]
    return positive.size > 1 and float(positive.max()) > _LOG_FROM * float(np.median(positive))


def tidy(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    """Give axes their labels and a quiet frame."""
    axes.set_title(title, loc="left", size=9.5, color=INK, pad=7, weight="bold", parse_math=False)
    axes.set_xlabel(x_label, size=9, color=INK)
    axes.set_ylabel(y_label, size=9, color=INK)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3, which="major")
    axes.tick_params(length=0, labelsize=0, which="minor")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)


def short_number(value: float, _position: int | None = None) -> str:
    """Return a number as a tick label: 950, 1.2k, 35M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = int(seconds)
    for size, unit, lower, lower_unit in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // lower} {lower_unit}"
    raise AssertionError(seconds)


def is_waiting(product: RunProduct) -> bool:
    """Return whether the run goes on and has no events yet."""
    return product.stop_time_ns is None and not product.views.tof.any()


def run_seconds(product: RunProduct) -> float:
    """Return the length of the run, or of what is there of it while it goes on."""
    seen = float(product.series.events_per_second.size)
    if product.stop_time_ns is None:
        return seen
    return max((product.stop_time_ns - product.start_time_ns) / _NS_PER_S, 0.0)


def state_of(product: RunProduct) -> str:
    """Return when the run began and whether it goes on."""
    try:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=product.start_time_ns // _NS_PER_S)
    except OverflowError:
        return "running" if product.stop_time_ns is None else "finished"
    state = "running since" if product.stop_time_ns is None else "finished, started"
    return f"{state} {start:%Y-%m-%d %H:%M:%S} UTC"


def caption_of(product: RunProduct) -> str:
    """Return the totals of the run in one line."""
    events = int(product.views.tof.sum())
    seconds = run_seconds(product)
    parts = [f"{events:,} events" if events else "no events"]
    if is_waiting(product):
        parts = ["no events yet"]
    if seconds > 0:
        parts.append(duration(seconds))
        if events:
            parts.append(f"{_rounded(events / seconds)} events/s on average")
    charge = product.series.total_charge_uah
    if charge > 0:
        parts.append(f"{charge:.4g} µAh")
    if product.n_periods > 1:
        parts.append(f"sum of {product.n_periods} periods")
    for column, words in (
        ("events_unknown_detector", "unknown detector"),
        ("events_out_of_tof_range", "out of TOF range"),
        ("events_duplicate", "duplicate"),
    ):
        if product.ledger.get(column):
            parts.append(f"{product.ledger[column]:,} {words}")
    return "   ·   ".join(parts)


def printable(text: str, longest: int) -> str:
    """Return a text that the font can draw in one line: other characters as `?`, too many as an ellipsis."""
    known = _characters()
    drawn = "".join(c if ord(c) in known and c.isprintable() else "?" for c in text)
    return drawn if len(drawn) <= longest else f"{drawn[: longest - 1]}…"


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG with a palette: a third of the size, and no visible loss."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    few = picture.quantize(palette=_palette(), dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _rounded(value: float) -> str:
    """Return a number of three digits, without an exponent: 7,200."""
    return f"{float(f'{value:.3g}'):,.10g}"


@lru_cache(maxsize=1)
def _palette() -> Image.Image:
    """Return the colours of all pictures: the shades, and blends of what is drawn with what lies below."""
    shades = colour_map()(np.arange(SHADES))[:, :3]
    fill = 0.82 + 0.18 * np.array(to_rgb(LINE))
    blends = [
        np.linspace(to_rgb(below), to_rgb(drawn), steps)
        for below, drawn, steps in (
            ("white", INK, 32),
            ("white", MUTED, 16),
            ("white", LINE, 16),
            (tuple(fill), LINE, 12),
            ("white", GRID, 4),
            (tuple(fill), GRID, 4),
            (tuple(shades[0]), NOTE, 16),
        )
    ]
    blends += [np.linspace(to_rgb(below), to_rgb(LINE), 6) for below in SEVERITY_COLOURS.values()]
    colours = np.rint(np.concatenate([shades, *blends]) * 255).astype(np.uint8)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.tobytes())
    return palette


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """Return the code points that the default font has."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
