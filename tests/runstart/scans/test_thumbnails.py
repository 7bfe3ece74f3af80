"""Thumbnails of a scan fit into Dagster's pages."""

from __future__ import annotations

import base64
import io
import re
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from scan_products import make_product, with_events

from runstart.product import LONGEST_MARKDOWN
from runstart.scans.model import ScanProduct
from runstart.scans.thumbnails import scan_thumbnails

ASSETS = {"counted_scan", "center_of_mass", "virtual_images", "phase", "diffraction_pattern"}


def picture_of(markdown: str) -> np.ndarray:
    found = re.search(r"data:image/webp;base64,([\w+/=]+)'", unquote(markdown))
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    "product",
    [
        make_product(),
        make_product((256, 200)),
        make_product((1, 1)),
        make_product((1, 500)),
        make_product((500, 1)),
        make_product(seen=0, pattern=np.zeros((32, 30), np.uint64)),
        make_product(virtual_images={"noise": np.random.default_rng(2).random((12, 16))}),
    ],
    ids=["small", "large", "one position", "row", "column", "empty", "noise"],
)
def test_every_asset_has_a_thumbnail_that_is_shown_in_place(product: ScanProduct) -> None:
    thumbnails = scan_thumbnails(product)
    assert thumbnails.keys() == ASSETS
    for markdown in thumbnails.values():
        assert len(markdown) <= LONGEST_MARKDOWN
        assert " " not in markdown.split("](")[1]
        rows, columns, _ = picture_of(markdown).shape
        assert max(rows, columns) <= 16 * min(rows, columns)


def test_without_detectors_there_are_no_virtual_images() -> None:
    assert scan_thumbnails(make_product(detectors=())).keys() == ASSETS - {"virtual_images"}


def test_missing_positions_are_grey_and_below_the_first() -> None:
    picture = picture_of(scan_thumbnails(make_product((40, 40), seen=0.5))["phase"])
    assert np.abs(picture[-8:] - [205, 210, 216]).max() < 16
    assert np.abs(picture[:8] - [205, 210, 216]).max(axis=2).mean() > 40


def test_a_counted_scan_shows_its_electrons() -> None:
    picture = picture_of(scan_thumbnails(with_events(make_product((16, 16))))["counted_scan"])
    luma = picture @ [0.299, 0.587, 0.114]
    assert luma[-3:].mean() > luma[:3].mean() + 80
