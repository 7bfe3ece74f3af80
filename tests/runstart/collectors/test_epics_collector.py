"""What the EPICS collector records of a real IOC that is killed, suspended and restarted in mid-run."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from epics_worker import EpicsWorker

from runstart.events import Severity
from runstart.facility import SampleEnvironmentIoc

Samples = list[dict[str, Any]]
QUICK = {"heartbeat": 0.3, "silence": 1.0}


@pytest.fixture(scope="module")
def ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleEnvironmentIoc]:
    with SampleEnvironmentIoc(tmp_path_factory.mktemp("ioc")) as server:
        yield server


@pytest.fixture
def worker(ioc: SampleEnvironmentIoc) -> Iterator[Callable[..., EpicsWorker]]:
    """Makes workers that monitor the IOC, which runs and answers."""
    ioc.start()

    def make(pvs: Any = None, start_time_ns: int | None = None, **options: Any) -> EpicsWorker:
        return EpicsWorker(ioc.environment, {"pvs": pvs or ioc.pvs, **QUICK, **options}, start_time_ns)

    yield make
    ioc.start()
    os.kill(ioc.pid, signal.SIGCONT)


def at_least(n: int) -> Callable[[Samples], bool]:
    return lambda samples: len(samples) >= n


def is_lost(samples: Samples) -> bool:
    return bool(samples) and samples[-1]["severity"] == Severity.DISCONNECTED


def is_known(samples: Samples) -> bool:
    return bool(samples) and samples[-1]["severity"] != Severity.DISCONNECTED


def test_values_have_the_iocs_time_unit_and_source(worker: Callable[..., EpicsWorker]) -> None:
    with worker() as run:
        run.wait("temperature", at_least(4))
        logs = run.finish()
    temperature = logs["temperature"]
    assert {(s["unit"], s["source"]) for s in temperature} == {("K", "SIM:TEMPERATURE")}
    assert all(290 < s["value"] < 320 for s in temperature)
    spacing = [(b["time_ns"] - a["time_ns"]) / 1e9 for a, b in itertools.pairwise(temperature[1:])]
    assert min(spacing) > 0.05  # the IOC's clock: samples that were received in one bunch keep their distance
    assert logs["field"][0]["unit"] == "T"
    assert logs["shutter"][-1]["value"] in ("OPEN", "CLOSED")


def test_the_value_at_the_start_has_its_own_time(worker: Callable[..., EpicsWorker]) -> None:
    with worker(["SIM:FIELD"]) as run:
        run.wait("SIM:FIELD", at_least(1))
        first = run.finish()["SIM:FIELD"][0]
    assert first["time_ns"] <= run.start_time_ns
    assert first["value"] == pytest.approx(1.5, abs=0.01)


@pytest.mark.faults
def test_a_killed_ioc_is_a_gap_that_ends_when_it_is_started_again(
    ioc: SampleEnvironmentIoc, worker: Callable[..., EpicsWorker]
) -> None:
    with worker() as run:
        run.wait("temperature", at_least(3))
        run.wait("shutter", is_known)
        killed_ns = time.time_ns()
        ioc.kill()
        lost = run.wait("temperature", is_lost)[-1]
        assert lost["status"] == "disconnected"
        assert lost["value"] != lost["value"]  # NaN: nobody knows
        assert lost["time_ns"] >= killed_ns
        assert run.wait("shutter", is_lost)[-1]["value"] == ""
        ioc.start()
        for name in ("temperature", "shutter", "field", "rotation"):
            run.wait(name, is_known)
        logs = run.finish()
    for name in ("temperature", "shutter"):
        assert [s["severity"] for s in logs[name]].count(Severity.DISCONNECTED) == 1
        assert logs[name][-1]["time_ns"] > lost["time_ns"]


@pytest.mark.faults
def test_a_hung_ioc_is_a_gap_although_it_holds_its_connection(
    ioc: SampleEnvironmentIoc, worker: Callable[..., EpicsWorker]
) -> None:
    with worker() as run:
        run.wait("temperature", at_least(3))
        run.wait("field", is_known)
        hung_ns = time.time_ns()
        os.kill(ioc.pid, signal.SIGSTOP)
        lost = run.wait("field", is_lost)[-1]
        assert lost["status"] == "no answer"
        assert lost["time_ns"] > hung_ns - 1e9
        run.wait("temperature", is_lost)
        assert "no answer from" in run.ask("status")["trouble"]
        os.kill(ioc.pid, signal.SIGCONT)
        # The value of a PV that has not changed meanwhile is as old as before; it is known again all the same.
        back = run.wait("field", is_known)[-1]
        run.wait("temperature", is_known)
        run.finish()
    assert back["time_ns"] > lost["time_ns"]


@pytest.mark.faults
def test_a_pv_that_nobody_has_is_recorded_as_such(worker: Callable[..., EpicsWorker]) -> None:
    with worker({"ghost": "SIM:GHOST", "temperature": "SIM:TEMPERATURE"}) as run:
        (ghost,) = run.wait("ghost", at_least(1))
        run.wait("temperature", at_least(2))
        assert run.ask("status")["trouble"] == "no answer from SIM:GHOST."
        run.finish()
    assert (ghost["severity"], ghost["status"]) == (Severity.DISCONNECTED, "never connected")


def test_alarms_come_with_their_state(tmp_path: Path) -> None:
    with (
        SampleEnvironmentIoc(tmp_path, ramp_seconds=8) as hot,
        EpicsWorker(hot.environment, {"pvs": hot.pvs}) as run,
    ):
        run.wait("temperature", lambda samples: any(s["severity"] == Severity.MAJOR for s in samples))
        states = {(s["severity"], s["status"]) for s in run.finish()["temperature"]}
    assert {(Severity.OK, ""), (Severity.MINOR, "HIGH"), (Severity.MAJOR, "HIHI")} <= states


def test_arrays_are_refused_with_a_reason(worker: Callable[..., EpicsWorker]) -> None:
    with worker({"wave": "SIM:WAVE", "text": "SIM:TEXT"}) as run:
        run.wait("text", at_least(1))
        deadline = time.monotonic() + 20
        while "array" not in (run.ask("status")["trouble"] or ""):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        logs = run.finish()
    assert "wave" not in logs
    assert logs["text"][-1]["value"].startswith("a text longer than forty characters")


def test_what_comes_after_the_run_has_ended_is_dropped(worker: Callable[..., EpicsWorker]) -> None:
    with worker() as run:
        run.wait("temperature", at_least(2))
        run.ask("close")
        before = run.log("temperature")
        time.sleep(0.6)
        assert run.log("temperature") == before
        run.finish()


def test_samples_at_or_past_the_stop_are_not_the_runs(worker: Callable[..., EpicsWorker]) -> None:
    with worker() as run:
        samples = run.wait("temperature", at_least(4))
        stop_ns = samples[2]["time_ns"]
        logs = run.finish(stop_ns)
    assert [s["time_ns"] for s in logs["temperature"]] == [s["time_ns"] for s in samples[:2]]


@pytest.mark.faults
def test_the_run_ends_at_once_although_the_ioc_hangs(
    ioc: SampleEnvironmentIoc, worker: Callable[..., EpicsWorker]
) -> None:
    with worker() as run:
        run.wait("temperature", at_least(2))
        os.kill(ioc.pid, signal.SIGSTOP)
        assert len(run.finish()["temperature"]) >= 2
        os.kill(ioc.pid, signal.SIGCONT)
