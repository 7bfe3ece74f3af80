"""Draws a run's pictures as PNG.

A picture shows the sum over all periods. Colours and count axes are linear until the counts span so much
that a linear scale would hide most of them. Row 0 of a bank is at the bottom, column 0 at the left. Large
tables are summed in blocks, never skipped over. One picture is drawn at a time in a process, and none touches
matplotlib's global state, so any thread may ask for one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from runstart.product._log_panels import MOST_LOGS, draw_logs, pick_logs
from runstart.product._panels import (
    draw_banks,
    draw_pixel_tof,
    draw_rate,
    draw_tof,
)
from runstart.product._style import DPI, INK, MUTED, caption_of, printable, state_of, to_png

if TYPE_CHECKING:
    from runstart.product.model import RunProduct

__all__ = ["bank_png", "logs_png", "overview_png", "pictures_png", "pixel_tof_png", "rate_png", "tof_png"]

OVERVIEW_SIZE = (900, 560)
"""Width and height of the overview in pixels: what fits the asset's page without scaling."""

PANEL_SIZE = (900, 420)
"""Width and height of a spectrum or a rate in pixels."""

BANK_SIZE = (720, 640)
"""Width and height of a bank or pixel x TOF in pixels."""

LOG_HEIGHT = 150
"""Height of a log in the logs' picture in pixels; its width is half of the picture's."""

drawing = threading.Lock()
"""Held by whoever draws: matplotlib's caches belong to one thread at a time."""


def overview_png(product: RunProduct) -> bytes:
    """Return one picture of the whole run: banks, TOF spectrum, event rate and totals.

    Parameters
    ----------
    product : RunProduct
        The run, finished or not; no events are a calm, empty picture.

    Returns
    -------
    bytes
        A PNG of `OVERVIEW_SIZE`.
    """
    with drawing:
        figure, top, bottom = _titled_figure(product, OVERVIEW_SIZE)
        left = figure.add_gridspec(1, 1, left=0.062, right=0.45, top=top, bottom=bottom)
        right = figure.add_gridspec(2, 1, left=0.605, right=0.985, top=top, bottom=bottom, hspace=0.46)
        draw_banks(figure, left[0, 0], product, range(len(product.instrument.banks)))
        draw_tof(figure.add_subplot(right[0, 0]), product)
        draw_rate(figure.add_subplot(right[1, 0]), product)
        return to_png(figure)


def bank_png(product: RunProduct, bank_index: int) -> bytes:
    """Return the picture of one bank.

    Parameters
    ----------
    product : RunProduct
        The run.
    bank_index : int
        Position among the instrument's banks.

    Returns
    -------
    bytes
        A PNG of `BANK_SIZE`.
    """
    with drawing:
        figure, top, bottom = _titled_figure(product, BANK_SIZE)
        grid = figure.add_gridspec(1, 1, left=0.09, right=0.87, top=top, bottom=bottom)
        draw_banks(figure, grid[0, 0], product, range(bank_index, bank_index + 1))
        return to_png(figure)


def tof_png(product: RunProduct) -> bytes:
    """Return the picture of the TOF spectrum.

    Parameters
    ----------
    product : RunProduct
        The run.

    Returns
    -------
    bytes
        A PNG of `PANEL_SIZE`.
    """
    with drawing:
        figure, top, bottom = _titled_figure(product, PANEL_SIZE)
        draw_tof(figure.add_axes((0.08, bottom, 0.895, top - bottom)), product)
        return to_png(figure)


def rate_png(product: RunProduct) -> bytes:
    """Return the picture of the event rate over time.

    Parameters
    ----------
    product : RunProduct
        The run.

    Returns
    -------
    bytes
        A PNG of `PANEL_SIZE`.
    """
    with drawing:
        figure, top, bottom = _titled_figure(product, PANEL_SIZE)
        draw_rate(figure.add_axes((0.08, bottom, 0.895, top - bottom)), product)
        return to_png(figure)


def pixel_tof_png(product: RunProduct) -> bytes:
    """Return the picture of pixel x TOF: all pixels upwards, TOF to the right.

    Parameters
    ----------
    product : RunProduct
        The run, whose instrument declares the view.

    Returns
    -------
    bytes
        A PNG of `BANK_SIZE`.

    Raises
    ------
    ValueError
        The view is not declared.
    """
    if product.views.pixel_tof is None:
        message = f"instrument {product.instrument.name} does not declare pixel_tof"
        raise ValueError(message)
    with drawing:
        figure, top, bottom = _titled_figure(product, BANK_SIZE)
        grid = figure.add_gridspec(1, 1, left=0.11, right=0.87, top=top, bottom=bottom)
        draw_pixel_tof(figure, grid[0, 0], product)
        return to_png(figure)


def logs_png(product: RunProduct) -> bytes:
    """Return the picture of the logs: up to 8 of them, two in a row, with alarms and gaps.

    Parameters
    ----------
    product : RunProduct
        The run, with at least one log; those that change come before those that never do.

    Returns
    -------
    bytes
        A PNG as wide as `PANEL_SIZE`; its title line says how many more logs there are.

    Raises
    ------
    ValueError
        It has no logs.
    """
    shown = pick_logs(product.logs, MOST_LOGS)
    if not shown:
        message = f"run {product.run_name!r} has no logs"
        raise ValueError(message)
    rows = -(-len(shown) // 2)
    with drawing:
        size = (PANEL_SIZE[0], 150 + LOG_HEIGHT * rows)
        figure, top, bottom = _titled_figure(product, size)
        footer = bottom + 20 / size[1]
        columns = min(len(shown), 2)
        grid = figure.add_gridspec(
            rows, columns, left=0.08, right=0.985, top=top, bottom=footer, hspace=0.85, wspace=0.22
        )
        draw_logs(figure, [grid[k // 2, k % 2] for k in range(len(shown))], shown, product)
        more = len(product.logs) - len(shown)
        if more:
            figure.text(16 / size[0], 34 / size[1], f"{more} more in the file", size=8, color=MUTED, va="center")
        return to_png(figure)


def pictures_png(product: RunProduct) -> dict[str, bytes]:
    """Return all pictures of a run by file name.

    Parameters
    ----------
    product : RunProduct
        The run.

    Returns
    -------
    dict of str to bytes
        `overview.png`, `tof.png`, `rate.png`; `bank_<name>.png` for each bank if the instrument's views have
        `image`, `pixel_tof.png` if they have `pixel_tof`, and `logs.png` if there are logs.
    """
    pictures = {
        "overview.png": overview_png(product),
        "tof.png": tof_png(product),
        "rate.png": rate_png(product),
    }
    if "image" in product.instrument.views:
        for index, bank in enumerate(product.instrument.banks):
            pictures[f"bank_{bank.name}.png"] = bank_png(product, index)
    if product.views.pixel_tof is not None:
        pictures["pixel_tof.png"] = pixel_tof_png(product)
    if product.logs:
        pictures["logs.png"] = logs_png(product)
    return pictures


def _titled_figure(product: RunProduct, size: tuple[int, int]) -> tuple[Figure, float, float]:
    """Return a titled figure, and the top and bottom of what is left, as fractions of its height."""
    width, height = size
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    title_y, caption_y = 1 - 15 / height, 13 / height
    left, right = 16 / width, 1 - 14 / width
    title = printable(f"{product.instrument.name} · run {product.run_name}", 70)
    for x, y, text, align, points, colour, weight in (
        (left, title_y, title, "left", 11.5, INK, "bold"),
        (right, title_y, state_of(product), "right", 9.0, MUTED, "normal"),
        (left, caption_y, caption_of(product), "left", 9.0, INK, "normal"),
    ):
        figure.text(x, y, text, ha=align, va="center", size=points, color=colour, weight=weight, parse_math=False)
    return figure, 1 - 58 / height, 76 / height
