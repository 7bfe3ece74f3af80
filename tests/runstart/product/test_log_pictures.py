"""The logs' picture and thumbnails draw any log, and show alarms and gaps."""

from __future__ import annotations

import io
from collections.abc import Callable
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from runstart.events import Severity
from runstart.logs import LogSeries
from runstart.product import RunProduct, log_thumbnails, logs_png, pictures_png
from runstart.product._style import SEVERITY_COLOURS

START_NS = 1_700_000_000_123_456_789
SECOND = 1_000_000_000
Maker = Callable[..., RunProduct]


def log(name: str = "temperature", n: int = 30, severity: int = 0, texts: bool = False) -> LogSeries:
    severities = np.zeros(n, np.int8)
    severities[n // 3 : n // 2] = severity
    values = 290.0 + np.arange(n) % 7
    values[severities == Severity.DISCONNECTED] = np.nan
    time_ns = START_NS + np.arange(n, dtype=np.int64) * (90 * SECOND // n) - SECOND
    words = tuple(f"state {int(value) % 3}" if value == value else "" for value in values)  # noqa: PLR0124 - NaN
    return LogSeries(name, time_ns, words if texts else values, severities, "" if texts else "K")


def areas(png: bytes) -> set[tuple[int, ...]]:
    """Return the colours of areas, not of lines' edges."""
    with Image.open(io.BytesIO(png)) as picture:
        return {
            tuple(colour) for pixels, colour in picture.convert("RGB").getcolors(1 << 20) or [] if pixels > 2000
        }


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("severity", [s for s in Severity if s != Severity.OK])
def test_alarms_and_gaps_have_their_colour(make_product: Maker, severity: Severity, texts: bool) -> None:
    colour = tuple(int(SEVERITY_COLOURS[severity][k : k + 2], 16) for k in (1, 3, 5))
    assert colour in areas(logs_png(make_product(logs={"t": log(severity=severity, texts=texts)})))
    assert colour not in areas(logs_png(make_product(logs={"t": log(texts=texts)})))


@pytest.mark.parametrize(
    "series",
    [
        log(n=1),
        log(n=1, texts=True),
        log(n=5000, severity=4),
        log(n=5000, severity=1, texts=True),
        log("$\\frac{1$ \0 \ud800 日本 <b>"),
        LogSeries("unknown", np.array([START_NS]), np.array([np.nan]), np.array([4], np.int8)),
        LogSeries("infinite", np.array([START_NS]), np.array([np.inf]), np.array([0], np.int8)),
        LogSeries("huge", np.array([START_NS - 10, START_NS]), np.array([-1e308, 1e308]), np.zeros(2, np.int8)),
        LogSeries("long before", np.array([0]), np.array([1.0]), np.zeros(1, np.int8)),
        LogSeries("many", np.arange(50) + START_NS, tuple(f"text {k}" for k in range(50)), np.zeros(50, np.int8)),
    ],
    ids=lambda series: f"{series.name[:9]!r}-{len(series)}-{'texts' if series.is_text else 'numbers'}",
)
@pytest.mark.parametrize("n_events", [0, 100])
def test_any_log_can_be_drawn(make_product: Maker, series: LogSeries, n_events: int) -> None:
    product = make_product(n_events, logs={series.name: series}, stop_time_ns=None)
    assert logs_png(product).startswith(b"\x89PNG")
    (markdown,) = log_thumbnails(product).values()
    assert len(markdown) < 1000
    svg = unquote(markdown.split(",", 1)[1].removesuffix(")"))
    assert ElementTree.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own


def test_eight_logs_are_shown_and_those_that_change_come_first(make_product: Maker) -> None:
    constant = LogSeries("a constant", np.array([START_NS]), np.array([1.0]), np.zeros(1, np.int8))
    logs = {s.name: s for s in [constant, *[log(f"log {k}") for k in range(20)]]}
    product = make_product(logs=logs)
    with Image.open(io.BytesIO(logs_png(product))) as picture:
        assert picture.size == (900, 150 + 4 * 150)
    assert "log a constant" not in log_thumbnails(product)
    assert len(log_thumbnails(product)) == 4


def test_a_run_with_logs_has_their_picture_and_one_without_has_none(make_product: Maker) -> None:
    assert "logs.png" in pictures_png(make_product(10, logs={"t": log()}))
    assert "logs.png" not in pictures_png(make_product(10))
    assert log_thumbnails(make_product(10)) == {}
    with pytest.raises(ValueError, match="no logs"):
        logs_png(make_product(10))
