"""A simulated time-of-flight small-angle scattering instrument, the same events for the same seed.

Neutrons of a cold moderator (a Maxwellian in wavelength) scatter from a sample at momentum transfers q drawn
from the sample's intensity; `q = 4 pi sin(theta / 2) / wavelength` places them on the first two-dimensional
bank, so that rings grow with the time of flight. What misses that bank falls on the second one, thinning out
to the far side. A beam stop shades the middle; a flat background covers everything else. From run to run the
sample is changed and moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstart.instruments import Bank, Instrument

_MODERATOR_KELVIN = 19.0
_MAXWELL_ANGSTROM2_KELVIN = 949.0  # h^2 / (2 m k)
_FRAME_ANGSTROM = 15.0  # wavelength that arrives at the end of the TOF axis
_SAMPLE_DISTANCE_M = 3.0
_BANK_WIDTH_M = 1.0
_BEAM_STOP_M = 0.045
_BACKGROUND = 0.10  # share of the events that come from anywhere at any time
_PROMPT = 0.01  # share of the events in the flash when the proton pulse hits the target
_PROMPT_SHARE_OF_FRAME = 0.002
_SAMPLE_SHIFT_M = 0.03
_Q = np.geomspace(0.012, 0.6, 4000)  # inverse angstrom


@dataclass(frozen=True, slots=True)
class Sample:
    """What is in the beam.

    Parameters
    ----------
    title : str
    intensity : float64[4000]
        Relative intensity at the momentum transfers of the table.
    alignment : float
        0 scatters alike in all directions; towards 1 mostly along one axis.
    """

    title: str
    intensity: NDArray[np.float64]
    alignment: float = 0.0


def _peaks(spacing_angstrom: float, heights: tuple[float, ...], width: float) -> NDArray[np.float64]:
    """Return the intensity of a layered structure: Bragg peaks over a steep small-angle rise."""
    first = 2 * np.pi / spacing_angstrom
    intensity = 1e-8 * _Q**-4.0 + 4e-3
    for order, height in enumerate(heights, start=1):
        intensity += height * np.exp(-0.5 * ((_Q - order * first) / width) ** 2)
    return intensity


def _spheres(radius_angstrom: float) -> NDArray[np.float64]:
    """Return the form factor of equal spheres."""
    x = _Q * radius_angstrom
    return np.asarray((3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2 + 2e-4)


SAMPLES = (
    Sample("silver behenate", _peaks(58.38, (1.0, 0.25, 0.1), 0.003)),
    Sample("spheres of 7 nm in water", _spheres(70.0)),
    Sample("stretched collagen", _peaks(95.0, (1.0, 0.1, 0.25), 0.003), alignment=0.85),
)


class SansInstrument:
    """Makes the events of single pulses.

    Parameters
    ----------
    instrument : Instrument
        Its banks and TOF axis are filled; banks of one dimension get background only.
    seed : int
        Not negative.
    """

    def __init__(self, instrument: Instrument, seed: int = 0) -> None:
        self._seed = seed
        self._tof = instrument.tof
        planes = [bank for bank in instrument.banks if len(bank.shape) == 2]
        self._rear: Bank | None = planes[0] if planes else None
        self._front: Bank | None = planes[1] if len(planes) > 1 else None
        self._lit_ids = self._ids_out_of_the_shadow(instrument)
        self._wavelength = np.linspace(1.0, _FRAME_ANGSTROM * 0.98, 2000)
        flux = self._wavelength**-5.0 * np.exp(
            -_MAXWELL_ANGSTROM2_KELVIN / (_MODERATOR_KELVIN * self._wavelength**2)
        )
        self._wavelength_cdf = _cumulative(flux)
        self._q_cdf = [_cumulative(np.gradient(_Q) * _Q * sample.intensity) for sample in SAMPLES]

    def sample(self, run_number: int) -> Sample:
        """Return what is in the beam during a run."""
        return SAMPLES[run_number % len(SAMPLES)]

    def pulse_events(
        self, run_number: int, pulse_number: int, n_events: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Return the events of a pulse.

        Parameters
        ----------
        run_number, pulse_number : int
            Not negative; the same numbers give the same events.
        n_events : int

        Returns
        -------
        time_of_flight_ns : uint32[n_events]
            Within the instrument's TOF axis.
        detector_id : uint32[n_events]
            Ids of the instrument's banks.
        """
        rng = np.random.default_rng((self._seed, run_number, pulse_number))
        wavelength = np.interp(rng.random(n_events), self._wavelength_cdf, self._wavelength)
        share = rng.random(n_events)
        detector_id = rng.choice(self._lit_ids, n_events)
        if self._rear is not None:
            scattered = share >= _BACKGROUND
            x, y = self._positions(rng, run_number, wavelength)
            row, column = _pixel(self._rear, x, y)
            hits = _inside(self._rear, row, column)
            missed = scattered & ~hits
            on_rear = scattered & hits & (np.hypot(x, y) > _BEAM_STOP_M)
            ids = self._rear.first_detector_id + row * self._rear.shape[1] + column
            detector_id[on_rear] = ids[on_rear]
            if self._front is not None:
                detector_id[missed] = _thinning_ids(rng, self._front, int(np.count_nonzero(missed)))
        frame = wavelength / _FRAME_ANGSTROM
        prompt = share < _PROMPT
        frame[prompt] = rng.exponential(_PROMPT_SHARE_OF_FRAME, np.count_nonzero(prompt))
        span_ns = self._tof.stop_ns - self._tof.start_ns
        tof_ns = self._tof.start_ns + np.minimum(frame * span_ns, span_ns - 1)
        return tof_ns.astype(np.uint32), detector_id

    def _positions(
        self, rng: np.random.Generator, run_number: int, wavelength: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where scattered neutrons cross the first bank's plane, in metres from its middle."""
        sample = self.sample(run_number)
        placing = np.random.default_rng((self._seed, run_number))
        centre_x, centre_y = placing.uniform(-_SAMPLE_SHIFT_M, _SAMPLE_SHIFT_M, 2)
        direction = placing.uniform(0, np.pi)
        q = np.interp(rng.random(wavelength.size), self._q_cdf[run_number % len(SAMPLES)], _Q)
        half_angle = np.arcsin(np.minimum(q * wavelength / (4 * np.pi), 0.7))
        radius = _SAMPLE_DISTANCE_M * np.tan(2 * half_angle)
        azimuth = rng.uniform(-np.pi, np.pi, wavelength.size)
        aligned = rng.random(wavelength.size) < sample.alignment
        opposite = rng.integers(0, 2, wavelength.size) * np.pi
        along = direction + opposite + rng.normal(0.0, 0.3, wavelength.size)
        azimuth = np.where(aligned, along, azimuth)
        return centre_x + radius * np.cos(azimuth), centre_y + radius * np.sin(azimuth)

    def _ids_out_of_the_shadow(self, instrument: Instrument) -> NDArray[np.uint32]:
        ids = []
        for bank in instrument.banks:
            lit = np.ones(bank.shape, dtype=bool)
            if bank is self._rear:
                row, column = np.indices(bank.shape)
                middle_row, middle_column = (np.array(bank.shape) - 1) / 2
                distance = np.hypot(row - middle_row, column - middle_column) * _pitch(bank)
                lit = distance > _BEAM_STOP_M
            ids.append(bank.first_detector_id + np.flatnonzero(lit))
        return np.concatenate(ids).astype(np.uint32)


def _cumulative(density: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.cumsum(density)
    return np.asarray(total / total[-1])


def _pitch(bank: Bank) -> float:
    return _BANK_WIDTH_M / max(bank.shape)


def _pixel(
    bank: Bank, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = bank.shape
    row = np.floor(y / _pitch(bank) + rows / 2).astype(np.int64)
    column = np.floor(x / _pitch(bank) + columns / 2).astype(np.int64)
    return row, column


def _inside(bank: Bank, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.bool_]:
    rows, columns = bank.shape
    return np.asarray((row >= 0) & (row < rows) & (column >= 0) & (column < columns))


def _thinning_ids(rng: np.random.Generator, bank: Bank, n_events: int) -> NDArray[np.uint32]:
    """Return pixels of a bank at wide angles: most events on the side that is near the beam."""
    rows, columns = bank.shape
    row = rng.integers(0, rows, n_events)
    column = ((1 - np.sqrt(1 - rng.random(n_events))) * columns).astype(np.int64)
    return (bank.first_detector_id + row * columns + column).astype(np.uint32)
