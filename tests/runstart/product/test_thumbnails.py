from __future__ import annotations

import base64
import io
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from runstart.instruments import Bank, Instrument, TofAxis, Topics
from runstart.product import RunProduct, thumbnails
from runstart.product.thumbnails import LONGEST_MARKDOWN
from runstart.views import Series, Views


def make_product(banks: tuple[Bank, ...], events: int) -> RunProduct:
    instrument = Instrument(
        name="SMALL", topics=Topics.of("SMALL"), banks=banks, tof=TofAxis(start_us=0, stop_us=100_000, bins=500)
    )
    views = Views(instrument)
    rng = np.random.default_rng(7)
    ids = rng.integers(0, sum(bank.size for bank in banks), events, dtype=np.uint32)
    views.add(rng.integers(0, 100_000_000, events, dtype=np.uint32), ids)
    return RunProduct(instrument, "key", "run", 0, None, 1, views, Series(0), {}, {})


def svg_of(markdown: str) -> ElementTree.Element:
    uri = markdown[markdown.index("(") + 1 : -1]
    return ElementTree.fromstring(unquote(uri.removeprefix("data:image/svg+xml,")))  # noqa: S314 - our own text


@pytest.mark.parametrize("events", [0, 1, 1_000_000])
@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (192, 192), (120, 512)])
def test_thumbnails_are_short_enough_to_be_shown_in_place(shape: tuple[int, int], events: int) -> None:
    product = make_product((Bank(name="main", shape=shape, first_detector_id=0),), events)
    for markdown in thumbnails(product).values():
        assert len(markdown) <= LONGEST_MARKDOWN
        assert " " not in markdown.split("](")[1]
        assert svg_of(markdown).attrib["width"].isdigit()


def test_detector_thumbnail_is_brightest_where_the_counts_are() -> None:
    product = make_product((Bank(name="main", shape=(8, 8), first_detector_id=0),), 0)
    product.views.add(np.full(9, 1000, np.uint32), np.full(9, 8 * 2 + 5, np.uint32))
    image = svg_of(thumbnails(product)["bank main"])[0].attrib["href"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.split(",")[1]))))
    assert np.unravel_index(picture.argmax(), picture.shape) == (2, 5)


def test_banks_of_one_line_have_no_detector_thumbnail() -> None:
    banks = (
        Bank(name="line", shape=(50,), first_detector_id=0),
        Bank(name="area", shape=(5, 5), first_detector_id=50),
    )
    assert list(thumbnails(make_product(banks, 100))) == ["bank area", "TOF spectrum"]
