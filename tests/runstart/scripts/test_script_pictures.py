"""Pictures of whatever arrays a script returns."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from runstart.scripts import Axis, NamedArray, ScriptOutcome
from runstart.scripts.pictures import script_pictures, script_thumbnails


def outcome(**arrays: NamedArray) -> ScriptOutcome:
    return ScriptOutcome("0" * 64, 0.0, 0.1, "", arrays, {}, "", "namespaces")


def named(values: np.ndarray, *edges: np.ndarray) -> NamedArray:
    return NamedArray("array", values, [Axis(f"axis {n}", edge) for n, edge in enumerate(edges)])


GOOD = named(np.arange(4.0), np.arange(5.0))


@pytest.mark.parametrize(
    "bad",
    [
        named(np.arange(3.0), np.array([0.0, np.nan, 1.0, 2.0])),
        named(np.ones((2, 2)), np.array([0.0, np.inf, 2.0]), np.arange(3.0)),
        named(np.arange(3.0), np.array([-1e308, 0.0, 1e308])),
        named(np.zeros((0, 3)), np.zeros(0), np.arange(3.0)),
        named(np.full(3, np.nan), np.arange(3.0)),
    ],
    ids=["nan edges", "infinite edges", "huge axis", "empty table", "no number"],
)
def test_an_array_that_cannot_be_drawn_costs_no_other(bad: NamedArray) -> None:
    drawn = outcome(bad=bad, good=GOOD)
    pictures = script_pictures(drawn)
    for name in ("script_bad.png", "script_good.png"):
        assert Image.open(io.BytesIO(pictures[name])).size[0] > 0
    assert "good" in script_thumbnails(drawn)


@pytest.mark.parametrize("shape", [(8_000_000,), (2800, 2800)])
def test_large_arrays_are_thinned_before_they_are_drawn(shape: tuple[int, ...]) -> None:
    array = named(np.ones(shape), *(np.arange(length + 1.0) for length in shape))
    (picture,) = script_pictures(outcome(large=array)).values()
    assert picture.startswith(b"\x89PNG")
    assert len(script_thumbnails(outcome(large=array))["large"]) < 1000
