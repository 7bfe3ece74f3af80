"""Runs a simulated instrument: run after run on Kafka, a pulse at a time, at the pace of the clock.

Within a run pulses are due at multiples of the pulse period since its start, and carry just these times, so
that nothing drifts. Once a second the sample environment is logged (f144), if the publisher is connected to its
topic. The run covers its pulses: `[start, stop)` in whole milliseconds. When it is told to
stop, the run that is going on is closed with a RunStop. Message ids rise by one over all runs.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from runstart.errors import Alert
from runstart.events import LogMessage, RunStart, RunStop, encode, encode_run_start, encode_run_stop
from runstart.instruments import Instrument
from runstart.simulators.messages import Schema, event_messages
from runstart.simulators.nexus import EventSource
from runstart.simulators.pacing import NANOSECONDS_PER_SECOND, Pacer
from runstart.simulators.publishing import PartitionChooser, Publisher
from runstart.simulators.replay import NANOSECONDS_PER_MILLISECOND, stop_time_after
from runstart.simulators.sans import SansInstrument

_CHARGE_UAH_PER_SECOND = 40.0 / 3600  # a beam of 40 microamperes
_ROOM_KELVIN, _WARMING_KELVIN, _WARMING_SECONDS = 295.0, 15.0, 25.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulated instrument does.

    Parameters
    ----------
    rate : float
        Mean events a second.
    pulse_rate : float
        Pulses a second.
    run_duration : float
        Seconds from the first pulse of a run to its end.
    gap : float
        Seconds between the end of a run and the next start.
    runs : int or None
        Number of runs; None goes on for ever.
    first_run : int
        Number of the first run.
    n_periods : int
        Periods of each run; pulses go round them.
    schema : "ev42" or "ev44"
    seed : int
        The same seed gives the same events.
    """

    rate: float = 20_000.0
    pulse_rate: float = 10.0
    run_duration: float = 60.0
    gap: float = 5.0
    runs: int | None = None
    first_run: int = 1
    n_periods: int = 1
    schema: Schema = "ev42"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rate", "gap", "first_run", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise Alert(f"{name} = {getattr(self, name)} makes no sense.", "Give 0 or more.")
        for name in ("pulse_rate", "run_duration", "n_periods"):
            if not 0 < getattr(self, name) < float("inf"):
                raise Alert(f"{name} = {getattr(self, name)} makes no sense.", "Give more than 0.")
        if self.schema == "ev44" and self.n_periods > 1:
            raise Alert("ev44 cannot say to which period a pulse belongs.", "Use the format ev42.")


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """A run that has been published.

    Parameters
    ----------
    run_name, title : str
    start_time_ms, stop_time_ms : int
        Milliseconds since 1970; the stop is 0 while the run goes on.
    pulses, events : int
        Published so far.
    """

    run_name: str
    title: str
    start_time_ms: int
    stop_time_ms: int
    pulses: int
    events: int


def simulate(
    instrument: Instrument,
    simulation: Simulation,
    publisher: Publisher,
    *,
    stop: threading.Event | None = None,
    on_pulse: Callable[[SimulatedRun], None] | None = None,
    clock_ns: Callable[[], int] = time.time_ns,
) -> list[SimulatedRun]:
    """Publish runs of a simulated instrument until there are enough or it is told to stop.

    Parameters
    ----------
    instrument : Instrument
    simulation : Simulation
    publisher : Publisher
        Connected to the instrument's topics.
    stop : threading.Event, optional
        Closes the run and returns when it is set.
    on_pulse : callable, optional
        Called with the state of the run after each pulse, and when it has ended.
    clock_ns : callable, optional
        Nanoseconds since 1970.

    Returns
    -------
    list of SimulatedRun
        Oldest first.

    Raises
    ------
    Alert, Transient
        The broker refuses the messages, or does not take them.
    """
    stop = stop or threading.Event()
    beamline = _Beamline(
        instrument,
        simulation,
        publisher,
        stop=stop,
        on_pulse=on_pulse or (lambda _: None),
        clock_ns=clock_ns,
    )
    runs: list[SimulatedRun] = []
    while not stop.is_set() and (simulation.runs is None or len(runs) < simulation.runs):
        if runs and stop.wait(simulation.gap):
            break
        runs.append(beamline.publish_run(simulation.first_run + len(runs)))
    return runs


class _Beamline:
    """Publishes one run after another; keeps what goes on over all of them."""

    def __init__(
        self,
        instrument: Instrument,
        simulation: Simulation,
        publisher: Publisher,
        *,
        stop: threading.Event,
        on_pulse: Callable[[SimulatedRun], None],
        clock_ns: Callable[[], int],
    ) -> None:
        self._instrument = instrument
        self._simulation = simulation
        self._publisher = publisher
        self._stop = stop
        self._on_pulse = on_pulse
        self._clock_ns = clock_ns
        self._chooser = PartitionChooser((1.0,) * publisher.partitions[instrument.topics.events])
        self._sans = SansInstrument(instrument, simulation.seed)
        self._message_id = 0

    def publish_run(self, run_number: int) -> SimulatedRun:
        simulation, topic = self._simulation, self._instrument.topics.run_info
        period_ns = NANOSECONDS_PER_SECOND / simulation.pulse_rate
        pacer = Pacer(1.0, self._stop)
        start_ns = self._clock_ns()
        run = SimulatedRun(
            run_name=f"{self._instrument.name}{run_number:08d}",
            title=self._sans.sample(run_number).title,
            start_time_ms=start_ns // NANOSECONDS_PER_MILLISECOND,
            stop_time_ms=0,
            pulses=0,
            events=0,
        )
        job_id = str(uuid.uuid4())
        self._publisher.send(topic, encode_run_start(self._run_start(run, job_id)))
        self._publisher.flush()

        pulse_time_ns = next_log_ns = start_ns
        for pulse in range(max(1, round(simulation.run_duration * simulation.pulse_rate))):
            if not pacer.wait(round(pulse * period_ns)):
                break
            pulse_time_ns = start_ns + round(pulse * period_ns)
            n_events = self._publish_pulse(run_number, pulse, pulse_time_ns)
            if pulse_time_ns >= next_log_ns:
                self._publish_logs(pulse_time_ns, seconds=(pulse_time_ns - start_ns) / NANOSECONDS_PER_SECOND)
                next_log_ns += NANOSECONDS_PER_SECOND
            run = replace(run, pulses=run.pulses + 1, events=run.events + n_events)
            self._on_pulse(run)
        self._publisher.flush()

        run = replace(run, stop_time_ms=stop_time_after(pulse_time_ns))
        run_stop = RunStop(stop_time_ms=run.stop_time_ms, run_name=run.run_name, job_id=job_id)
        self._publisher.send(topic, encode_run_stop(run_stop))
        self._publisher.flush()
        self._on_pulse(run)
        return run

    def _run_start(self, run: SimulatedRun, job_id: str) -> RunStart:
        return RunStart(
            start_time_ms=run.start_time_ms,
            run_name=run.run_name,
            instrument_name=self._instrument.name,
            job_id=job_id,
            n_periods=self._simulation.n_periods,
            metadata=json.dumps({"title": run.title}),
        )

    def _publish_logs(self, time_ns: int, seconds: float) -> None:
        """Publish what a sample changer would: the sample warms up, and its rotation steps."""
        topic = self._instrument.topics.sample_env
        if topic not in self._publisher.partitions:
            return
        temperature = _ROOM_KELVIN + _WARMING_KELVIN * (1 - math.exp(-seconds / _WARMING_SECONDS))
        for name, value in (("sample_temperature", temperature), ("sample_rotation", 15.0 * (seconds // 10 % 24))):
            self._publisher.send(
                topic, encode(LogMessage("f144", f"{self._instrument.name}:{name}", value, time_ns))
            )

    def _publish_pulse(self, run_number: int, pulse: int, pulse_time_ns: int) -> int:
        simulation = self._simulation
        rng = np.random.default_rng((simulation.seed, run_number, pulse, 1))
        n_events = int(rng.poisson(simulation.rate / simulation.pulse_rate))
        time_of_flight_ns, detector_id = self._sans.pulse_events(run_number, pulse, n_events)
        charge_uah = _CHARGE_UAH_PER_SECOND / simulation.pulse_rate * rng.normal(1.0, 0.005)
        source = EventSource(
            name=f"{self._instrument.name}_detector",
            pulse_time_ns=np.array([pulse_time_ns], dtype=np.int64),
            pulse_index=np.zeros(1, dtype=np.int64),
            time_of_flight_ns=time_of_flight_ns,
            detector_id=detector_id,
            proton_charge=np.array([charge_uah]),
            period=np.array([pulse % simulation.n_periods], dtype=np.int64),
        )
        for message in event_messages(source, simulation.schema, first_message_id=self._message_id):
            self._publisher.send(self._instrument.topics.events, message.payload, self._chooser.next())
            self._message_id += 1
        return n_events
