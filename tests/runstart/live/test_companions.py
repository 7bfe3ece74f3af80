"""Collectors, reduction script and results topic beside a live run: what they give, and what they cannot cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer
from facility_kit import Beamline, Topic, result_of, stop_after, wait_until
from scripted_stream import make_messages, recount
from streaming_data_types import deserialise_da00

from runstart.events import LogMessage, Severity, encode
from runstart.instruments import CollectorDeclaration, Script, Topics
from runstart.live import Result
from runstart.live.finished import find_previous
from runstart.product import read_product

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
Make = Callable[..., Beamline]

SUM = """
def reduce(run):
    print("events", int(run.tof.sum()), "finished", run.finished)
    return {"spectrum": run.array(run.tof.sum(axis=0), axes={"tof": run.tof_edges_us}, units="counts")}
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Script]:
    """Write a reduction script and return its declaration."""

    def write(text: str, **declared: Any) -> Script:
        (tmp_path / "reduce.py").write_text(text)
        return Script(folder=str(tmp_path), **({"interval": 0.3, "refresh": 0.3, "timeout": 60.0} | declared))

    return write


def run_to_end(beamline: Beamline, until: Callable[[], bool], pulses: int = 40) -> Result:
    """Take a run of so many pulses that goes on until something has happened."""
    messages = make_messages(beamline.run, range(pulses))
    future = beamline.launch()
    beamline.write(messages)
    wait_until(lambda: future.done() or until(), 60)
    beamline.stop(stop_after(beamline, pulses))
    result = result_of(future)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, pulses)))
    return result


def test_a_script_shows_its_arrays_live_and_in_the_result(make: Make, script: Callable[..., Script]) -> None:
    beamline = make(script=script(SUM))
    result = run_to_end(beamline, lambda: len(beamline.notebook.shown) > 1)
    live, final = beamline.notebook.shown[0].outcome, beamline.notebook.shown[-1].outcome
    assert "finished False" in live.output
    assert "finished True" in final.output
    stored = beamline.stored(result)
    assert np.array_equal(final.arrays["spectrum"].values, stored.arrays["tof"].sum(axis=0))
    assert result.script_error == ""
    assert result.script_sha256 == final.sha256
    assert "events" in result.script_output
    assert "script_spectrum.png" in result.files
    assert beamline.store.get(f"{result.folder}/script_spectrum.png").data.startswith(b"\x89PNG")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("text", "timeout", "error"),
    [
        ("def reduce(run):\n    raise ValueError('no sample')\n", 60.0, "reduce.py:2"),
        ("def reduce(run):\n    while True: pass\n", 2.0, "longer"),
        ("def reduce(run):\n    return {'big': bytearray(4_000_000_000)}\n", 60.0, "MB"),
        ("import os\ndef reduce(run):\n    while True: os.fork()\n", 2.0, ""),
        ("def reduce(run:\n", 60.0, "SyntaxError"),
    ],
    ids=["raises", "spins", "allocates", "forks", "is no Python"],
)
def test_a_bad_script_costs_its_pictures_and_no_event(
    make: Make, script: Callable[..., Script], text: str, timeout: float, error: str
) -> None:
    beamline = make(script=script(text, timeout=timeout, memory_mb=500))
    result = run_to_end(beamline, lambda: bool(beamline.notebook.shown))
    assert result.script_error
    assert error in result.script_error
    assert all(shown.outcome.error for shown in beamline.notebook.shown)
    assert not any(name.startswith("script_") for name in result.files)
    troubles = [trouble for status in beamline.notebook.statuses for trouble in status.troubles]
    assert any(trouble["kind"] == "script" for trouble in troubles)


def test_a_changed_script_is_taken_while_the_run_goes_on(make: Make, script: Callable[..., Script]) -> None:
    beamline = make(script=script(SUM))
    seen = beamline.notebook.shown

    def changed() -> bool:
        if len(seen) == 1:
            script(SUM.replace("spectrum", "other"))
        return bool(seen) and "other" in seen[-1].outcome.arrays

    result = run_to_end(beamline, changed)
    assert "spectrum" in seen[0].outcome.arrays
    assert result.script_sha256 == seen[-1].outcome.sha256 != seen[0].outcome.sha256


def test_a_script_sees_metadata_events_and_the_previous_run(make: Make, script: Callable[..., Script]) -> None:
    text = """
def reduce(run):
    before = None if run.previous is None else int(run.previous.tof.sum())
    print(run.name, run.instrument, before, len(run.events.pulse_time_ns), run.events.complete)
    return {}
"""
    beamline = make(script=script(text, keep_events=1_000_000))
    key = beamline.record.partition_key
    first = run_to_end(beamline, lambda: True)
    assert f"run SMALL None {events_of(first)} True" in first.script_output
    assert find_previous(beamline.store, "SMALL", key + "~") == key


def events_of(result: Result) -> int:
    ledger = result.ledger
    return sum(
        ledger[f"events_{name}"] for name in ("counted", "without_pixel", "unknown_detector", "out_of_tof_range")
    )


def test_kafka_logs_land_in_the_file_and_reach_the_script(make: Make, script: Callable[..., Script]) -> None:
    text = """
def reduce(run):
    log = run.logs["temperature"]
    print([float(v) for v in log.value], log.unit)
    return {}
"""
    logs = {"sample": CollectorDeclaration(use="kafka_logs")}
    beamline = make(script=script(text), collectors=logs)
    topic = beamline.instrument.topics.sample_env
    beamline.broker.create_topic(topic, 1)
    samples = [
        LogMessage("f144", "temperature", 20.0 + n, beamline.record.start_time_ns + n * 10**8) for n in range(5)
    ]
    writer = Topic(beamline.broker.bootstrap_servers, topic)
    writer.write([encode(sample) for sample in [*samples, samples[2]]])
    result = run_to_end(
        beamline, lambda: any(s.collectors["sample"]["samples"] >= 5 for s in beamline.notebook.statuses)
    )
    assert result.log_samples == {"temperature": 5}
    assert "[20.0, 21.0, 22.0, 23.0, 24.0]" in result.script_output
    stored = read_product(beamline.store.get(f"{result.folder}/run.nxs").data)
    assert stored.logs["temperature"].values.tolist() == [20.0, 21.0, 22.0, 23.0, 24.0]
    assert set(stored.logs["temperature"].severity.tolist()) == {Severity.OK}
    replayed = result_of(beamline.launch("another"))
    assert replayed.log_samples == result.log_samples
    assert replayed.digest == result.digest


COLLECTOR = "runstart_test_collector"


def test_samples_that_cannot_be_read_again_survive_a_retry_and_a_replay(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{COLLECTOR}.py").write_text(
        "import time\n"
        "from runstart.collectors import Collector\n"
        "class Clock(Collector):\n"
        "    interval = 0.05\n"
        "    def collect(self, run):\n"
        "        run.record('clock', time.time(), time.time_ns())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    beamline = make(collectors={"clock": CollectorDeclaration(use=f"{COLLECTOR}:Clock")})
    result = run_to_end(
        beamline, lambda: any(s.collectors["clock"]["samples"] > 5 for s in beamline.notebook.statuses)
    )
    assert result.log_samples["clock"] > 0
    replayed = result_of(beamline.launch("another"))
    assert replayed.log_samples == result.log_samples


@pytest.mark.faults
def test_a_collector_that_raises_or_hangs_costs_no_event(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{COLLECTOR}_bad.py").write_text(
        "import time\n"
        "from runstart.collectors import Collector\n"
        "class Raises(Collector):\n"
        "    interval = 0.1\n"
        "    def collect(self, run):\n"
        "        raise OSError('no such device')\n"
        "class Hangs(Collector):\n"
        "    interval = 0.1\n"
        "    def collect(self, run):\n"
        "        time.sleep(3600)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    declared = {name: CollectorDeclaration(use=f"{COLLECTOR}_bad:{name}") for name in ("Raises", "Hangs")}
    beamline = make(collectors=declared)
    run_to_end(beamline, lambda: beamline.notebook.has_remark("no such device"))


def test_results_are_published_for_those_who_subscribe(make: Make, script: Callable[..., Script]) -> None:
    beamline = make(script=script(SUM))
    topics = beamline.instrument.topics
    results = f"{topics.events}_results"
    beamline.broker.create_topic(results, 1)
    declared = Topics(**topics.model_dump() | {"results": results})
    beamline.instrument = beamline.instrument.model_copy(update={"topics": declared})
    result = run_to_end(beamline, lambda: bool(beamline.notebook.shown))
    newest = {message.source_name: message for message in read_results(beamline.broker.bootstrap_servers, results)}
    stored = beamline.stored(result)
    spectrum = {variable.name: variable.data for variable in newest["SMALL/tof"].data}
    assert int(spectrum["signal"].sum()) == int(stored.arrays["tof"].sum())
    assert "SMALL/script/spectrum" in newest


def read_results(bootstrap_servers: str, topic: str) -> list[Any]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([topic])
        found: list[Any] = []
        silent = 0
        while silent < 8:
            message = consumer.poll(0.5)
            silent = silent + 1 if message is None else 0
            if message is not None:
                assert message.error() is None
                found.append(deserialise_da00(message.value()))
        return found
    finally:
        consumer.close()


def test_a_trouble_that_counts_is_told_once(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{COLLECTOR}_counts.py").write_text(
        "from runstart.collectors import Collector\n"
        "class Counts(Collector):\n"
        "    interval = 0.05\n"
        "    seen = 0\n"
        "    def collect(self, run):\n"
        "        self.seen += 1\n"
        "        run.trouble(f'{self.seen:,} updates were dropped')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    beamline = make(collectors={"counts": CollectorDeclaration(use=f"{COLLECTOR}_counts:Counts")})
    run_to_end(beamline, lambda: len(beamline.notebook.statuses) > 5)
    assert len([remark for remark in beamline.notebook.remarks if "updates were dropped" in remark]) == 1
    texts = {trouble["text"] for status in beamline.notebook.statuses for trouble in status.troubles}
    assert len(texts) > 1, "the status has the numbers"
