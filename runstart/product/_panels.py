"""The panels that pictures are made of: banks, pixel x TOF, TOF spectrum, event rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from runstart.product._style import (
    GRID,
    INK,
    LINE,
    MUTED,
    NOTE,
    TIDY_STEPS,
    colour_map,
    is_waiting,
    printable,
    run_seconds,
    short_number,
    tidy,
    wants_log,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.image import AxesImage

    from runstart.product.model import RunProduct

_SEPARATE_BANKS = 4  # more are laid out side by side in one picture
_CELL_PIXELS = 1.25  # smaller cells are only noise, and half of the bytes
_STEPS = 600  # points of a curve; more cannot be told apart


def draw_banks(figure: Figure, place: SubplotSpec, product: RunProduct, which: Sequence[int]) -> None:
    """Draw banks: a few each with its own axes, many as one mosaic; a bank of one dimension is a curve.

    Parameters
    ----------
    figure : Figure
        Drawn into.
    place : SubplotSpec
        Where.
    product : RunProduct
        The run.
    which : sequence of int
        Positions among the instrument's banks.
    """
    banks = product.instrument.banks
    waiting = is_waiting(product)
    images = [product.views.bank_image(i).sum(axis=0, dtype=np.uint64) for i in which]
    if len(images) > _SEPARATE_BANKS:
        axes = figure.add_subplot(place)
        _draw_mosaic(axes, images, [banks[i].name for i in which], waiting)
        return
    columns = 1 if len(images) < _SEPARATE_BANKS else 2
    rows = -(-len(images) // columns)
    heights = [1.0] * rows
    if columns == 1:
        heights = [1.0 if image.ndim == 2 else 0.6 for image in images]
    grid = place.subgridspec(rows, columns, wspace=0.75, hspace=0.6, height_ratios=heights)
    for k, (i, image) in enumerate(zip(which, images, strict=True)):
        axes = figure.add_subplot(grid[k // columns, k % columns])
        if image.ndim == 1:
            _draw_line_bank(axes, image, banks[i].first_detector_id, banks[i].name, waiting)
        else:
            _draw_image_bank(axes, image, banks[i].name, waiting)


def draw_pixel_tof(figure: Figure, place: SubplotSpec, product: RunProduct) -> None:
    """Draw the counts of all pixels (upwards) against TOF; the view must be declared."""
    table = product.views.pixel_tof
    if table is None:
        raise AssertionError("pixel_tof is not declared")
    axes = figure.add_subplot(place)
    height, width = _cells_of(axes)
    row_factor = _whole_rows(product, -(-table.shape[1] // height))
    bin_factor = -(-table.shape[2] // width)
    # Period by period, and never the whole table at 64 bits: it can be most of the memory.
    blocks = np.sum([_sum_blocks(period, row_factor, bin_factor) for period in table], axis=0)
    tof = product.instrument.tof
    right_ms = (tof.start_ns + blocks.shape[1] * bin_factor * tof.width_ns) / 1e6
    extent = (tof.start_ns / 1e6, right_ms, 0, blocks.shape[0] * row_factor)
    drawn = _draw_cells(axes, blocks, extent, "auto")
    axes.set(xlim=(tof.start_ns / 1e6, tof.stop_ns / 1e6), ylim=(0, table.shape[1]))
    tidy(axes, "TOF (ms)", "pixel", "Pixel x TOF")
    _count_bar(axes, drawn, f"counts per {row_factor} pixels and {tof.width_ns * bin_factor / 1000:g} µs")
    _note_if_empty(axes, blocks, is_waiting(product), on_picture=True)


def draw_tof(axes: Axes, product: RunProduct) -> None:
    """Draw the TOF spectrum."""
    counts = product.views.tof.sum(axis=0)
    tof = product.instrument.tof
    factor = -(-counts.size // _STEPS)
    summed = np.add.reduceat(counts, np.arange(0, counts.size, factor))
    edges_ms = np.append(tof.edges_ns()[:-1:factor], tof.stop_ns) / 1e6
    width_us = tof.width_ns * factor / 1000
    log = wants_log(summed)
    _draw_steps(axes, summed, edges_ms, log)
    tidy(axes, "TOF (ms)", f"counts per {width_us:g} µs", "TOF spectrum")
    _note_if_empty(axes, counts, is_waiting(product))


def draw_rate(axes: Axes, product: RunProduct) -> None:
    """Draw events per second against the time since the run's start."""
    events = product.series.events_per_second
    # The newest second of a run that goes on is not yet complete: it would look like a drop.
    if product.stop_time_ns is None and events.size > 1:
        events = events[:-1]
    seconds = max(int(np.ceil(run_seconds(product))), events.size, 1)
    if product.stop_time_ns is None:
        seconds = max(events.size, 1)
    seconds = min(seconds, max(events.size, 1) * 100)  # a stop in the far future must not hide the data
    padded = np.zeros(seconds, np.int64)
    padded[: events.size] = events
    factor = -(-seconds // _STEPS)
    starts = np.arange(0, seconds, factor)
    edges_s = np.append(starts, seconds)
    rate = np.add.reduceat(padded, starts) / np.diff(edges_s)
    scale, unit = next(
        (s, u) for s, u in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")) if seconds >= 2 * s or s == 1
    )
    _draw_steps(axes, rate, edges_s / scale, log=False)
    tidy(axes, f"time since start ({unit})", "events/s", "Event rate")
    _note_if_empty(axes, events, is_waiting(product))


def _draw_image_bank(axes: Axes, image: npt.NDArray[Any], name: str, waiting: bool) -> None:
    """Draw a bank of two dimensions."""
    rows, columns = image.shape
    long = max(rows, columns) > 2 * min(rows, columns)
    factors = _factors(image, *_cells_of(axes))
    if not long:
        factors = (max(factors), max(factors))
    blocks = _sum_blocks(image, *factors)
    # The last blocks may reach past the bank: the axes end with it.
    extent = (0, blocks.shape[1] * factors[1], 0, blocks.shape[0] * factors[0])
    drawn = _draw_cells(axes, blocks, extent, "auto" if long else "equal")
    axes.set(xlim=(0, columns), ylim=(0, rows))
    axes.set_anchor("NW")
    tidy(axes, "column", "row", printable(f"Bank {name}", 40))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True, steps=TIDY_STEPS))
    _count_bar(axes, drawn, _block_label(factors, "pixels"))
    _note_if_empty(axes, image, waiting, on_picture=True)


def _draw_line_bank(axes: Axes, counts: npt.NDArray[Any], first_id: int, name: str, waiting: bool) -> None:
    """Draw a bank of one dimension."""
    factor = -(-counts.size // _STEPS)
    starts = np.arange(0, counts.size, factor)
    edges = np.append(starts, counts.size) + first_id
    summed = np.add.reduceat(counts, starts)
    _draw_steps(axes, summed, edges.astype(np.float64), wants_log(summed))
    tidy(axes, "detector id", _block_label((factor,), "pixels"), printable(f"Bank {name}", 40))
    axes.xaxis.set_major_locator(MaxNLocator(max(2, _cells_of(axes)[1] // 40), integer=True, steps=TIDY_STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    _note_if_empty(axes, counts, waiting)


def _draw_mosaic(axes: Axes, images: list[npt.NDArray[Any]], names: list[str], waiting: bool) -> None:
    """Draw many banks side by side on one scale, each with its name."""
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    height, width = _cells_of(axes)
    room = (max(4, int(0.76 * height / rows)), max(4, int(0.92 * width / columns)))
    tables = [np.atleast_2d(image) for image in images]
    factors = {_factors(table, *room) for table in tables}
    reduced = [_sum_blocks(table, *_factors(table, *room)) for table in tables]
    scaled = [tile for tile in reduced if tile.any()]
    everything = np.concatenate([tile.reshape(-1) for tile in scaled]) if scaled else np.zeros(1)
    norm = _norm(everything)
    for k, (tile, name) in enumerate(zip(reduced, names, strict=True)):
        left, bottom = k % columns, rows - 1 - k // columns
        drawn = axes.imshow(
            np.ma.masked_less_equal(tile, 0) if isinstance(norm, LogNorm) else tile,
            cmap=colour_map(),
            norm=norm,
            origin="lower",
            extent=(left + 0.04, left + 0.96, bottom + 0.04, bottom + 0.80),
            interpolation="nearest",
            aspect="auto",
        )
        axes.text(
            left + 0.04,
            bottom + 0.84,
            printable(name, 14),
            size=7 if columns < 6 else 5,
            color=INK,
            parse_math=False,
        )
    axes.set(xlim=(0, columns), ylim=(0, rows), xticks=[], yticks=[])
    tidy(axes, "", "", f"{len(images)} banks")
    for spine in axes.spines.values():
        spine.set_visible(False)
    _count_bar(axes, drawn, _block_label(factors.pop(), "pixels") if len(factors) == 1 else "counts per cell")
    _note_if_empty(axes, everything, waiting)


def _draw_cells(
    axes: Axes, counts: npt.NDArray[Any], extent: tuple[float, float, float, float], aspect: Any
) -> AxesImage:
    """Draw a table of counts with row 0 at the bottom."""
    norm = _norm(counts)
    return axes.imshow(
        np.ma.masked_less_equal(counts, 0) if isinstance(norm, LogNorm) else counts,
        cmap=colour_map(),
        norm=norm,
        origin="lower",
        extent=extent,
        interpolation="nearest",
        aspect=aspect,
    )


def _draw_steps(axes: Axes, values: npt.NDArray[Any], edges: npt.NDArray[Any], log: bool) -> None:
    """Draw a histogram as a filled outline."""
    heights = values.astype(np.float64)
    floor = 0.5 if log else 0.0
    axes.stairs(np.maximum(heights, floor), edges, baseline=floor, fill=True, color=LINE, alpha=0.18)
    axes.stairs(np.maximum(heights, floor), edges, baseline=floor, color=LINE, linewidth=1.1)
    axes.set_xlim(float(edges[0]), float(edges[-1]))
    top = float(heights.max(initial=0))
    if log:
        axes.set_yscale("log")
        axes.set_ylim(floor, top * 2)
        _log_ticks(axes.yaxis)
    else:
        axes.set_ylim(0, top * 1.08 if top > 0 else 1)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=TIDY_STEPS, integer=top == 0))
        axes.yaxis.set_major_formatter(FuncFormatter(short_number))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=TIDY_STEPS))
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _count_bar(axes: Axes, drawn: AxesImage, label: str) -> None:
    """Draw the scale of a picture beside it, as high as the picture."""
    if not np.any(drawn.get_array()):
        return
    figure = axes.get_figure()
    if figure is None:
        raise AssertionError("axes without a figure")
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0)))
    bar.outline.set_visible(False)
    bar.set_label(label, size=8.5, color=INK)
    bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=INK, length=3, which="major")
    bar.ax.tick_params(length=0, which="minor")
    if isinstance(drawn.norm, LogNorm):
        _log_ticks(bar.ax.yaxis)
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=TIDY_STEPS))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(short_number))


def _log_ticks(axis: Axis) -> None:
    """Label the powers of ten, and what lies between if there are hardly any."""
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    axis.set_major_locator(LogLocator(10, subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=8))
    axis.set_major_formatter(FuncFormatter(short_number))
    axis.set_minor_formatter(NullFormatter())


def _norm(counts: npt.NDArray[Any]) -> Normalize:
    """Return the colour scale that shows most of the counts."""
    top = float(counts.max(initial=0))
    if wants_log(counts):
        # Half a step below the fewest, so that one count is not as dark as none.
        return LogNorm(0.5 * float(counts[counts > 0].min()), top)
    return Normalize(0, max(top, 1.0))


def _sum_blocks(counts: npt.NDArray[Any], row_factor: int, column_factor: int) -> npt.NDArray[Any]:
    """Return the table summed in blocks of so many rows and columns."""
    by_row = np.add.reduceat(counts, np.arange(0, counts.shape[0], row_factor), 0, np.uint64)
    blocks: npt.NDArray[Any] = np.add.reduceat(by_row, np.arange(0, counts.shape[1], column_factor), 1)
    return blocks


def _factors(counts: npt.NDArray[Any], most_rows: int, most_columns: int) -> tuple[int, int]:
    """Return the rows and columns of the blocks in which a table fits."""
    return -(-counts.shape[0] // most_rows), -(-counts.shape[1] // most_columns)


def _whole_rows(product: RunProduct, factor: int) -> int:
    """Return a factor, not smaller, that cuts the banks' rows evenly: others beat with their length."""
    columns = math.gcd(*(bank.shape[-1] for bank in product.instrument.banks if len(bank.shape) == 2))
    if columns == 0 or factor == 1:
        return factor
    if factor > columns:
        return -(-factor // columns) * columns
    return next(n for n in range(factor, columns + 1) if columns % n == 0)


def _cells_of(axes: Axes) -> tuple[int, int]:
    """Return how many cells fit into axes, upwards and across; of more, some would be skipped."""
    extent = axes.get_window_extent()
    return max(4, int(extent.height / _CELL_PIXELS)), max(4, int(extent.width / _CELL_PIXELS))


def _block_label(factors: tuple[int, ...], unit: str) -> str:
    """Return what a cell of a picture counts."""
    if max(factors) == 1:
        return "counts"
    return f"counts per {' x '.join(map(str, factors))} {unit}"


def _note_if_empty(axes: Axes, counts: npt.NDArray[Any], waiting: bool, on_picture: bool = False) -> None:
    """Say that nothing has been counted."""
    if counts.any():
        return
    colour = NOTE if on_picture else MUTED
    axes.text(
        0.5,
        0.5,
        "no events yet" if waiting else "no events",
        transform=axes.transAxes,
        ha="center",
        va="center",
        size=11,
        color=colour,
    )
