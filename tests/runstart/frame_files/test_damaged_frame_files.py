"""Whatever the bytes, a file gives whole frames or an alert: never another error, never much memory."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.frame_files import (
    BatchWriter,
    RawWriter,
    ScanHeader,
    batch_header,
    open_frames,
    read_batches,
    split_scan,
)
from runstart.frames import SparseFrames

MEGABYTES = 20
CHANCE = np.random.default_rng(3)
PIXELS = CHANCE.integers(0, 60_000, (4, 3, 2)).astype(np.uint16)


def raw(path: Path, slot_records: bool) -> None:
    with RawWriter(path, ScanHeader((2, 2), (3, 2), "uint16"), slot_records=slot_records) as writer:
        writer.append(PIXELS)


def batches(path: Path) -> None:
    events = SparseFrames(np.arange(4), np.array([0, 2, 2, 5, 6]), np.array([0, 5, 1, 2, 3, 4], np.uint32), (3, 2))
    with BatchWriter(path) as writer:
        for batch in split_scan(events, 12):
            writer.write(batch_header(batch, (2, 2)), batch)


def mib(path: Path) -> None:
    begin = "MQ1,{:06},00128,01,0002,0003,U16,   1x1,01,2026-05-01 12:00:00,0.001,"
    path.write_bytes(
        b"".join(begin.format(n + 1).encode().ljust(128, b"\0") + PIXELS[n].tobytes() for n in range(4))
    )


def numpy_file(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, PIXELS)


WRITERS: dict[str, Callable[[Path], None]] = {
    "raw with records": lambda path: raw(path, True),
    "raw without records": lambda path: raw(path, False),
    "batches": batches,
    "npy": numpy_file,
    "mib": mib,
}


@pytest.fixture(params=WRITERS)
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, bytes]]:
    """Where to put a damaged file, and the bytes of a whole one."""
    path = tmp_path / "whole"
    WRITERS[request.param](path)
    tracemalloc.start()
    yield tmp_path / "damaged", path.read_bytes()
    tracemalloc.stop()


def read(path: Path, data: bytes) -> list[bytes]:
    """Return the frames of a file of these bytes; none after an alert."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    found: list[bytes] = []
    with contextlib.suppress(Alert), open_frames(path) as source:
        for batch in read_batches(source, 20):
            assert len(batch) <= source.frame_count
            if isinstance(batch, SparseFrames):
                found += [batch.frame(index).tobytes() for index in range(len(batch))]
            else:
                found += [frame.tobytes() for frame in batch.pixels]
        source.slots(0, source.look())
    assert tracemalloc.get_traced_memory()[1] - before < MEGABYTES * 1e6
    return found


def test_every_truncation_gives_whole_frames_or_an_alert(whole: tuple[Path, bytes]) -> None:
    path, data = whole
    frames = read(path, data)
    assert len(frames) == 4
    for length in range(len(data)):
        found = read(path, data[:length])
        assert found == frames[: len(found)]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3))
def test_damage_anywhere_gives_frames_or_an_alert(
    whole: tuple[Path, bytes], flips: list[tuple[float, int]]
) -> None:
    path, data = whole
    damaged = bytearray(data)
    for place, mask in flips:
        damaged[int(place * len(data))] ^= mask
    read(path, bytes(damaged))


@pytest.mark.parametrize("value", [0, 0xFF])
def test_every_byte_may_be_another(whole: tuple[Path, bytes], value: int) -> None:
    path, data = whole
    for place in range(len(data)):
        read(path, data[:place] + bytes([value]) + data[place + 1 :])


@pytest.mark.parametrize("value", [2**31 - 1])
def test_every_word_may_be_huge(whole: tuple[Path, bytes], value: int) -> None:
    path, data = whole
    for place in range(0, len(data) - 4, 2):
        read(path, data[:place] + value.to_bytes(4, "little") + data[place + 4 :])
