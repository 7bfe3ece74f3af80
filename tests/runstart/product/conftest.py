"""A small run with two banks, rings, two columns of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runstart.instruments import Bank, Instrument, TofAxis
from runstart.product import RunProduct
from runstart.views import Series, Views

START_NS = 1_700_000_000_123_456_789


def build_product(n_events: int = 2000, n_periods: int = 1, **changes: Any) -> RunProduct:
    instrument = changes.pop(
        "instrument",
        Instrument(
            name="TEST",
            banks=(
                Bank(name="rear", shape=(12, 20), first_detector_id=1),
                Bank(name="name", shape=(8,), first_detector_id=500),
            ),
            tof=TofAxis(start_us=1, stop_us=101, bins=50),
            views=("tof", "pixel", "image", "pixel_tof"),
        ),
    )
    rng = np.random.default_rng(5)
    views, series = Views(instrument, n_periods), Series(START_NS)
    banks = instrument.banks
    for period in range(n_periods):
        tof = rng.integers(0, 110_000, n_events).astype(np.uint32)
        ids = rng.integers(0, banks[0].size + 2, n_events).astype(np.uint32)
        ids[::5] = banks[-1].first_detector_id
        views.add(tof, ids, period)
    seconds = rng.integers(0, 90, n_events)
    series.add_pulses(START_NS + seconds * 1_000_000_000, np.ones(n_events, np.int64))
    if n_events:
        series.add_charge(START_NS, 0.0123)
    fields: dict[str, Any] = {
        "instrument": instrument,
        "partition_key": "run-1_20231114",
        "run_name": "run 1",
        "start_time_ns": START_NS,
        "stop_time_ns": START_NS + 90_500_000_000,
        "n_periods": n_periods,
        "views": views,
        "series": series,
        "ledger": {"events_read": n_events, "events_unknown_detector": 3, "missing_message_ids": 0},
        "provenance": {"program": "runstart", "version": "0.1.0", "end_offsets": '{"0": 17}'},
    }
    return RunProduct(**{**fields, **changes})


@pytest.fixture
def make_product() -> Callable[..., RunProduct]:
    return build_product
