"""Scans that are streamed: the same result as of a file, whatever comes beside their frames."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from facility_kit import add_partitions, in_background, wait_until
from scan_stream_kit import Listener, Streaming, in_thread, streaming

from runstart.errors import Alert, Transient
from runstart.facility import Broker
from runstart.frame_files import decode_batch, encode_batch, pack_message, unpack_message
from runstart.scans import ScanStatus, follow_scan, load_current

pytestmark = pytest.mark.broker
New = Callable[..., Streaming]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: it takes longer than all else."""
    publishing = sys.modules["runstart.scans.publish"]  # the package's `publish` is the function
    monkeypatch.setattr(publishing, "scan_pictures", lambda product: {})
    monkeypatch.setattr(publishing, "scan_thumbnails", lambda product: {})


@pytest.fixture
def new(broker: Broker, topic_name: Callable[[str], str], tmp_path: Path) -> Iterator[New]:
    """Gives simulated scans on topics of their own."""
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(
            streaming(tmp_path, broker.bootstrap_servers, topic_name, **options)
        )


def sent(scan: Streaming, messages: list[bytes], partition: int = 0) -> None:
    for message in messages:
        scan.publisher.send(str(scan.announcements.frames_topic), message, partition)
    scan.publisher.flush()


def changed(message: bytes, **fields: Any) -> bytes:
    """Return a message whose header says something else."""
    header, frames = decode_batch(*unpack_message(message))
    return pack_message(*encode_batch(header.model_copy(update=fields), frames))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_streamed_scan_has_the_result_of_its_file(new: New, partitions: int) -> None:
    scan, listener = new(partitions=partitions, frames_per_position=2), Listener()
    sender = in_thread(lambda: scan.stream.send(rate=400))
    result = scan.follow(listener)
    sender.join()
    assert (result.digest, result.ended) == (scan.undisturbed().digest, "complete")
    covered = [status.accounting.covered for status in listener.statuses]
    assert any(0 < part < 1 for part in covered)


def test_a_streamed_scan_can_be_processed_again_without_kafka(new: New) -> None:
    scan = new()
    scan.stream.send()
    work = scan.work()
    result = scan.follow(work=work)
    again = follow_scan(work, Listener())
    assert (again.digest, again.folder) == (result.digest, result.folder)


def test_what_else_comes_on_the_topic_is_counted_and_changes_nothing(new: New) -> None:
    scan, listener = new(), Listener()
    messages = list(scan.stream.messages(most_frames=40))
    foreign = [changed(m, scan_number=8, headers=_numbered(m, 8)) for m in messages[:2]]
    malformed = [b"", b"\xff\xff\xff\xffno batch", messages[0][:-3]]
    sent(scan, [*foreign, messages[0], *malformed, messages[0], *messages[1:]])
    work = scan.work()
    result = scan.follow(listener, work)
    assert result.digest == scan.undisturbed().digest
    told = f"{len(messages) + 6} messages, {len(messages)} taken, 1 duplicate, 2 foreign, 3 malformed."
    assert any(told in remark for remark in listener.remarks)
    assert len(work.store.list("scans/SIMSTEM/streamed/malformed/")) == 3


def _numbered(message: bytes, number: int) -> tuple[Any, ...]:
    header, _ = decode_batch(*unpack_message(message))
    return tuple(one.model_copy(update={"scan_number": number}) for one in header.headers)


def test_frames_of_another_shape_than_announced_are_left_out(new: New) -> None:
    scan, listener = new(), Listener()
    scan.stream.send()
    record = scan.record()
    work = replace(scan.work(), record=replace(record, stream={**(record.stream or {}), "frame_shape": [64, 64]}))
    scan.give_up_seconds = 0.5
    work = replace(work, microscope=scan.microscope)
    with pytest.raises(Alert, match="No frame of scan 7"):
        scan.follow(listener, work)
    assert any("has the frame (32, 32), but (64, 64) was announced" in remark for remark in listener.remarks)


def test_a_stream_that_breaks_off_gives_a_marked_partial_result_that_can_be_made_again(new: New) -> None:
    scan = new()
    scan.give_up_seconds = 1.0
    scan.stream.send(0, 100)
    work = scan.work()
    result = scan.follow(work=work)
    assert (result.ended, result.accounting.seen) == ("broken off", 100)
    assert follow_scan(work, Listener()).digest == result.digest


def test_a_stream_ends_when_as_many_frames_have_come_as_its_messages_say(new: New) -> None:
    scan = new()
    scan.give_up_seconds = 60.0
    sent(scan, [changed(message, total_frames=100) for message in scan.stream.messages(0, 100)])
    result = scan.follow()
    assert (result.ended, result.accounting.seen) == ("closed", 100)


def test_messages_without_numbers_of_frames_are_taken_in_their_order(new: New) -> None:
    scan = new(frames_per_position=2)
    messages = list(scan.stream.messages(most_frames=40))
    bare = []
    for message in messages:
        header, frames = decode_batch(*unpack_message(message))
        headers = tuple(one.model_copy(update={"frame_number": None}) for one in header.headers)
        bare.append(pack_message(*encode_batch(header.model_copy(update={"headers": headers}), frames)))
    sent(scan, [*bare[:3], bare[2], *bare[3:]])
    assert scan.follow().digest == scan.undisturbed().digest


def test_a_later_attempt_that_sees_less_leaves_the_frames_that_were_kept(new: New) -> None:
    scan = new()
    scan.give_up_seconds = 0.8
    scan.stream.send(0, 120)
    work = scan.work()
    first = scan.follow(work=work)
    kept = work.store.get("scans/SIMSTEM/streamed/raw.batches").data
    scan.number = 8
    scan.stream.send(0, 60)
    record = replace(work.record, stream={**(work.record.stream or {}), "number": 8})
    second = scan.follow(work=replace(work, record=record))
    assert work.store.get("scans/SIMSTEM/streamed/raw.batches").data == kept
    assert second == first


def test_a_scan_that_is_kept_whole_needs_no_broker(new: New) -> None:
    scan, listener = new(), Listener()
    scan.stream.send()
    work = scan.work()
    result = scan.follow(work=work)
    scan.servers = "localhost:9"
    assert scan.follow(listener, work).digest == result.digest
    assert any("taken from there" in remark for remark in listener.remarks)


def test_an_interrupted_attempt_keeps_the_frames_that_have_come(new: New) -> None:
    scan = new()
    scan.stream.send(0, 150)
    work = scan.work()

    def interrupt(status: ScanStatus) -> None:
        if status.accounting.seen == 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.follow(Listener(interrupt), work)
    with work.open() as source:
        assert source.frame_count == 150


def test_partitions_that_are_added_are_read(new: New, broker: Broker) -> None:
    scan = new()
    scan.stream.send(0, 100)
    topic = str(scan.announcements.frames_topic)

    def add(status: ScanStatus) -> None:
        if status.accounting.seen == 100 and not added:
            added.append(True)
            add_partitions(broker, topic, 2)
            scan.send_anew(100)

    added: list[bool] = []
    assert scan.follow(Listener(add)).ended == "complete"
    assert added


@pytest.mark.faults
def test_a_broker_that_restarts_in_the_middle_changes_nothing(
    own_broker: Broker, topic_name: Callable[[str], str], tmp_path: Path
) -> None:
    with streaming(tmp_path, own_broker.bootstrap_servers, topic_name) as scan:
        scan.give_up_seconds = 40.0
        scan.stream.send(0, 100)
        listener = Listener()
        following = in_background(lambda: scan.follow(listener))
        wait_until(lambda: bool(listener.statuses) and listener.statuses[-1].accounting.seen == 100)
        own_broker.stop()
        own_broker.start()
        scan.send_anew(100)
        result = following.result(60)
        assert (result.digest, result.ended) == (scan.undisturbed().digest, "complete")


@pytest.mark.faults
def test_a_broker_that_stays_away_fails_the_attempt_and_does_not_break_off_the_scan(
    own_broker: Broker, topic_name: Callable[[str], str], tmp_path: Path
) -> None:
    with streaming(tmp_path, own_broker.bootstrap_servers, topic_name) as scan:
        scan.give_up_seconds = 10.0
        scan.stream.send(0, 100)
        work = scan.work()

        def stop_the_broker(status: ScanStatus) -> None:
            if status.accounting.seen == 100:
                own_broker.stop()

        with pytest.raises(Transient, match="has not answered"):
            scan.follow(Listener(stop_the_broker), work)
        assert load_current(work.store, work.microscope, "streamed") is None
