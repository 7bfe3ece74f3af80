"""Pictures decode, have their size, and show what is there, for any legal run."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from runstart.instruments import Bank, Instrument, TofAxis
from runstart.product import (
    RunProduct,
    bank_png,
    overview_png,
    pictures_png,
    pixel_tof_png,
    rate_png,
    tof_png,
)
from runstart.product._style import caption_of, duration, printable, short_number, wants_log
from runstart.product.pictures import BANK_SIZE, OVERVIEW_SIZE, PANEL_SIZE

Maker = Callable[..., RunProduct]


def decode(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image


def instrument_of(*shapes: tuple[int, ...], first: int = 1) -> Instrument:
    banks, next_id = [], first
    for k, shape in enumerate(shapes):
        banks.append(Bank(name=f"bank{k}", shape=shape, first_detector_id=next_id))
        next_id += banks[-1].size
    return Instrument(name="TEST", banks=tuple(banks), tof=TofAxis(start_us=0, stop_us=100, bins=10))


def test_every_picture_decodes_and_has_its_size(make_product: Maker) -> None:
    product = make_product()
    assert decode(overview_png(product)).size == OVERVIEW_SIZE
    assert decode(tof_png(product)).size == PANEL_SIZE
    assert decode(rate_png(product)).size == PANEL_SIZE
    assert decode(bank_png(product, 1)).size == BANK_SIZE
    assert decode(pixel_tof_png(product)).size == BANK_SIZE


def test_pictures_have_a_file_name_each(make_product: Maker) -> None:
    names = ["overview.png", "tof.png", "rate.png", "bank_rear.png", "bank_name.png", "pixel_tof.png"]
    assert list(pictures_png(make_product())) == names


@pytest.mark.parametrize("stop_time_ns", [None, 1_700_000_001_000_000_000])
def test_a_run_without_events_is_a_calm_picture(make_product: Maker, stop_time_ns: int | None) -> None:
    product = make_product(0, stop_time_ns=stop_time_ns)
    assert set(map(type, pictures_png(product).values())) == {bytes}
    assert caption_of(product).startswith("no events yet" if stop_time_ns is None else "no events   ")


@pytest.mark.parametrize(
    "shapes", [((1, 1),), ((1,),), ((3, 900),), ((700, 2),), ((2, 2),) * 4, ((4, 4), (5,)) * 5, ((2, 3),) * 40]
)
@pytest.mark.parametrize("n_events", [0, 1, 3000])
def test_any_layout_of_banks_is_drawn(make_product: Maker, shapes: tuple[tuple[int, ...]], n_events: int) -> None:
    product = make_product(n_events, instrument=instrument_of(*shapes))
    assert decode(overview_png(product)).size == OVERVIEW_SIZE


@pytest.mark.parametrize("run_name", ["", "$x^2", "\\frac{", "日本\0\n\ud800", "x" * 10_000, "<script>"])
def test_any_run_name_is_drawn_without_a_warning(make_product: Maker, run_name: str) -> None:
    assert decode(overview_png(make_product(10, run_name=run_name))).size == OVERVIEW_SIZE


@pytest.mark.parametrize("stop_time_ns", [0, 2**63 - 1, 2**64 * 1_000_000])
def test_an_absurd_stop_time_is_drawn(make_product: Maker, stop_time_ns: int) -> None:
    assert decode(overview_png(make_product(10, stop_time_ns=stop_time_ns))).size == OVERVIEW_SIZE


def test_row_0_is_at_the_bottom_and_column_0_at_the_left(make_product: Maker) -> None:
    product = make_product(0, instrument=instrument_of((4, 4), first=0))
    # Three of four pixels of the first row: bottom left is bright, top right is not.
    product.views.add(np.full(3, 10, np.uint32), np.array([0, 1, 2], np.uint32), 0)
    pixels = np.asarray(decode(bank_png(product, 0)).convert("RGB")).astype(int)
    yellow = (pixels[..., 0] > 200) & (pixels[..., 1] > 200) & (pixels[..., 2] < 100)
    picture = yellow[:, : int(0.8 * BANK_SIZE[0])]  # without the colour bar
    rows, columns = np.nonzero(picture)
    assert rows.min() > BANK_SIZE[1] / 2
    assert columns.min() < 0.15 * BANK_SIZE[0] < columns.max() < 0.7 * BANK_SIZE[0]


def test_periods_are_summed(make_product: Maker) -> None:
    caption = caption_of(make_product(100, 3))
    assert "sum of 3 periods" in caption
    assert decode(overview_png(make_product(100, 3))).size == OVERVIEW_SIZE


def test_the_same_run_gives_the_same_picture_from_any_thread(make_product: Maker) -> None:
    products = [make_product(500) for _ in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(overview_png, products))) == 1


def test_pixel_tof_that_is_not_declared_is_refused(make_product: Maker) -> None:
    with pytest.raises(ValueError, match="does not declare pixel_tof"):
        pixel_tof_png(make_product(instrument=instrument_of((4, 4))))


def test_the_scale_is_logarithmic_only_when_a_linear_one_hides_most() -> None:
    assert not wants_log(np.zeros(5, np.int64))
    assert not wants_log(np.array([0, 1, 2, 20]))
    assert not wants_log(np.array([100, 101, 4000]))
    assert wants_log(np.array([1, 2, 3, 1000]))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (59.9, "59.9 s"), (754.2, "12 min 34 s"), (50_000, "13 h 53 min"), (900_000, "10 d 10 h")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (950, "950"), (1200, "1.2k"), (35e6, "35M"), (4e9, "4G")])
def test_tick_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


def test_what_the_font_lacks_is_replaced() -> None:
    assert printable("a日\0µ", 10) == "a??µ"
    assert printable("abcdef", 4) == "abc…"
