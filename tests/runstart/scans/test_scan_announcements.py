from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_kafka import FakeCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_arrival_kit import NOW, SETTLE_S, Eye, only

import runstart.kafka.run_info_log
from runstart.errors import Alert, Transient
from runstart.kafka import RunInfoLog
from runstart.microscopes import Announcements
from runstart.scans import FoundAnnounced, ScanAnnouncement, find_announced, load_record, run_key
from runstart.scans.announcements import GIVE_UP_SECONDS, LONGEST, MOST_PENDING, _read
from runstart.storage import FileStore

TOPIC = "SIMSTEM_scans"
NOW_MS = int(NOW.timestamp() * 1000)
STREAM: dict[str, Any] = {"number": 7, "scan_shape": [4, 5], "frame_shape": [16, 12], "frames_per_position": 2}


class Ear:
    """Listens to a topic again and again, beside an eye on the same microscope's folder."""

    def __init__(self, cluster: FakeCluster, eye: Eye) -> None:
        self.cluster = cluster
        self.eye = eye
        announcements = Announcements(topic=TOPIC, frames_topic="SIMSTEM_frames")
        self.microscope = eye.microscope.model_copy(update={"announcements": announcements})
        self.cursor: str | None = None
        self.log: RunInfoLog | None = None

    def say(self, message: Any, *, age_s: float = 0.0, partition: int = 0) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.cluster.write(TOPIC, payload, partition, NOW_MS - int(age_s * 1000))

    def file(self, name: str, **more: Any) -> dict[str, Any]:
        return {"microscope": "SIMSTEM", "file": name, **more}

    def stream(self, scan: str = "7", **changes: Any) -> dict[str, Any]:
        return {"microscope": "SIMSTEM", "scan": scan, "stream": STREAM | changes}

    def listen(self, *, is_kept: bool = True) -> FoundAnnounced:
        if self.log is None:
            self.log = RunInfoLog("fake:9092", [TOPIC])
        found = find_announced([self.microscope], self.cursor, self.log, self.eye.store, 0.02, now=self.eye.now)
        if is_kept:
            self.cursor = found.cursor
        return found


def told(found: FoundAnnounced) -> list[tuple[str, bool]]:
    return [(scan.record.scan, scan.launch) for scan in found.scans]


@pytest.fixture
def ear(tmp_path: Path, file_store: FileStore, monkeypatch: pytest.MonkeyPatch) -> Ear:
    cluster = FakeCluster()
    monkeypatch.setattr(runstart.kafka.run_info_log, "KafkaConsumer", cluster.consumer)
    cluster.create(TOPIC, 2)
    (tmp_path / "scans").mkdir()
    return Ear(cluster, Eye(tmp_path / "scans", file_store))


@pytest.fixture
def listening(ear: Ear) -> Ear:
    """Has heard the empty topic before."""
    assert ear.listen().scans == ()
    return ear


def test_a_streamed_scan_is_handed_out_once_with_its_record(listening: Ear) -> None:
    listening.say(listening.stream(started="2026-06-01T08:59:00Z", calibration={"voltage_kv": 300.0}))
    found = listening.listen()
    assert told(found) == [("7", True)]
    record = load_record(listening.eye.store, "SIMSTEM", "7")
    assert record == found.scans[0].record
    assert record.name == ""
    assert record.stream == STREAM | {
        "scan": "7",
        "dtype": "sparse",
        "started": "2026-06-01T08:59:00Z",
        "calibration": {"voltage_kv": 300.0},
        "topic": "SIMSTEM_frames",
        "kafka": "default",
        "announced_ms": NOW_MS,
    }
    assert listening.listen().scans == ()


def test_a_stream_that_is_announced_twice_is_one_scan_and_another_one_of_its_name_is_not(listening: Ear) -> None:
    listening.say(listening.stream(), age_s=2)
    first = listening.listen().scans[0].record
    listening.say(listening.stream())
    assert listening.listen().scans[0].record == first
    listening.say(listening.stream(number=8))
    assert run_key(listening.listen().scans[0].record) != run_key(first)


@pytest.mark.parametrize("name", ["sub/a.npy", "a.frames"])
def test_a_scan_that_is_announced_and_found_is_one_run(listening: Ear, name: str) -> None:
    eye = listening.eye
    eye.look()
    (eye.put_array if name.endswith("npy") else eye.put_frames)(name)
    listening.say(listening.file(name))
    announced = listening.listen().scans
    found = only(eye.look())
    assert [run_key(scan.record) for scan in announced] == [run_key(found.record)]
    assert announced[0].record == found.record


def test_a_file_that_is_announced_too_early_is_waited_for(listening: Ear) -> None:
    listening.say(listening.file("a.npy"))
    assert listening.listen().scans == ()
    listening.eye.put_array("a.npy", age_s=0)
    assert listening.listen().scans == ()
    listening.eye.wait(SETTLE_S)
    assert told(listening.listen()) == [("a.npy", True)]
    assert listening.listen().scans == ()


def test_a_file_that_grows_is_handed_out_with_its_header(listening: Ear) -> None:
    listening.eye.begin("a.frames").abandon()
    listening.say(listening.file("a.frames", scan="a.frames"))
    assert [(scan.growing, scan.launch) for scan in listening.listen().scans] == [(True, True)]


def test_a_file_that_never_comes_is_given_up_and_told(listening: Ear) -> None:
    listening.say(listening.file("a.npy"))
    listening.listen()
    listening.eye.wait(GIVE_UP_SECONDS + 1)
    given_up = listening.listen()
    assert "a.npy has not come within an hour" in given_up.remarks[0]
    assert (given_up.refused, listening.listen().remarks) == (1, ())


def test_no_more_files_are_waited_for_than_a_cursor_can_hold(listening: Ear) -> None:
    for number in range(MOST_PENDING + 3):
        listening.say(listening.file(f"{number}.npy"))
    messages = 0
    while messages < MOST_PENDING + 3:
        messages += listening.listen().messages
    assert len(json.loads(listening.cursor or "")["pending"]) == MOST_PENDING


def test_of_a_backlog_everything_becomes_known_and_the_newest_is_launched(ear: Ear) -> None:
    for number in range(4):
        ear.eye.put_array(f"{number}.npy", age_s=1000)
        ear.say(ear.file(f"{number}.npy"), age_s=100 - number, partition=number % 2)
    ear.say(ear.stream("old"), age_s=500)
    found = ear.listen()
    assert {scan for scan, _ in told(found)} == {"0.npy", "1.npy", "2.npy", "3.npy", "old"}
    assert [scan for scan, launch in told(found) if launch] == ["3.npy"]
    ear.say(ear.stream("new"))
    assert told(ear.listen()) == [("new", True)]


def test_the_newest_scan_of_a_backlog_may_be_a_stream(ear: Ear) -> None:
    ear.say(ear.file("gone.npy"), age_s=10 * GIVE_UP_SECONDS)
    ear.say(ear.stream("newest"), age_s=1)
    found = ear.listen()
    assert told(found) == [("newest", False), ("newest", True)]
    assert found.refused == 1


def test_the_newest_file_of_a_backlog_is_launched_when_it_can_be_read(ear: Ear) -> None:
    ear.say(ear.file("a.npy"))
    assert ear.listen().scans == ()
    ear.eye.put_array("a.npy")
    assert told(ear.listen()) == [("a.npy", True)]


def test_a_search_whose_cursor_was_not_kept_is_repeated(listening: Ear) -> None:
    listening.eye.put_array("a.npy")
    listening.say(listening.file("a.npy"))
    listening.say(listening.stream())
    first = listening.listen(is_kept=False)
    listening.log = None
    listening.eye.wait(3)
    second = listening.listen()
    assert first.scans == second.scans
    assert listening.listen().scans == ()


def test_a_topic_that_was_made_anew_has_a_backlog(listening: Ear) -> None:
    listening.say(listening.stream("1"))
    listening.listen()
    listening.cluster.create(TOPIC, 2)
    listening.log = None
    found = listening.listen()
    assert any("made anew" in remark for remark in found.remarks)
    listening.say(listening.stream("2"))
    assert told(listening.listen()) == [("2", True)]


def test_a_broker_that_is_away_loses_nothing(listening: Ear) -> None:
    listening.say(listening.stream())
    listening.cluster.down = True
    with pytest.raises(Transient):
        listening.listen()
    listening.cluster.down = False
    assert told(listening.listen()) == [("7", True)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[" * 60_000,
        b'{"microscope": "SIMSTEM"}',
        b'{"microscope": "SIMSTEM", "file": "a.npy", "extra": 1}',
        b'{"microscope": "SIMSTEM", "file": "../a.npy"}',
        b'{"microscope": "SIMSTEM", "file": "/etc/passwd"}',
        b'{"microscope": "SIMSTEM", "file": "a@b.npy"}',
        b'{"microscope": "SIMSTEM", "file": "a.npy", "scan": "b.npy"}',
        b'{"microscope": "SIMSTEM", "file": "a.npy\\u0000"}',
        b'{"microscope": 3, "file": "a.npy"}',
        b" " * (LONGEST + 1),
        json.dumps({"microscope": "SIMSTEM", "scan": "a.npy", "stream": STREAM}).encode(),
        json.dumps({"microscope": "SIMSTEM", "scan": "a/b", "stream": STREAM}).encode(),
        json.dumps({"microscope": "SIMSTEM", "scan": "", "stream": STREAM}).encode(),
        json.dumps({"microscope": "SIMSTEM", "scan": "7", "file": "a.npy", "stream": STREAM}).encode(),
        json.dumps({"microscope": "SIMSTEM", "scan": "7", "stream": STREAM | {"number": "7"}}).encode(),
        json.dumps(
            {"microscope": "SIMSTEM", "scan": "7", "stream": STREAM | {"scan_shape": [2**20, 2**20]}}
        ).encode(),
        json.dumps({"microscope": "SIMSTEM", "scan": "7", "stream": STREAM | {"started": "today"}}).encode(),
        b'{"microscope": "SIMSTEM", "scan": "7", "stream": {"calibration": {"voltage_kv": NaN}}}',
    ],
)
def test_what_is_no_announcement_is_kept_counted_and_told_and_stops_nothing(listening: Ear, payload: bytes) -> None:
    listening.say(payload)
    listening.say(listening.stream())
    found = listening.listen()
    assert told(found) == [("7", True)]
    assert found.unreadable == 1
    assert "Unreadable message" in found.remarks[0]
    (key,) = listening.eye.store.list(f"unreadable/{TOPIC}/0/")
    assert listening.eye.store.get(key).data == payload


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"microscope": "OTHER", "file": "a.npy"}, "not declared"),
        ({"microscope": "SIMSTEM", "file": "bad.npy"}, "no file of frames"),
        ({"microscope": "SIMSTEM", "file": "link.npy"}, "leads out"),
    ],
)
def test_a_scan_that_cannot_be_is_refused_and_told(listening: Ear, message: Any, why: str, tmp_path: Path) -> None:
    bad = listening.eye.folder / "bad.npy"
    bad.write_bytes(b"x")
    listening.eye.touch(bad, 100)
    (tmp_path / "outside.npy").write_bytes(b"x")
    (listening.eye.folder / "link.npy").symlink_to(tmp_path / "outside.npy")
    listening.say(message)
    found = listening.listen()
    assert (found.scans, found.refused) == ((), 1)
    assert why in found.remarks[0]


def test_a_stream_without_a_topic_for_its_frames_is_refused(listening: Ear) -> None:
    listening.microscope = listening.microscope.model_copy(update={"announcements": Announcements(topic=TOPIC)})
    listening.say(listening.stream())
    assert "frames_topic" in listening.listen().remarks[0]


@pytest.mark.parametrize("cursor", ["x", "[]", '{"offsets": 3}', '{"strange": 1}'])
def test_a_damaged_cursor_of_announcements_is_an_alert(ear: Ear, cursor: str) -> None:
    ear.cursor = cursor
    with pytest.raises(Alert, match="Clear the sensor's cursor"):
        ear.listen()


SIDES = st.integers(1, 2**12)
SEGMENT = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_=+-]{0,9}\Z")
MESSAGES = st.fixed_dictionaries({"microscope": st.text(max_size=63)}) | st.dictionaries(
    st.sampled_from(["microscope", "scan", "file", "stream", "x"]),
    st.none() | st.text() | st.integers() | st.just(STREAM),
)


@given(SEGMENT, SIDES, SIDES, st.integers(1, 16), st.integers(0, 2**53 - 1))
@settings(max_examples=50)
def test_announcements_are_read_as_they_were_written(
    scan: str, rows: int, columns: int, each: int, number: int
) -> None:
    stream = {
        "number": number,
        "scan_shape": (rows, columns),
        "frame_shape": (columns, rows),
        "frames_per_position": each,
    }
    written = ScanAnnouncement.model_validate({"microscope": "M", "scan": scan, "stream": stream})
    assert _read(written.model_dump_json().encode()) == written


def reason(payload: bytes) -> str:
    try:
        _read(payload)
    except ValueError as error:
        return str(error)
    return ""


@given(st.binary(max_size=200) | MESSAGES.map(lambda message: json.dumps(message).encode()))
@settings(max_examples=100)
def test_hostile_announcements_are_refused_in_one_line(payload: bytes) -> None:
    why = reason(payload)
    assert why.isascii()
    assert "\n" not in why
