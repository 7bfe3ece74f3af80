from __future__ import annotations

import gzip
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_page_kit import ScriptedRun, simulated_instruments

from runstart.events import Severity
from runstart.instruments import Bank, Instrument, TofAxis
from runstart.live.display import MOST_BINS, MOST_CELLS, MOST_LOGS, MOST_RATES, MOST_SAMPLES, MOST_SIDE, views_json
from runstart.logs import LogBook, Sample
from runstart.product import RunProduct
from runstart.scripts.model import Axis, NamedArray, ScriptOutcome
from runstart.storage import FileStore
from runstart.views import Series, Views

START_NS = 1_700_000_000_000_000_000


def make_product(
    shape: tuple[int, ...] = (12, 20), bins: int = 50, seconds: int = 10, **changes: Any
) -> RunProduct:
    instrument = Instrument(
        name="TEST",
        banks=(Bank(name="rear", shape=shape, first_detector_id=1),),
        tof=TofAxis(start_us=0, stop_us=bins, bins=bins),
    )
    rng = np.random.default_rng(4)
    views, series = Views(instrument), Series(START_NS)
    ids = rng.integers(1, math.prod(shape) + 1, 3000).astype(np.uint32)
    views.add(rng.integers(0, bins * 1000, 3000).astype(np.uint32), ids)
    for second in range(seconds):
        series.add_events(second, 100 + second)
    fields: dict[str, Any] = {
        "instrument": instrument,
        "partition_key": "run-1",
        "run_name": "run 1",
        "start_time_ns": START_NS,
        "stop_time_ns": START_NS + seconds * 10**9,
        "n_periods": 1,
        "views": views,
        "series": series,
        "ledger": {},
        "provenance": {},
    }
    return RunProduct(**{**fields, **changes})


def show(product: RunProduct, script: ScriptOutcome | None = None) -> dict[str, Any]:
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    shown: dict[str, Any] = json.loads(views_json(product, script), parse_constant=refuse)
    return shown


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 2500))
def test_no_count_is_lost_however_large_the_tables_are(rows: int, columns: int, bins: int) -> None:
    shown = show(make_product((rows, columns), bins))
    assert sum(shown["tof"]["counts"]) == 3000
    (bank,) = shown["banks"]
    assert (sum(bank["counts"]), bank["total"]) == (3000, 3000)
    assert (bank["rows"], bank["columns"]) == (-(-rows // bank["rows_each"]), -(-columns // bank["columns_each"]))
    assert len(bank["counts"]) == bank["rows"] * bank["columns"]
    assert max(bank["rows"], bank["columns"]) <= MOST_SIDE
    assert len(shown["tof"]["counts"]) <= MOST_BINS


def test_cells_stand_row_by_row_from_row_0_on() -> None:
    product = make_product((2, 3))
    image = product.views.bank_image(0).sum(axis=0)
    assert show(product)["banks"][0]["counts"] == image.ravel().tolist()


@given(st.integers(0, 4000))
def test_rates_are_means_of_their_seconds(seconds: int) -> None:
    rate = show(make_product(seconds=seconds))["rate"]
    each, rates = rate["seconds_each"], rate["events_per_second"]
    assert (rate["seconds"], len(rates)) == (seconds, -(-seconds // each))
    assert len(rates) <= MOST_RATES
    if seconds:
        assert rates[0] == pytest.approx(100 + (min(each, seconds) - 1) / 2, rel=1e-4)
        last = (seconds - 1) // each * each
        assert rates[-1] == pytest.approx(100 + (last + seconds - 1) / 2, rel=1e-4)


def test_the_second_that_goes_on_is_not_shown_as_a_drop() -> None:
    live = show(make_product(seconds=10, stop_time_ns=None))["rate"]
    assert (live["seconds"], live["events_per_second"][-1]) == (9, 108)


def test_a_bank_of_one_dimension_is_one_row() -> None:
    (bank,) = show(make_product((300,)))["banks"]
    assert (bank["rows"], bank["columns"], bank["shape"], sum(bank["counts"])) == (1, 300, [300], 3000)


def test_many_banks_are_shown_as_far_as_there_is_room() -> None:
    banks = tuple(
        Bank(name=f"b{n}", shape=(MOST_SIDE, MOST_SIDE), first_detector_id=1 + n * MOST_SIDE**2) for n in range(9)
    )
    instrument = Instrument(name="TEST", banks=banks, tof=TofAxis(start_us=0, stop_us=10, bins=10))
    shown = show(make_product(instrument=instrument, views=Views(instrument)))["banks"]
    assert [bank["name"] for bank in shown] == ["b0", "b1", "b2", "b3"]
    assert sum(len(bank["counts"]) for bank in shown) <= MOST_CELLS


def test_logs_are_thinned_to_their_end_and_gaps_are_null() -> None:
    book = LogBook("run-1", START_NS)
    for number in range(1000):
        value = math.nan if number == 999 else float(number)
        book.add(Sample("t", START_NS + number * 10**9, value, Severity.MINOR, "K"), "epics")
    book.add(Sample("door", START_NS, "open"), "epics")
    door, temperature = show(make_product(logs=book.series()))["logs"]
    assert (door["name"], door["values"], door["is_text"]) == ("door", ["open"], True)
    assert (temperature["samples"], temperature["unit"], temperature["last_severity"]) == (1000, "K", "minor")
    assert temperature["values"][-1] is None
    assert temperature["seconds"][-1] == 999.0
    assert len(temperature["values"]) <= MOST_SAMPLES


def test_what_a_script_made_is_shown_with_its_axes_and_its_end() -> None:
    values = np.array([1.0, np.nan, np.inf, 4.0])
    curve = NamedArray(
        "q", values, [Axis("Q", np.arange(5.0), "1/A")], "counts", np.ones(4), log=True, title="I(Q)"
    )
    table = NamedArray("t", np.ones((300, 10)), [Axis("y", np.arange(300.0)), Axis("x", np.arange(10.0))])
    outcome = ScriptOutcome("ab", 1.0, 0.5, "x" * 50_000 + "end", {"q": curve, "t": table}, {"f": b""}, "", "none")
    script = show(make_product(), outcome)["script"]
    first, second = script["arrays"]
    assert (first["values"], first["axes"][0]["values"]) == ([1.0, None, None, 4.0], [0.5, 1.5, 2.5, 3.5])
    assert (first["title"], first["log"], first["errors"]) == ("I(Q)", True, [1.0] * 4)
    assert second["shape"] == [100, 10]
    assert script["output"].endswith("end")
    assert len(script["output"]) == 20_000
    assert script["figures"] == ["script_f.png"]


def test_arrays_of_a_script_are_shown_as_far_as_there_is_room() -> None:
    values, axis = np.full((MOST_SIDE, MOST_SIDE), 1.234567e-12), Axis("x", np.arange(float(MOST_SIDE)))
    arrays = {f"a{n}": NamedArray(f"a{n}", values, [axis, axis], errors=values) for n in range(5)}
    outcome = ScriptOutcome("ab", 1.0, 0.5, "", arrays, {}, "", "none")
    told = views_json(make_product(), outcome)
    assert [array["name"] for array in json.loads(told)["script"]["arrays"]] == ["a0", "a1"]
    assert len(told) < 1_000_000


def test_the_largest_that_there_can_be_is_sent_within_a_second_of_a_slow_network() -> None:
    bank = Bank(name="b", shape=(2 * MOST_SIDE, 2 * MOST_SIDE), first_detector_id=1)
    banks = tuple(
        bank.model_copy(update={"name": f"b{n}", "first_detector_id": 1 + n * bank.size}) for n in range(5)
    )
    instrument = Instrument(name="TEST", banks=banks, tof=TofAxis(start_us=0, stop_us=5000, bins=5000))
    views = Views(instrument)
    for index in range(len(banks)):
        views.bank_image(index)[...] = np.random.default_rng(index).integers(10**8, 10**9, bank.shape)
    book = LogBook("run-1", START_NS)
    for log in range(MOST_LOGS):
        for number in range(MOST_SAMPLES):
            book.add(Sample(f"log {log}", START_NS + number * 10**9, f"{log} {number} " + "x" * 300), "epics")
    values, axis = np.random.default_rng(4).normal(0, 1e-9, (1000, 1000)), Axis("x", np.arange(1000.0))
    arrays = {f"a{n}": NamedArray(f"a{n}", values, [axis, axis], errors=np.abs(values)) for n in range(12)}
    outcome = ScriptOutcome("ab", 1.0, 0.5, "x" * 50_000, arrays, {}, "y" * 50_000, "none")
    told = views_json(make_product(instrument=instrument, views=views, logs=book.series(), seconds=4000), outcome)
    assert len(told) < 3_000_000
    assert len(gzip.compress(told, 4)) < 1_000_000


def test_a_large_instrument_stays_small_enough_to_be_sent_every_two_seconds(file_store: FileStore) -> None:
    run = ScriptedRun(file_store, simulated_instruments("SANS2D")["SANS2D"])
    run.take(200_000)
    assert len(views_json(run.product(), run.outcome())) < 250_000
