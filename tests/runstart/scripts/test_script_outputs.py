"""Pictures, thumbnails and NeXus groups of what scripts return."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from runstart.product.thumbnails import LONGEST_MARKDOWN
from runstart.scripts import Axis, NamedArray, ScriptOutcome, script_pictures, script_thumbnails
from runstart.scripts.nexus import read_script_arrays, write_script_arrays


def curve(n: int = 40, **changes: Any) -> NamedArray:
    q = np.geomspace(0.01, 0.5, n + 1)
    values = 1 / (q[:-1] ** 2)
    fields: dict[str, Any] = {
        "name": "iq",
        "values": values,
        "axes": (Axis("Q", q, "1/angstrom"),),
        "unit": "counts / uAh",
        "errors": np.sqrt(values),
        "log": True,
        "title": "I(Q)",
    }
    return NamedArray(**{**fields, **changes})


def table(rows: int = 30, columns: int = 50, **changes: Any) -> NamedArray:
    values = np.outer(np.arange(rows), np.arange(columns)).astype(float)
    axes = (Axis("y", np.arange(rows + 1.0), "m"), Axis("x", np.arange(float(columns)), "m"))
    return NamedArray(**{"name": "map", "values": values, "axes": axes, **changes})


def outcome(*arrays: NamedArray, **changes: Any) -> ScriptOutcome:
    fields: dict[str, Any] = {
        "sha256": "ab" * 32,
        "executed_at": 1_700_000_000.5,
        "seconds": 0.2,
        "output": "",
        "arrays": {array.name: array for array in arrays},
        "figures": {},
        "error": "",
        "isolation": "namespaces",
    }
    return ScriptOutcome(**{**fields, **changes})


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        return picture.size


def test_arrays_are_drawn_and_figures_kept_as_they_are() -> None:
    pictures = script_pictures(outcome(curve(), table(), figures={"own": b"png"}), "run 1")

    assert set(pictures) == {"script_iq.png", "script_map.png", "script_own.png"}
    assert size_of(pictures["script_iq.png"]) == (900, 420)
    assert size_of(pictures["script_map.png"]) == (720, 640)
    assert pictures["script_own.png"] == b"png"


def test_caption_says_what_the_picture_is_of() -> None:
    one, other = (script_pictures(outcome(curve()), caption)["script_iq.png"] for caption in ("run 1", "run 2"))

    assert one != other
    assert script_pictures(outcome(curve()))["script_iq.png"] not in (one, other)


@pytest.mark.parametrize(
    "array",
    [
        curve(values=np.zeros(40)),
        curve(values=np.full(40, np.nan), errors=None),
        curve(values=np.full(40, -5.0), errors=None),
        curve(values=np.array([np.inf] * 40)),
        curve(n=1),
        NamedArray("empty", np.zeros(0), (Axis("x", np.zeros(0)),)),
        NamedArray("empty", np.zeros((0, 3)), (Axis("y", np.zeros(1)), Axis("x", np.arange(3.0)))),
        NamedArray("point", np.zeros((1, 1)), (Axis("y", np.zeros(1)), Axis("x", np.zeros(1)))),
        table(values=np.full((30, 50), np.nan)),
        table(values=np.full((30, 50), -1.0), log=True),
        table(axes=(Axis("y", np.arange(30.0)[::-1]), Axis("x", np.zeros(51)))),
        curve(title="$x_{$ \ud800 <b>", unit="$\\frac", axes=(Axis("$", np.full(40, np.nan), "\n\0"),)),
        curve(axes=(Axis("Q", np.geomspace(1e-300, 1e307, 41)),)),
        curve(
            axes=(Axis("Q", np.geomspace(1e-3, 1e307, 41)),),
            values=np.full(40, 1.7e308),
            errors=np.full(40, np.inf),
        ),
        table(values=np.full((30, 50), 1.7e308)),
        curve(values=np.arange(40) * 1e300, errors=None, log=False),
        curve(values=np.arange(40) * 1e-300, errors=None, log=True),
    ],
)
def test_odd_arrays_are_drawn(array: NamedArray) -> None:
    (picture,) = script_pictures(outcome(array), "$caption_{").values()

    assert size_of(picture)[0] >= 720
    for markdown in script_thumbnails(outcome(array)).values():
        assert len(markdown) <= LONGEST_MARKDOWN


@given(arrays(np.float64, array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=40), elements=st.floats()))
def test_thumbnails_of_any_array_are_short(values: Any) -> None:
    axes = tuple(Axis("x", np.arange(float(n))) for n in values.shape)

    (markdown,) = script_thumbnails(outcome(NamedArray("x", values, axes))).values()

    assert markdown.startswith("![x](data:image/svg+xml,")
    assert len(markdown) <= LONGEST_MARKDOWN


def test_arrays_are_read_from_nexus_as_they_were_written() -> None:
    written = outcome(
        curve(), table(), curve(name="date", errors=None, log=False, title=""), error="reduce.py:1: x"
    )
    with h5py.File("script.nxs", "w", driver="core", backing_store=False) as file:
        write_script_arrays(file.create_group("script"), written)
        read = read_script_arrays(file["script"])
        sha256 = file["script/sha256"].asstr()[()]
        group = file["script/array_iq"]
        declared = (group.attrs["signal"], list(group.attrs["axes"]), group["values"].attrs["units"])

    assert sha256 == written.sha256
    assert declared == ("values", ["axis_0"], "counts / uAh")
    assert set(read) == set(written.arrays)
    for name, array in written.arrays.items():
        same = read[name]
        np.testing.assert_array_equal(same.values, array.values)
        assert (same.unit, same.log, same.title) == (array.unit, array.log, array.title)
        for axis, other in zip(array.axes, same.axes, strict=True):
            assert (axis.name, axis.unit) == (other.name, other.unit)
            np.testing.assert_array_equal(axis.values, other.values)
        if array.errors is None:
            assert same.errors is None
        else:
            np.testing.assert_array_equal(same.errors, array.errors)


def test_stock_viewer_draws_the_array(tmp_path: Any) -> None:
    nexus = pytest.importorskip("silx.io.nxdata")
    with h5py.File(tmp_path / "x.nxs", "w") as file:
        write_script_arrays(file.create_group("script"), outcome(curve(), table()))
        spectrum, image = (nexus.NXdata(file[f"script/array_{name}"]) for name in ("iq", "map"))

        assert spectrum.is_valid
        assert spectrum.signal_is_1d
        assert spectrum.errors is not None
        assert image.is_valid
        assert image.signal_is_2d
