from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.instruments import Bank, Instrument, TofAxis, read_instruments
from runstart.simulators import SansInstrument


@given(
    st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=2), min_size=1, max_size=4),
    st.integers(0, 2**32),
    st.integers(0, 100),
    st.integers(0, 300),
)
@settings(max_examples=30)
def test_every_event_is_in_a_bank_and_on_the_tof_axis(
    shapes: list[list[int]], seed: int, run_number: int, n_events: int
) -> None:
    banks, first = [], 3
    for number, shape in enumerate(shapes):
        banks.append(Bank(name=f"b{number}", shape=tuple(shape), first_detector_id=first))
        first += banks[-1].size + 2
    # A bank all in the shadow of the beam stop has no pixel to light; a monitor always has.
    banks.append(Bank(name="monitor", shape=(1,), first_detector_id=first))
    instrument = Instrument(name="A", banks=tuple(banks), tof=TofAxis(start_us=500, stop_us=600, bins=10))
    tof_ns, detector_id = SansInstrument(instrument, seed).pulse_events(run_number, 0, n_events)
    known = np.concatenate([bank.first_detector_id + np.arange(bank.size) for bank in banks])
    assert tof_ns.dtype == detector_id.dtype == np.uint32
    assert tof_ns.shape == detector_id.shape == (n_events,)
    assert np.isin(detector_id, known).all()
    assert np.all((tof_ns >= 500_000) & (tof_ns < 600_000))


def test_a_seed_fixes_every_event(instrument: Instrument) -> None:
    one, two = SansInstrument(instrument, 4), SansInstrument(instrument, 4)
    two.pulse_events(9, 9, 100)
    for first, second in zip(one.pulse_events(1, 2, 1000), two.pulse_events(1, 2, 1000), strict=True):
        assert np.array_equal(first, second)
    assert not np.array_equal(one.pulse_events(1, 2, 1000)[0], one.pulse_events(1, 3, 1000)[0])


def test_rings_grow_with_the_time_of_flight(simsans: Instrument) -> None:
    tof_ns, radius = rear_events(simsans, run_number=3)
    medians = [
        np.median(radius[(tof_ns >= begin) & (tof_ns < begin + 5_000_000)])
        for begin in (20_000_000, 25_000_000, 30_000_000, 35_000_000)
    ]
    assert medians == sorted(medians)


def test_the_beam_stop_leaves_a_shadow(simsans: Instrument) -> None:
    _, radius = rear_events(simsans, run_number=1)
    assert radius.min() > 4


def test_the_sample_changes_from_run_to_run(simsans: Instrument) -> None:
    sans = SansInstrument(simsans)
    assert len({sans.sample(run).title for run in range(3)}) == 3


@pytest.fixture
def simsans(pytestconfig: pytest.Config) -> Instrument:
    return read_instruments(pytestconfig.rootpath / "instruments.toml", {}).instruments["SIMSANS"]


def rear_events(instrument: Instrument, run_number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times of flight and distances from the middle, in pixels, of the events on the first bank."""
    tof_ns, detector_id = SansInstrument(instrument).pulse_events(run_number, 0, 100_000)
    on_rear = detector_id <= 128 * 128
    row, column = np.divmod(detector_id[on_rear].astype(np.int64) - 1, 128)
    return tof_ns[on_rear], np.hypot(row - 63.5, column - 63.5)
