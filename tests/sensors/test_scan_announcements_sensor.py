"""The sensor of announced scans, on a broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from facility_kit import Topic
from scan_house import NAME, ScanHouse
from scan_ticking import Ticks, requests_of
from scan_work_kit import draw_frames, write_scan

import sensors.scan_announcements
from runstart.facility import Broker
from runstart.instruments import KafkaCluster
from runstart.microscopes import Announcements
from sensors import define_scan_announcements_sensor, define_scans_sensor

pytestmark = pytest.mark.broker

STREAM = {"number": 3, "scan_shape": [5, 6], "frame_shape": [16, 12]}


class Announcing(Ticks):
    """A sensor, and the topic that it reads."""

    def __init__(self, house: ScanHouse, sensor: dg.SensorDefinition, topic: Topic) -> None:
        super().__init__(house, sensor)
        self._topic = topic

    def announce(self, **fields: Any) -> None:
        self.write(json.dumps({"microscope": NAME, **fields}).encode())

    def write(self, payload: bytes) -> None:
        self._topic.write([payload])

    def close(self) -> None:
        for cell in self.sensor._raw_fn.__closure__ or ():
            if hasattr(cell.cell_contents, "drop"):
                cell.cell_contents.drop()


@pytest.fixture
def ticks(
    broker: Broker, topic_name: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Announcing]:
    """A sensor that has looked at an empty topic."""
    topic = topic_name("scans")
    broker.create_topic(topic)
    announcements = Announcements(topic=topic, frames_topic=f"{topic}_frames")
    cluster = KafkaCluster(name="default", bootstrap_servers=broker.bootstrap_servers)
    with dg.instance_for_test() as instance:
        house = ScanHouse(tmp_path, instance, announcements=announcements)
        house.arrivals.mkdir()
        sensor = define_scan_announcements_sensor(cluster, [house.scans])
        with closing(Announcing(house, sensor, Topic(broker.bootstrap_servers, topic))) as made:
            with monkeypatch.context() as patch:
                patch.setattr(sensors.scan_announcements, "POLL_SECONDS", 0.2)
                made.tick()
            yield made


def test_an_announced_stream_becomes_a_partition_and_a_live_run(ticks: Announcing) -> None:
    ticks.announce(scan="night1-3", stream=STREAM)
    (request,) = requests_of(ticks.tick())
    assert (request.job_name, request.partition_key) == (f"live_scan_{NAME}", "night1-3")
    assert {"runstart/kind": "live", "dagster/priority": "100"}.items() <= request.tags.items()
    assert ticks.known == ["night1-3"]


def test_a_scan_that_is_announced_and_seen_in_the_folder_is_one_run(ticks: Announcing) -> None:
    folder = Ticks(ticks.house, define_scans_sensor(ticks.house.scans))
    folder.tick()
    write_scan(ticks.house.arrivals / "a.frames", draw_frames()[:4], closed=False)
    ticks.announce(file="a.frames")
    (announced,), (seen,) = requests_of(ticks.tick()), requests_of(folder.tick())
    assert announced.run_key == seen.run_key


def test_a_tick_that_is_lost_asks_again_for_the_same_run(ticks: Announcing) -> None:
    ticks.announce(scan="night1-3", stream=STREAM)
    lost = requests_of(ticks.tick(is_kept=False))
    again = requests_of(ticks.tick())
    assert [request.run_key for request in lost] == [request.run_key for request in again]
    assert len(again) == 1
    assert requests_of(ticks.tick()) == []


def test_a_message_that_is_no_announcement_is_told_and_stops_nothing(ticks: Announcing) -> None:
    ticks.write(b"\xff nothing")
    ticks.announce(scan="night1-3", stream=STREAM)
    found = [*requests_of(ticks.tick()), *requests_of(ticks.tick())]
    assert [request.partition_key for request in found] == ["night1-3"]
    assert "1 unreadable messages" in (ticks.tick().skip_message or "")


def test_of_a_backlog_the_newest_is_launched_and_the_others_are_partitions(ticks: Announcing) -> None:
    for number in range(4):
        ticks.announce(scan=f"night1-{number}", stream={**STREAM, "number": number})
    ticks.cursor = None
    found = [*requests_of(ticks.tick()), *requests_of(ticks.tick())]
    assert [request.partition_key for request in found] == ["night1-3"]
    assert len(ticks.known) == 4
