"""An upgrade, or its return, while a run is live: what another version has stored is resumed or refused, never fatal.

`old_snapshots/format-2.npz` and `format-1.npz` were written by the versions whose formats these were, after the first
thirty of `messages` below. They are not to be made anew: a change that cannot read format 2 needs a new `FORMAT`.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facility_kit import START_MS, START_NS, Beamline, raw, result_of, small_instrument, stop_after
from scripted_stream import Scripted, ScriptedRun, make_messages, recount

from runstart.errors import Alert
from runstart.live import Result, read_head
from runstart.live.accumulation import Accumulation
from runstart.live.head import head_key
from runstart.live.record import run_prefix
from runstart.live.snapshot import FORMAT, ForeignSnapshot, pack_snapshot, unpack_snapshot

Make = Callable[..., Beamline]
OLD = Path(__file__).with_name("old_snapshots")
COUNTED = 30  # of the messages are in the stored snapshots
PULSES = 30  # of the run, from its start; the last four of them are not in the snapshots
OLD_HEAD: dict[str, Any] = {
    "epoch": 1,
    "run_id": "root-old",
    "root_run_id": "root",
    "beat": 9,
    "lease_seconds": 30.0,
    "released": False,
    "snapshots": [],
    "frozen": None,
    "current": None,
    "versions": [],
}


def messages(run: ScriptedRun) -> list[Scripted]:
    return make_messages(run, range(-4, 40), partitions=(0, 1, 0), events=50)


def stored(number: int) -> bytes:
    return (OLD / f"format-{number}.npz").read_bytes()


def with_header(data: bytes, **changes: Any) -> bytes:
    """Return a snapshot with other values in its header."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays.pop("header").tobytes()) | changes
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def leave_behind(beamline: Beamline, *snapshots: bytes, **head: Any) -> None:
    """Leave in the store what an older version's killed run left there."""
    folder = run_prefix(beamline.record.instrument, beamline.record.partition_key)
    keys = [f"{folder}/snapshots/000001-{number:09d}.npz" for number in range(len(snapshots))]
    for key, data in zip(keys, snapshots, strict=True):
        beamline.store.put(key, data)
    text = json.dumps(OLD_HEAD | {"snapshots": keys} | head)
    beamline.store.put(head_key(beamline.record.instrument, beamline.record.partition_key), text.encode())


def finish(make: Make, *snapshots: bytes, **head: Any) -> tuple[Beamline, Result]:
    """Let a retry by this version finish an older version's run, and hold it against numpy's recount."""
    beamline = make(partitions=2, start_ms=START_MS)
    written = messages(beamline.run)
    beamline.write(written)
    beamline.stop(stop_after(beamline, PULSES))
    leave_behind(beamline, *snapshots, **head)
    result = result_of(beamline.launch())
    beamline.check(result, recount(beamline.run, written, stop_after(beamline, PULSES)))
    return beamline, result


def test_the_stored_snapshot_of_this_format_is_what_counting_gives_now() -> None:
    instrument = small_instrument()
    accumulation = Accumulation(instrument, START_NS)
    accumulation.begin({0: 0, 1: 0})
    offsets: Counter[int] = Counter()
    for number, message in enumerate(messages(ScriptedRun(instrument, "run", START_MS))[:COUNTED]):
        offset, offsets[message.partition] = offsets[message.partition], offsets[message.partition] + 1
        timestamp_ms = START_MS + 50 * number
        accumulation.add(raw(message.payload, message.partition, offset, timestamp_ms), None)
    (plain, arrays), (old_plain, old_arrays) = accumulation.state(), unpack_snapshot(stored(2), instrument).state()
    assert json.dumps(plain) == json.dumps(old_plain)
    assert arrays.keys() == old_arrays.keys()
    assert all(np.array_equal(arrays[name], old_arrays[name]) for name in arrays)


def test_this_version_writes_the_format_that_is_stored_here() -> None:
    with np.load(io.BytesIO(pack_snapshot({}, {})), allow_pickle=False) as archive:
        assert json.loads(archive["header"].tobytes())["format"] == FORMAT
    assert sorted(path.name for path in OLD.iterdir()) == [f"format-{n}.npz" for n in range(1, FORMAT + 1)]


@pytest.mark.parametrize(("number", "version"), [(1, "0.1.0"), (99, "7.0")])
def test_a_snapshot_of_another_format_is_refused_with_both_formats_and_its_version(
    number: int, version: str
) -> None:
    data = stored(1) if number == 1 else with_header(stored(2), format=99, code_version="7.0")
    with pytest.raises(ForeignSnapshot, match=rf"format {number}, of Runstart {version};.*reads format {FORMAT}"):
        unpack_snapshot(data, small_instrument())


@pytest.mark.broker
@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "8.1"])
def test_the_snapshot_of_another_version_with_the_same_format_is_resumed(make: Make, version: str) -> None:
    beamline, _ = finish(make, with_header(stored(2), code_version=version))
    assert beamline.notebook.has_remark("Resumed from a snapshot with 1,213 events, at offsets {0: 20, 1: 10}")


@pytest.mark.broker
@pytest.mark.parametrize("number", [1, 99])
def test_a_run_whose_snapshots_have_another_format_is_finished_from_the_topic(make: Make, number: int) -> None:
    foreign = stored(1) if number == 1 else with_header(stored(2), format=99)
    beamline, result = finish(make, foreign, foreign)
    assert beamline.notebook.has_remark(f"The snapshot has format {number}, of Runstart 0.1.0; this version")
    assert not beamline.notebook.has_remark("Resumed")
    assert result_of(beamline.launch("undisturbed")).digest == result.digest


@pytest.mark.broker
def test_of_snapshots_of_two_formats_the_one_that_can_be_read_is_resumed(make: Make) -> None:
    beamline, _ = finish(make, stored(2), with_header(stored(2), format=99))
    assert beamline.notebook.has_remark("has format 99")
    assert beamline.notebook.has_remark("Resumed from a snapshot with 1,213 events")


@pytest.mark.broker
def test_the_head_of_an_older_version_with_fewer_fields_is_taken_over(make: Make) -> None:
    beamline = make(partitions=2, start_ms=START_MS)
    written = messages(beamline.run)
    beamline.write(written)
    beamline.stop(stop_after(beamline, PULSES))
    key = head_key(beamline.record.instrument, beamline.record.partition_key)
    beamline.store.put(key, json.dumps({"epoch": 4, "root_run_id": "root"}).encode())
    result = result_of(beamline.launch())
    beamline.check(result, recount(beamline.run, written, stop_after(beamline, PULSES)))
    assert read_head(beamline.store, "SMALL", beamline.record.partition_key).epoch == 5


@pytest.mark.broker
def test_a_run_that_a_newer_version_has_begun_is_left_to_it(make: Make) -> None:
    beamline = make(partitions=2, start_ms=START_MS)
    leave_behind(beamline, stored(2), colour="red", frozen=None)
    key = head_key(beamline.record.instrument, beamline.record.partition_key)
    before = beamline.store.get(key).data
    with pytest.raises(Alert, match=r"newer version of Runstart.*colour.*would lose.*a later one"):
        beamline.launch().result(60)
    assert beamline.store.get(key).data == before
