"""What goes into one execution of a reduction script and what comes out of it: plain values, no behaviour.

Arrays are shared, not copied, so what is put in must not change while a script is executed. An earlier run whose
tables have another shape than this run's is left out: a script could not compare with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.instruments import Instrument
    from runstart.product import RunProduct, StoredProduct

_CHARGE_QUANTUM_UAH = 2.0**-40  # as stored; see runstart.views.series


class KeptEvents(Protocol):
    """The newest events of a run; `runstart.live.kept_events.KeptEvents` is one."""

    @property
    def pulse_time_ns(self) -> npt.NDArray[np.int64]:
        """Unix time in ns, int64[n]."""

    @property
    def time_of_flight_ns(self) -> npt.NDArray[Any]:
        """Integers[n], in ns."""

    @property
    def detector_id(self) -> npt.NDArray[np.uint32]:
        """Detector ids, uint32[n]."""

    @property
    def complete(self) -> bool:
        """Whether these are all events of the run."""


class LogSamples(Protocol):
    """A time series next to the counts; `runstart.logs.LogSeries` is one."""

    @property
    def time_ns(self) -> npt.NDArray[np.int64]:
        """Unix time in ns, int64[n]."""

    @property
    def values(self) -> Any:
        """Numbers[n], or a list of n texts."""

    @property
    def severity(self) -> npt.NDArray[np.int8]:
        """EPICS severity, int8[n]."""

    @property
    def unit(self) -> str:
        """Unit of the values."""


@dataclass(frozen=True)
class EarlierRun:
    """The tables of a run that was reduced before.

    Attributes
    ----------
    name, key : str
        Identity of the run.
    arrays : dict of str to integer array
        As in `StoredProduct`.
    ledger : dict of str to int
        Columns by name.
    """

    name: str
    key: str
    arrays: Mapping[str, npt.NDArray[Any]]
    ledger: Mapping[str, int]

    @property
    def charge_per_second_uah(self) -> npt.NDArray[np.float64]:
        """Proton charge in each second, uAh, float64[n_seconds]."""
        return np.asarray(self.arrays["charge_quanta_per_second"] * np.float64(_CHARGE_QUANTUM_UAH))


@dataclass(frozen=True)
class ScriptInput:
    """Everything that a script is shown.

    Attributes
    ----------
    instrument : Instrument
        Gives banks and TOF axis.
    name, key : str
        The run's name as announced, and its key.
    start_time_ns : int
        Unix time in ns.
    stop_time_ns : int or None
        Unix time in ns; None while the run goes on.
    finished : bool
        Whether this is the run's last execution.
    n_periods : int
    tof : int64[n_periods, bins]
    pixel : integer[n_periods, pixels]
    pixel_tof : integer[n_periods, pixels, bins] or None
    events_per_second : int64[n_seconds]
    charge_per_second_uah : float64[n_seconds]
    proton_charge_uah : float
        Of the whole run, so far.
    ledger : mapping of str to int
        Columns by name.
    metadata : mapping of str to Any
        As announced with the run: whatever JSON holds.
    logs : mapping of str to LogSamples
        By name.
    events : KeptEvents or None
        None if the instrument keeps none.
    previous, reference : EarlierRun or None
        The run before this one, and the one that the instrument's declaration names.
    """

    instrument: Instrument
    name: str
    key: str
    start_time_ns: int
    stop_time_ns: int | None
    finished: bool
    n_periods: int
    tof: npt.NDArray[np.int64]
    pixel: npt.NDArray[Any]
    pixel_tof: npt.NDArray[Any] | None
    events_per_second: npt.NDArray[np.int64]
    charge_per_second_uah: npt.NDArray[np.float64]
    proton_charge_uah: float
    ledger: Mapping[str, int]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    logs: Mapping[str, LogSamples] = field(default_factory=dict)
    events: KeptEvents | None = None
    previous: EarlierRun | None = None
    reference: EarlierRun | None = None

    @classmethod
    def from_product(
        cls,
        product: RunProduct,
        metadata: Mapping[str, Any] | None = None,
        logs: Mapping[str, LogSamples] | None = None,
        events: KeptEvents | None = None,
        previous: StoredProduct | None = None,
        reference: StoredProduct | None = None,
        *,
        finished: bool,
    ) -> ScriptInput:
        """Return the input made of a run's product, which must not change until the execution is over.

        Parameters
        ----------
        product : RunProduct
            The run, so far or finished.
        metadata, logs, events
            As in the attributes.
        previous, reference : StoredProduct or None
            Results of earlier runs.
        finished : bool
            Whether this is the run's last execution.
        """
        return cls(
            instrument=product.instrument,
            name=product.run_name,
            key=product.partition_key,
            start_time_ns=product.start_time_ns,
            stop_time_ns=product.stop_time_ns,
            finished=finished,
            n_periods=product.n_periods,
            tof=product.views.tof,
            pixel=product.views.pixel,
            pixel_tof=product.views.pixel_tof,
            events_per_second=product.series.events_per_second,
            charge_per_second_uah=product.series.charge_per_second_uah,
            proton_charge_uah=product.series.total_charge_uah,
            ledger=dict(product.ledger),
            metadata=dict(metadata or {}),
            logs=dict(logs or {}),
            events=events,
            previous=earlier_run(previous, product.instrument),
            reference=earlier_run(reference, product.instrument),
        )


def earlier_run(stored: StoredProduct | None, instrument: Instrument) -> EarlierRun | None:
    """Return the tables of a stored result, or None if they do not fit the instrument as it is declared now."""
    if stored is None:
        return None
    arrays = stored.arrays
    if arrays["tof"].shape[1] != instrument.tof.bins or arrays["pixel"].shape[1] != instrument.pixel_count:
        return None
    return EarlierRun(stored.run_name, stored.partition_key, arrays, stored.ledger)


@dataclass(frozen=True)
class Axis:
    """One axis of a named array.

    Attributes
    ----------
    name : str
    values : float64[n] or float64[n + 1]
        Centres of n values, or their n + 1 edges.
    unit : str
    """

    name: str
    values: npt.NDArray[np.float64]
    unit: str = ""

    def is_edges(self, length: int) -> bool:
        """Return whether these are the edges of so many values, not their centres."""
        return self.values.size == length + 1

    def centres(self, length: int) -> npt.NDArray[np.float64]:
        """Return the places of so many values: float64[length]."""
        if self.is_edges(length):
            return np.asarray((self.values[:-1] + self.values[1:]) / 2)
        return self.values


@dataclass(frozen=True)
class NamedArray:
    """An array that a script has returned.

    Attributes
    ----------
    name : str
        Letters, digits, `_` and `-`.
    values : float64 or int64 [n] or [rows, columns]
    axes : tuple of Axis
        One for each dimension, in order.
    unit : str
    errors : float64 or None
        Standard deviations, in the shape of the values.
    log : bool
        Whether a picture has a logarithmic scale.
    title : str
    """

    name: str
    values: npt.NDArray[Any]
    axes: Sequence[Axis]
    unit: str = ""
    errors: npt.NDArray[np.float64] | None = None
    log: bool = False
    title: str = ""


@dataclass(frozen=True)
class ScriptOutcome:
    """What one execution came to.

    Attributes
    ----------
    sha256 : str
        Of the script's text.
    executed_at : float
        Unix time in s of its start.
    seconds : float
        That it took.
    output : str
        The end of what it printed.
    arrays : dict of str to NamedArray
        By name.
    figures : dict of str to bytes
        PNGs by name.
    error : str
        Why it failed, with the line; empty if it did not.
    isolation : str
        Level of isolation: one of `runstart.launchers.LEVELS`, or the launcher's own.
    remark : str
        What was not done as declared; empty if all was.
    """

    sha256: str
    executed_at: float
    seconds: float
    output: str
    arrays: Mapping[str, NamedArray]
    figures: Mapping[str, bytes]
    error: str
    isolation: str
    remark: str = ""
