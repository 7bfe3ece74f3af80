from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from facility_kit import START_MS, WrappedStore, failing, on_topics, small_instrument
from fake_kafka import FakeCluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payloads import hostile_payloads
from run_start_kit import SANS, Sensor, known, launched, run_start, write

import runstart.kafka.run_info_log
from runstart.errors import Transient
from runstart.events import RunStop, encode
from runstart.live import load_record, name_partition
from runstart.live.run_starts import Cursor, FoundRun
from runstart.storage import FileStore


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(runstart.kafka.run_info_log, "KafkaConsumer", fake.consumer)
    return fake


@pytest.fixture
def sensor(cluster: FakeCluster, file_store: FileStore) -> Iterator[Sensor]:
    cluster.create("sans_info")
    cluster.create("shared_info", 2)
    cluster.create("quiet_info")
    return Sensor(cluster, file_store)


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are not stored, which would take the time of a disk."""
    monkeypatch.setattr("runstart.live.run_starts.save_record", lambda *_: None)


def test_a_run_start_after_the_first_tick_is_launched_and_recorded(cluster: FakeCluster, sensor: Sensor) -> None:
    assert sensor.drain() == []
    write(cluster)(run_start("7"))
    (run,) = sensor.tick().runs
    assert (run.instrument, run.launch, run.newest) == ("SANS", True, True)
    assert run.partition_key == name_partition("7", START_MS)
    assert load_record(sensor.store, "SANS", run.partition_key).start.run_name == "7"
    assert sensor.drain() == []


def test_without_a_cursor_the_newest_of_each_instrument_is_launched_and_all_are_known(
    cluster: FakeCluster, sensor: Sensor
) -> None:
    for number in range(5):
        write(cluster)(run_start(f"s{number}", number), number)
        write(cluster, "shared_info", 0)(run_start(f"m{number}", 10 - number, "MERLIN"), number)
        write(cluster, "shared_info", 1)(run_start(f"l{number}", number, "LARMOR"), number)
        write(cluster, "shared_info", 1)(run_start(f"n{number}", number, "MERLIN"), number)
        write(cluster, "quiet_info")(run_start(f"q{number}", number, "QUIET"), number)
    runs = sensor.drain()
    assert sorted(launched(runs)) == ["LARMOR:l4", "MERLIN:m0", "SANS:s4"]
    assert len(known(runs)) == 25
    assert sensor.drain() == []


def test_a_backlog_of_thousands_takes_several_ticks_and_launches_one(
    unsaved: None, cluster: FakeCluster, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.kafka.announcement_search.MOST_MESSAGES", 300)
    cluster.create("sans_info", 3)
    for number in range(3000):
        write(cluster, partition=number % 3)(run_start(f"s{number}", number), number)
    ticks = [sensor.tick(0.5)]
    while ticks[-1].messages:
        ticks.append(sensor.tick(0.5))
    runs = [run for found in ticks for run in found.runs]
    assert launched(runs) == ["SANS:s2999"]
    assert len(known(runs)) == 3000
    assert max(found.messages for found in ticks) < 600


def test_a_tick_ends_in_time_however_slow_the_store_is(
    cluster: FakeCluster, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.live.run_starts.save_record", lambda *_: time.sleep(0.001))
    sensor.drain()
    for number in range(600):
        write(cluster)(run_start(f"s{number}", number), number)
    first = sensor.tick(0.05)
    assert first.messages <= 400
    assert len(known(first.runs + sensor.drain())) == 600


def test_a_restarted_sensor_goes_on_behind_what_it_has_read(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    write(cluster)(run_start("1"))
    assert launched(sensor.drain()) == ["SANS:1"]
    sensor.log = None
    write(cluster)(run_start("2", 1))
    write(cluster)(run_start("3", 2))
    assert launched(sensor.drain()) == ["SANS:2", "SANS:3"]


def test_a_tick_whose_cursor_was_lost_finds_the_same_again(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    write(cluster)(run_start("1"))
    before = sensor.cursor
    first = sensor.tick().runs
    sensor.cursor = before
    assert sensor.tick().runs == first


def test_of_several_runs_in_one_tick_the_latest_to_start_is_the_live_one(
    cluster: FakeCluster, sensor: Sensor
) -> None:
    sensor.drain()
    write(cluster, "shared_info", 0)(run_start("new", 9, "MERLIN"), 9)
    write(cluster, "shared_info", 1)(run_start("old", 1, "MERLIN"), 1)
    write(cluster, "shared_info", 1)(run_start("other", 0, "LARMOR"), 0)
    runs = sensor.drain()
    assert {run.run_name: run.newest for run in runs} == {"new": True, "old": False, "other": True}
    assert all(run.launch for run in runs)


def test_instruments_on_one_topic_are_told_apart_by_name_in_any_case(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    write(cluster, "shared_info")(run_start("1", instrument="merlin"))
    write(cluster, "shared_info")(run_start("2", instrument="LARMOR"))
    write(cluster, "shared_info")(run_start("3", instrument="SANS"))
    write(cluster, "shared_info")(run_start("4", instrument=""))
    found = sensor.tick()
    assert launched(found.runs) == ["MERLIN:1", "LARMOR:2"]
    assert found.cursor.refused == 2
    assert any("'SANS', which is not declared for this topic" in remark for remark in found.remarks)


def test_a_run_start_without_instrument_is_of_the_only_one_of_its_topic(
    cluster: FakeCluster, sensor: Sensor
) -> None:
    sensor.drain()
    write(cluster)(run_start("1", instrument=""))
    assert launched(sensor.tick().runs) == ["SANS:1"]


def test_an_instrument_that_is_not_reduced_live_gets_partitions_only(cluster: FakeCluster, sensor: Sensor) -> None:
    write(cluster, "quiet_info")(run_start("1", instrument="QUIET"))
    sensor_runs = sensor.drain()
    write(cluster, "quiet_info")(run_start("2", 1, instrument="QUIET"))
    sensor_runs += sensor.drain()
    assert known(sensor_runs) == {"QUIET:1", "QUIET:2"}
    assert launched(sensor_runs) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"start_time_ms": 0},
        {"start_time_ms": START_MS // 1000},
        {"start_time_ms": START_MS + 2 * 86_400_000},
        {"start_time_ms": 2**64 - 1},
        {"n_periods": 2**32 - 1},
    ],
)
def test_an_absurd_run_start_is_refused_and_the_next_one_is_launched(
    cluster: FakeCluster, sensor: Sensor, fields: dict[str, Any]
) -> None:
    sensor.drain()
    write(cluster)(run_start("absurd", **fields))
    write(cluster)(run_start("good"))
    found = sensor.tick()
    assert launched(found.runs) == ["SANS:good"]
    assert any("Refused RunStart 'absurd' at sans_info[0]@0" in remark for remark in found.remarks)


def test_an_absurd_kafka_time_does_not_wedge_the_sensor(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    cluster.write("sans_info", run_start("absurd", start_time_ms=2**55), 0, 2**60)
    cluster.write("sans_info", run_start("good"), 0, 2**60)
    assert launched(sensor.tick().runs) == ["SANS:good"]


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "a" * 100_000, "Å\n\0 µ", "-rf", "CON", "%2e%2e"])
def test_a_run_of_any_name_is_launched_under_a_key_of_its_own(
    cluster: FakeCluster, sensor: Sensor, name: str
) -> None:
    sensor.drain()
    write(cluster)(run_start(name))
    (run,) = sensor.tick().runs
    assert run.launch
    assert load_record(sensor.store, "SANS", run.partition_key).start.run_name == name


def test_unreadable_messages_are_counted_and_kept_and_stop_nothing(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    garbage = [b"\x10\0\0\0pl72 nonsense", b"", b"\xff" * 100]
    for payload in garbage:
        write(cluster)(payload)
    cluster.write("sans_info", None, 0, START_MS)
    write(cluster)(encode(RunStop(START_MS, "1")))
    write(cluster)(run_start("good"))
    found = sensor.tick()
    assert launched(found.runs) == ["SANS:good"]
    assert found.cursor.unreadable == 4
    kept = [sensor.store.get(key).data for key in sensor.store.list("unreadable/sans_info/0/")]
    assert sorted(kept) == sorted([*garbage, b""])


def test_unreadable_messages_of_a_topic_with_the_longest_name_are_kept(
    cluster: FakeCluster, file_store: FileStore
) -> None:
    cluster.create("t" * 249)
    long = on_topics(small_instrument("LONG"), "LONG_events", "t" * 249)
    sensor = Sensor(cluster, file_store, (long,))
    sensor.drain()
    cluster.write("t" * 249, b"garbage")
    assert sensor.tick().cursor.unreadable == 1


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_hostile_payloads_never_stop_the_search(cluster: FakeCluster, tmp_path_factory, seed: int) -> None:
    cluster.create("sans_info")
    sensor = Sensor(cluster, FileStore(tmp_path_factory.mktemp("store")), (SANS,))
    sensor.drain()
    hostile = [payload for n, (_, payload) in enumerate(hostile_payloads()) if n % 401 == seed % 401]
    for payload in hostile:
        write(cluster)(payload)
    write(cluster)(run_start("good"))
    runs = sensor.drain()
    assert "SANS:good" in launched(runs)


def test_a_topic_made_anew_is_reported_and_read_from_its_beginning(cluster: FakeCluster, sensor: Sensor) -> None:
    for number in range(5):
        write(cluster)(run_start(f"old{number}", number), number)
    sensor.drain()
    cluster.create("sans_info")
    write(cluster)(run_start("1", 20), 20)
    write(cluster)(run_start("2", 21), 21)
    found = sensor.tick()
    assert any("was made anew" in remark for remark in found.remarks)
    runs = found.runs + sensor.drain()
    assert known(runs) == {"SANS:1", "SANS:2"}
    assert launched(runs) == ["SANS:2"]
    write(cluster)(run_start("3", 22), 22)
    assert launched(sensor.drain()) == ["SANS:3"]


def test_if_one_partition_shows_that_the_topic_was_made_anew_all_are_read_again(
    cluster: FakeCluster, sensor: Sensor
) -> None:
    for number in range(3):
        write(cluster, "shared_info", 0)(run_start(f"old{number}", number, "MERLIN"), number)
    write(cluster, "shared_info", 1)(run_start("old", 0, "LARMOR"), 0)
    sensor.drain()
    cluster.create("shared_info", 2)
    write(cluster, "shared_info", 0)(run_start("1", 20, "MERLIN"), 20)
    write(cluster, "shared_info", 1)(run_start("2", 21, "LARMOR"), 21)
    write(cluster, "shared_info", 1)(run_start("3", 22, "LARMOR"), 22)
    assert known(sensor.drain()) == {"MERLIN:1", "LARMOR:2", "LARMOR:3"}


def test_deleted_announcements_are_reported_and_passed(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    for number in range(5):
        write(cluster)(run_start(f"{number}", number), number)
    cluster.delete_records("sans_info", 0, 3)
    found = sensor.tick()
    assert any("deleted offsets [0, 3) of sans_info[0]" in remark for remark in found.remarks)
    assert launched(found.runs) == ["SANS:3", "SANS:4"]


def test_a_topic_that_comes_into_being_is_a_topic_seen_for_the_first_time(
    cluster: FakeCluster, file_store: FileStore
) -> None:
    sensor = Sensor(cluster, file_store, (SANS,))
    assert sensor.drain() == []
    cluster.create("sans_info")
    write(cluster)(run_start("1", 1), 1)
    write(cluster)(run_start("2", 2), 2)
    runs = sensor.drain()
    assert (known(runs), launched(runs)) == ({"SANS:1", "SANS:2"}, ["SANS:2"])


def test_an_empty_topic_has_no_backlog(cluster: FakeCluster, sensor: Sensor) -> None:
    assert sensor.tick().cursor.backlog_ends == {}


def test_a_topic_that_is_away_for_a_while_keeps_its_place(cluster: FakeCluster, sensor: Sensor) -> None:
    write(cluster)(run_start("1", 1), 1)
    sensor.drain()
    away = cluster.topics.pop("sans_info")
    assert sensor.drain() == []
    cluster.topics["sans_info"] = away
    write(cluster)(run_start("2", 2), 2)
    write(cluster)(run_start("3", 3), 3)
    assert launched(sensor.drain()) == ["SANS:2", "SANS:3"]


def test_a_backlog_that_is_away_while_it_is_read_is_read_later(
    cluster: FakeCluster, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.kafka.announcement_search.MOST_MESSAGES", 1)
    monkeypatch.setattr("runstart.kafka.announcement_search.READ_MESSAGES", 2)
    for number in range(6):
        write(cluster)(run_start(f"{number}", number), number)
    runs = sensor.tick().runs
    away = cluster.topics.pop("sans_info")
    runs += sensor.tick().runs
    cluster.topics["sans_info"] = away
    runs += sensor.drain()
    assert (len(known(runs)), launched(runs)) == (6, ["SANS:5"])


def test_a_partition_added_to_a_known_topic_is_read_from_its_beginning_and_launched(
    cluster: FakeCluster, sensor: Sensor
) -> None:
    sensor.drain()
    cluster.topics["sans_info"].append(type(cluster.topics["sans_info"][0])())
    write(cluster, partition=1)(run_start("1"))
    assert launched(sensor.drain()) == ["SANS:1"]


def test_a_backlog_that_ends_in_a_transaction_marker_ends(cluster: FakeCluster, sensor: Sensor) -> None:
    write(cluster)(run_start("1", 1), 1)
    cluster.pass_offset("sans_info")
    assert launched(sensor.drain()) == ["SANS:1"]


def test_an_absent_cluster_leaves_the_cursor_and_work_goes_on_when_it_is_back(
    cluster: FakeCluster, sensor: Sensor
) -> None:
    sensor.drain()
    write(cluster)(run_start("1"))
    before, cluster.down = sensor.cursor, True
    for _ in range(2):
        with pytest.raises(Transient):
            sensor.tick()
    assert sensor.cursor == before
    cluster.down = False
    assert launched(sensor.drain()) == ["SANS:1"]


def test_an_absent_store_leaves_the_cursor_and_loses_no_run(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    store = sensor.store
    for number in range(3):
        write(cluster)(run_start(f"{number}", number), number)
    sensor.store = WrappedStore(store, before=failing(2, "put_if_absent"))
    for _ in range(2):
        with pytest.raises(Transient):
            sensor.tick()
    assert launched(sensor.drain()) == ["SANS:0", "SANS:1", "SANS:2"]


def test_a_run_start_announced_twice_is_one_run(cluster: FakeCluster, sensor: Sensor) -> None:
    sensor.drain()
    for _ in range(2):
        write(cluster)(run_start("1"))
    runs = sensor.drain()
    assert len({run.partition_key for run in runs}) == 1


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=25), st.integers(0, 10))
def test_after_the_first_tick_every_run_start_is_launched_exactly_once(
    unsaved: None, cluster: FakeCluster, file_store: FileStore, script: list[tuple[int, bool, bool]], backlog: int
) -> None:
    cluster.create("sans_info", 3)
    sensor = Sensor(cluster, file_store, (SANS,))
    runs: list[FoundRun] = []
    for number, (partition, restart, tick) in enumerate(script):
        if number == backlog:
            runs += sensor.drain()
        write(cluster, partition=partition)(run_start(f"{number}", number), number)
        if number >= backlog and restart:
            sensor.log = None
        if number >= backlog and tick:
            runs += sensor.tick().runs
    runs += sensor.drain()
    first = [f"SANS:{min(backlog, len(script)) - 1}"] if backlog and script else []
    expected = first + [f"SANS:{number}" for number in range(min(backlog, len(script)), len(script))]
    assert sorted(launched(runs)) == sorted(expected)
    assert known(runs) == {f"SANS:{number}" for number in range(len(script))}


def test_a_cursor_survives_its_text() -> None:
    cursor = Cursor({"a": {0: 1, 11: 2}}, {"b": {3: 4}}, {"SANS": {"start_time_ms": 5}}, 6, 7)
    assert Cursor.from_json(cursor.to_json()) == cursor
    assert Cursor.from_json(None) == Cursor.from_json("") == Cursor()
