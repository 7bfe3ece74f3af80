"""The worked examples, executed as an instrument executes them, against independent computations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from script_kit import PATIENCE_S, fetched, launcher_at, make_input

from runstart.instruments import Bank, Instrument, TofAxis
from runstart.instruments.script import Script
from runstart.product import RunProduct
from runstart.scripts import EarlierRun, ScriptInput, ScriptOutcome, execute
from runstart.simulators.sans import SansInstrument
from runstart.views import Series, Views

EXAMPLES = Path(__file__).parents[3] / "runstart" / "scripts" / "examples"
START_NS = 1_700_000_000_000_000_000


def run_example(name: str, script_input: ScriptInput) -> ScriptOutcome:
    script = Script(folder=str(EXAMPLES), file=f"{name}.py", timeout=PATIENCE_S)
    text = (EXAMPLES / f"{name}.py").read_text()
    outcome = execute(script, fetched(text), script_input, launcher_at("fault isolation only"))
    assert outcome.error == ""
    return outcome


@pytest.fixture(scope="module")
def simulated() -> tuple[ScriptInput, Any, Any]:
    """A run of the simulated instrument, and its events."""
    instrument = Instrument(
        name="SANS2D",
        banks=(
            Bank(name="monitor", shape=(3,), first_detector_id=1),
            Bank(name="rear", shape=(64, 64), first_detector_id=1000),
        ),
        tof=TofAxis(start_us=0, stop_us=100_000, bins=50),
        views=("tof", "pixel", "pixel_tof"),
    )
    tof_ns, detector_id = SansInstrument(instrument).pulse_events(0, 0, 200_000)
    views, series = Views(instrument), Series(START_NS)
    views.add(tof_ns, detector_id)
    series.add_pulses(np.array([START_NS]), np.array([len(tof_ns)]))
    series.add_charge(START_NS, 2.5)
    product = RunProduct(instrument, "key", "run", START_NS, None, 1, views, series, {}, {})
    return ScriptInput.from_product(product, finished=False), tof_ns, detector_id


def test_radial_average_is_the_intensity_of_events_sorted_one_by_one(
    simulated: tuple[ScriptInput, Any, Any],
) -> None:
    script_input, tof_ns, detector_id = simulated
    array = run_example("radial_average", script_input).arrays["intensity"]
    edges = array.axes[0].values

    # Each event by itself: its pixel's place, its bin's wavelength, its Q.
    rear = (detector_id >= 1000) & (detector_id < 1000 + 64 * 64)
    row, column = np.divmod(detector_id[rear].astype(np.int64) - 1000, 64)
    radius = np.hypot((row - 31.5) / 64, (column - 31.5) / 64)
    wavelength = 15 * (tof_ns[rear] // 2_000_000 + 0.5) / 50
    q = 4 * np.pi / wavelength * np.sin(np.arctan2(radius, 3.0) / 2)
    kept = (radius > 0.05) & (wavelength > 2) & (wavelength < 12)
    counts, _ = np.histogram(q[kept], edges)
    rows, columns = np.divmod(np.arange(64 * 64), 64)
    radii = np.hypot((rows - 31.5) / 64, (columns - 31.5) / 64)
    lit = radii[radii > 0.05]
    cells = np.zeros(len(edges) - 1)
    for k in range(50):
        if 2 < 15 * (k + 0.5) / 50 < 12:
            cells += np.histogram(4 * np.pi / (0.3 * (k + 0.5)) * np.sin(np.arctan2(lit, 3.0) / 2), edges)[0]

    assert counts.sum() > 100_000
    np.testing.assert_allclose(array.values, counts / np.maximum(cells, 1) / 2.5)
    assert array.errors is not None
    np.testing.assert_allclose(array.errors, np.sqrt(counts) / np.maximum(cells, 1) / 2.5)


def test_radial_average_shows_the_rings_of_silver_behenate(simulated: tuple[ScriptInput, Any, Any]) -> None:
    array = run_example("radial_average", simulated[0]).arrays["intensity"]
    q = array.axes[0].centres(array.values.size)
    near = (q > 0.06) & (q < 0.2)

    assert q[near][array.values[near].argmax()] == pytest.approx(2 * np.pi / 58.38, rel=0.1)


def test_radial_average_without_its_view_says_what_is_missing() -> None:
    text = (EXAMPLES / "radial_average.py").read_text()
    outcome = execute(
        Script(folder="/x", timeout=PATIENCE_S), fetched(text), make_input(), launcher_at("fault isolation only")
    )

    assert "pixel_tof" in outcome.error


def test_spectrum_and_rate_are_divided_by_the_charge() -> None:
    charge = np.full(30, 0.02)
    charge[7] = 0
    given = make_input(charge_per_second_uah=charge, proton_charge_uah=float(charge.sum()))
    arrays = run_example("normalise_by_charge", given).arrays
    expected_rate = given.events_per_second / 0.02
    expected_rate[7] = np.nan

    np.testing.assert_allclose(arrays["spectrum"].values, (given.tof[0] + given.tof[1]) / 0.58)
    np.testing.assert_allclose(arrays["rate"].values, expected_rate)
    assert arrays["spectrum"].errors is not None
    np.testing.assert_allclose(arrays["spectrum"].errors, np.sqrt(given.tof[0] + given.tof[1]) / 0.58)


def test_run_without_charge_has_nothing_to_normalise() -> None:
    outcome = run_example("normalise_by_charge", make_input(proton_charge_uah=0.0))

    assert outcome.arrays == {}
    assert "no proton charge yet" in outcome.output


def earlier(name: str, tof: Any, charge_uah: float) -> EarlierRun:
    arrays = {
        "tof": tof,
        "pixel": np.zeros((1, 17), np.int64),
        "events_per_second": np.zeros(1, np.int64),
        "charge_quanta_per_second": np.array([round(charge_uah * 2**40)]),
    }
    return EarlierRun(name, name, arrays, {})


def test_ratio_to_a_run_of_half_the_charge_and_counts_is_one() -> None:
    tof = np.random.default_rng(1).integers(200, 2000, (1, 20)) * 2
    given = make_input(n_periods=1, tof=tof, proton_charge_uah=3.0, previous=earlier("half", tof // 2, 1.5))
    outcome = run_example("compare_runs", given)
    array = outcome.arrays["ratio_to_previous"]

    np.testing.assert_allclose(array.values, 1.0)
    assert array.errors is not None
    np.testing.assert_allclose(array.errors, np.sqrt(1 / tof[0] + 2 / tof[0]))
    assert set(outcome.arrays) == {"ratio_to_previous"}
    assert "no reference run" in outcome.output


def test_ratio_joins_bins_until_both_runs_have_enough_counts() -> None:
    ours = np.full((1, 20), 60)
    ours[0, 10:] = 150
    given = make_input(n_periods=1, tof=ours, proton_charge_uah=0.0, reference=earlier("ref", ours * 3, 0.0))
    array = run_example("compare_runs", given).arrays["ratio_to_reference"]

    np.testing.assert_array_equal(array.axes[0].values, np.r_[0:20:4, 20:41:2])
    np.testing.assert_allclose(array.values, 1.0)
    assert array.title == "run 1 / ref"
