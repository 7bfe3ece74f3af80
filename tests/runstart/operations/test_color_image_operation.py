"""Color Image: channels, alignment and what is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from data_operation_kit import Bench
from star_fields import add_stars

from runstart.errors import Alert
from runstart.images import ColorChannel, compose_color

SHAPE = (100, 120)
RED, GREEN, BLUE = ({"r": 255, "g": 0, "b": 0}, {"r": 0, "g": 255, "b": 0}, {"r": 0, "g": 0, "b": 255})


def _channel(name: str, color: dict[str, int], zmin: float = 0.0, zmax: float = 1000.0) -> dict[str, Any]:
    return {"source": "night", "basename": name, "color": color, "zmin": zmin, "zmax": zmax}


def _stars(dx: float = 0.0, dy: float = 0.0, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its catalogue."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(15, 105, n) + dx, rng.uniform(15, 85, n) + dy
    flux = np.geomspace(2e3, 5e4, n)
    image = rng.normal(50, 3, SHAPE)
    add_stars(image, x, y, flux, 3.0)
    table = np.zeros(n, [("x", "f8"), ("y", "f8"), ("flux", "f8")])
    table["x"], table["y"], table["flux"] = x, y, flux
    return image.astype("f4"), table


def test_channels_are_composed_as_they_lie(bench: Bench) -> None:
    images = [np.random.default_rng(k).uniform(0, 1000, SHAPE).astype("f4") for k in range(2)]
    for k, image in enumerate(images):
        bench.put(f"{k}.fits", image)
    given = [_channel("0.fits", RED), _channel("1.fits", {"r": 0, "g": 128, "b": 255}, 100, 800)]
    (output,) = bench.compute("Color Image", color_channels=given, alignment="none").entry.outputs
    expected = compose_color(
        [ColorChannel(images[0], (255, 0, 0), 0, 1000), ColorChannel(images[1], (0, 128, 255), 100, 800)]
    )
    np.testing.assert_array_equal(bench.picture(output), expected[::-1])  # row 0 of the image is at the bottom
    assert output.type == "image"
    assert set(output.objects) == {"large", "small", "tif"}
    assert bench.picture(output, "large").shape == (*SHAPE, 3)
    assert output.figures["alignment"] == "none"


@pytest.mark.parametrize(
    ("with_catalog", "alignment", "expected"),
    [(True, "catalog", "catalog"), (False, "catalog", "stars"), (True, "stars", "stars")],
)
def test_images_are_aligned_by_catalogues_or_stars(
    bench: Bench, with_catalog: bool, alignment: str, expected: str
) -> None:
    for name, shift in (("r.fits", (0.0, 0.0)), ("g.fits", (4.0, -3.0)), ("b.fits", (-5.0, 2.0))):
        image, table = _stars(*shift)
        bench.put(name, image, table=table if with_catalog else None)
    given = [_channel("r.fits", RED), _channel("g.fits", GREEN), _channel("b.fits", BLUE)]
    (output,) = bench.compute("Color Image", color_channels=given, alignment=alignment).entry.outputs
    assert output.figures["alignment"] == expected
    assert ("not_by_catalog" in output.figures) == (alignment != expected)
    picture = bench.picture(output).astype(float)[15:85, 15:105]
    red, green, blue = (picture[..., k] for k in range(3))
    assert np.corrcoef(red.ravel(), green.ravel())[0, 1] > 0.95
    assert np.corrcoef(red.ravel(), blue.ravel())[0, 1] > 0.95


def test_what_cannot_be_aligned_stays_as_it_lies_and_the_reason_is_told(bench: Bench) -> None:
    image, table = _stars()
    few, few_table = _stars(n=2)
    bench.put("r.fits", image, table=table)
    bench.put("g.fits", few, table=few_table)
    given = [_channel("r.fits", RED), _channel("g.fits", GREEN)]
    (output,) = bench.compute("Color Image", color_channels=given).entry.outputs
    assert output.figures["alignment"] == "none"
    assert "g.fits" in output.figures["not_aligned"]
    assert output.label == "Colour image of 2 channels, not aligned"
    expected = compose_color([ColorChannel(image, (255, 0, 0), 0, 1000), ColorChannel(few, (0, 255, 0), 0, 1000)])
    np.testing.assert_array_equal(bench.picture(output), expected[::-1])


def test_the_order_of_channels_is_part_of_the_key_since_the_first_is_the_reference(bench: Bench) -> None:
    for name in ("r.fits", "g.fits"):
        bench.put(name, _stars()[0])
    given = [_channel("r.fits", RED), _channel("g.fits", GREEN)]
    first = bench.compute("Color Image", color_channels=given, alignment="none")
    second = bench.compute("Color Image", color_channels=given[::-1], alignment="none")
    assert first.entry.key != second.entry.key


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"color": {"r": 300, "g": 0, "b": 0}}, r"color_channels\[0\]\.color\.r is 300; the largest is 255"),
        ({"color": {"r": -1, "g": 0, "b": 0}}, "the smallest is 0"),
        ({"color": {"r": 1.5, "g": 0, "b": 0}}, "no whole number"),
        ({"color": "red"}, r"color_channels\[0\]\.color is 'red'"),
        ({"zmin": 5, "zmax": 1}, "above zmax"),
        ({"zmin": float("nan")}, "no finite number"),
    ],
)
def test_wrong_colours_and_scales_are_refused(bench: Bench, change: dict[str, Any], text: str) -> None:
    bench.put("r.fits", _stars()[0])
    with pytest.raises(Alert, match=text):
        bench.compute("Color Image", color_channels=[_channel("r.fits", RED) | change])


def test_a_catalogue_without_positions_counts_as_none(bench: Bench) -> None:
    for name in ("r.fits", "g.fits"):
        image, table = _stars()
        words = np.array([("left", "low")] * len(table), [("x", "U4"), ("y", "U4")])
        bench.put(name, image, table=words)
    given = [_channel("r.fits", RED), _channel("g.fits", GREEN)]
    (output,) = bench.compute("Color Image", color_channels=given).entry.outputs
    assert output.figures["alignment"] == "stars"
    assert output.figures["not_by_catalog"] == "no catalogue in r.fits, g.fits"
