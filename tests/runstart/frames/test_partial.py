"""Partial results: merging in any order, and their bytes."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runstart.frames.model import SparseFrames
from runstart.frames.partial import Partial, merge_partials, partial_from_bytes, partial_to_bytes

SHAPE = (3, 4)
PIXELS = 12
# A frame: its scan position and its events. Few values, so that positions, lengths and events often agree.
FRAMES = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.integers(0, PIXELS - 1), max_size=3)), min_size=1, max_size=14
)
SUMS = ("frames", "intensity", "row_moment", "column_moment", "detected", "pattern")


def sum_up(frames: list[tuple[int, list[int]]], dtype: str = "int64") -> Partial:
    """Add frames up one by one, without any merging."""
    frames = sorted(frames, key=lambda frame: frame[0])
    positions = sorted({position for position, _ in frames})
    sums = np.zeros((6, len(positions)), np.int64)
    pattern = np.zeros(PIXELS, np.uint64)
    for position, events in frames:
        at = positions.index(position)
        sums[0, at] += 1
        for event in events:
            sums[1:, at] += (1, event // 4, event % 4, event < 5, event % 2)
            pattern[event] += np.uint64(1)
    lengths = [len(events) for _, events in frames]
    return Partial(
        SHAPE,
        np.array(positions, np.int64),
        sums[0].astype(np.uint32),
        *sums[1:4].astype(dtype),
        detected=sums[4:].astype(dtype),
        pattern=pattern.reshape(SHAPE).astype("uint64" if dtype == "int64" else dtype),
        events=SparseFrames(
            np.array([position for position, _ in frames], np.int64),
            np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            np.array([event for _, events in frames for event in events], np.uint32),
            SHAPE,
        ),
    )


def split(frames: list[Any], draw: Any) -> list[list[Any]]:
    """Shuffle frames and cut them into groups, in an order of no meaning."""
    groups: list[list[Any]] = [[] for _ in range(draw(st.integers(1, 5)))]
    for frame in draw(st.permutations(frames)):
        groups[draw(st.integers(0, len(groups) - 1))].append(frame)
    return [group for group in groups if group]


@settings(max_examples=80)
@given(FRAMES, st.data())
def test_any_split_merged_in_any_order_gives_the_same_bytes(frames: list[Any], data: Any) -> None:
    once = merge_partials([sum_up(frames)])
    merged = merge_partials(sum_up(group) for group in split(frames, data.draw))

    assert partial_to_bytes(merged) == partial_to_bytes(once)


@settings(max_examples=40)
@given(FRAMES, st.data())
def test_merging_merged_partials_gives_the_same_bytes(frames: list[Any], data: Any) -> None:
    parts = [sum_up(group) for group in split(frames, data.draw)]
    cut = data.draw(st.integers(0, len(parts) - 1))
    inner = [merge_partials(parts[cut:]), *parts[:cut]]

    assert partial_to_bytes(merge_partials(inner)) == partial_to_bytes(merge_partials(parts))


@settings(max_examples=40)
@given(FRAMES, st.data())
def test_sums_are_those_of_all_frames(frames: list[Any], data: Any) -> None:
    merged = merge_partials(sum_up(group) for group in split(frames, data.draw))
    expected = sum_up(frames)

    for name in ("positions", *SUMS):
        np.testing.assert_array_equal(getattr(merged, name), getattr(expected, name), strict=True)


@settings(max_examples=40)
@given(FRAMES, st.data())
def test_no_event_moves_to_another_frame(frames: list[Any], data: Any) -> None:
    events = merge_partials(sum_up(group) for group in split(frames, data.draw)).events

    assert events is not None
    found = [(int(position), events.frame(i).tolist()) for i, position in enumerate(events.positions)]
    assert found == sorted(frames, key=lambda frame: (frame[0], len(frame[1]), frame[1]))


def test_frames_of_a_position_are_ordered_by_the_numbers_of_their_events() -> None:
    frames = [[7, 256], [7, 3], [300], [7, 255], []]
    starts = np.concatenate([[0], np.cumsum([len(frame) for frame in frames])])
    flat = np.array([event for frame in frames for event in frame], np.uint32)
    part = Partial(
        (20, 20),
        np.array([4]),
        np.array([5], np.uint32),
        events=SparseFrames(np.full(5, 4), starts, flat, (20, 20)),
    )
    events = merge_partials([part]).events

    assert events is not None
    assert [events.frame(i).tolist() for i in range(5)] == [[], [300], [7, 3], [7, 255], [7, 256]]


def test_float_sums_are_added() -> None:
    one, other = sum_up([(0, [1, 2]), (2, [3])], "float64"), sum_up([(2, [5]), (3, [])], "float64")

    assert merge_partials([one, other]).intensity.tolist() == [2.0, 2.0, 0.0]


def test_merging_leaves_what_it_merges_alone() -> None:
    part = sum_up([(0, [1, 2]), (2, [3])])
    before = partial_to_bytes(part)
    merged = merge_partials([part])
    assert merged.pattern is not None
    merged.pattern[...] = 7
    merge_partials([part, part])

    assert partial_to_bytes(part) == before


def test_sums_beyond_32_bits_are_exact() -> None:
    big = dataclasses.replace(sum_up([(0, [1])]), intensity=np.array([2**61 + 1]))

    assert merge_partials([big, big]).intensity.tolist() == [2**62 + 2]


def test_what_was_not_asked_for_is_none() -> None:
    bare = Partial(SHAPE, np.array([1]), np.array([1], np.uint32))
    merged = merge_partials([bare, bare])

    assert merged.frames.tolist() == [2]
    assert all(getattr(merged, name) is None for name in (*SUMS[1:], "events"))


def test_frames_of_no_position_merge_to_nothing() -> None:
    none = Partial(SHAPE, np.zeros(0, np.int64), np.zeros(0, np.uint32), detected=np.zeros((2, 0), np.int64))

    assert merge_partials([none, none]).detected.shape == (2, 0)


def test_no_partial_is_an_error() -> None:
    with pytest.raises(ValueError, match="no partial"):
        merge_partials([])


@pytest.mark.parametrize(
    "change",
    [
        {"frame_shape": (4, 3)},
        {"intensity": None, "row_moment": None, "column_moment": None},
        {"detected": None},
        {"detected": np.zeros((1, 1), np.int64)},
        {"detected": np.zeros((2, 1))},
        {"pattern": None},
        {"pattern": np.zeros(SHAPE)},
        {"events": None},
        {"events": SparseFrames(np.array([0]), np.array([0, 0]), np.zeros(0, np.uint32), (6, 8))},
    ],
)
def test_partials_of_different_recipes_do_not_merge(change: dict[str, Any]) -> None:
    part = sum_up([(0, [1])])

    with pytest.raises(ValueError, match="different recipes"):
        merge_partials([part, dataclasses.replace(part, **change)])


def same(one: Partial, other: Partial) -> bool:
    return partial_to_bytes(one) == partial_to_bytes(other)


@settings(max_examples=40)
@given(FRAMES, st.sampled_from(["int64", "float64"]))
def test_bytes_give_the_partial_back(frames: list[Any], dtype: str) -> None:
    part = sum_up(frames, dtype)
    back = partial_from_bytes(partial_to_bytes(part))

    assert same(back, part)
    for name in ("positions", *SUMS):
        np.testing.assert_array_equal(getattr(back, name), getattr(part, name), strict=True)


def test_a_bare_partial_comes_back() -> None:
    back = partial_from_bytes(partial_to_bytes(Partial((1, 1), np.zeros(0, np.int64), np.zeros(0, np.uint32))))

    assert back.frame_shape == (1, 1)
    assert back.events is None


def test_arrays_that_come_back_can_be_written_to() -> None:
    back = partial_from_bytes(partial_to_bytes(sum_up([(0, [1])])))

    assert back.positions.flags.writeable
    assert back.detected.flags.writeable


def test_numpy_reads_the_bytes() -> None:
    part = sum_up([(0, [1, 2]), (2, [3])])
    with np.load(io.BytesIO(partial_to_bytes(part)), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["detected"], part.detected)


WHOLE = partial_to_bytes(sum_up([(0, [1, 2]), (2, [3, 3]), (2, [])]))


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@example(at=WHOLE.rindex(b"pattern.npy") - 13, flip=1)  # its comment grows by 256 and hides what follows
def test_a_changed_byte_is_an_error_or_changes_nothing(at: int, flip: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= flip
    try:
        found = partial_from_bytes(bytes(damaged))
    except ValueError:
        return
    assert partial_to_bytes(found) == WHOLE


@settings(max_examples=60)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_truncated_partial_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="damaged"):
        partial_from_bytes(WHOLE[:length])


def arrays_of(data: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return dict(archive)


def repacked(**changes: Any) -> bytes:
    buffer = io.BytesIO()
    arrays = {name: array for name, array in (arrays_of(WHOLE) | changes).items() if array is not None}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_what_numpy_writes_is_read() -> None:
    assert partial_to_bytes(partial_from_bytes(repacked())) == WHOLE


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": None},
        {"events": None},
        {"unknown": np.zeros(1)},
        {"frame_shape": np.array([3, 4, 5])},
        {"frame_shape": np.array([3.0, 4.0])},
        {"frame_shape": np.array([0, 12])},
        {"positions": np.array([0, 2], np.int32)},
        {"positions": np.array([0, 2], ">i8")},
        {"positions": np.array([0, 2], object)},
        {"positions": np.array(["a", "b"])},
        {"positions": np.array(3)},
        {"positions": np.array([2, 0])},
        {"positions": np.array([2, 2])},
        {"positions": np.array([-1, 2])},
        {"positions": np.array([0, 1])},
        {"frames": np.array([1], np.uint32)},
        {"frames": np.array([0, 3], np.uint32)},
        {"frames": np.array([2, 2], np.uint32)},
        {"frames": np.array([2**32 - 1, 2**32 - 1], np.uint32)},
        {"intensity": np.zeros(2)},
        {"intensity": None},
        {"row_moment": np.zeros(3, np.int64)},
        {"detected": np.zeros(2, np.int64)},
        {"detected": np.array(2)},
        {"detected": np.zeros((2, 2), np.uint32)},
        {"pattern": np.zeros((4, 3), np.uint64)},
        {"pattern": np.asfortranarray(np.zeros(SHAPE, np.uint64))},
        {"event_starts": np.array([0, 2, 2, 3])},
        {"event_starts": np.array([1, 2, 2, 4])},
        {"event_starts": np.array([0, 5, 2, 4])},
        {"event_starts": np.zeros(0, np.int64)},
        {"event_positions": np.array([2, 0, 2])},
        {"events": np.array([1, 2, 12, 3], np.uint32)},
        {"events": np.array([1, 2, 3, 3], np.int64)},
        {"event_frame_shape": np.array([-3, -4])},
    ],
)
def test_arrays_that_do_not_fit_are_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"partial|should be|header|whole numbers"):
        partial_from_bytes(repacked(**changes))


def rewritten(name: str, content: bytes, **options: Any) -> bytes:
    """Put another member in the place of one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as old, zipfile.ZipFile(buffer, "w") as new:
        for one in old.infolist():
            if one.filename == name:
                new.writestr(name, content, **options)
            else:
                new.writestr(one, old.read(one))
    return buffer.getvalue()


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array at all",
        header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n"),
        header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n") + bytes(24),
        header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (999999999999999,), }\n") + bytes(16),
        header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (0, 999999999999999, 999999999999999), }\n"),
        header(b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }\n") + bytes(16),
        header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (__import__('os'),), }\n") + bytes(16),
        header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (" + b"1" * 900 + b"\n"),
    ],
)
def test_a_member_that_is_no_array_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"positions\.npy|positions is|too (large|big)|damaged"):
        partial_from_bytes(rewritten("positions.npy", content))


def test_a_compressed_member_is_an_error() -> None:
    data = rewritten("positions.npy", bytes(10**6), compress_type=zipfile.ZIP_DEFLATED)

    with pytest.raises(ValueError, match="compressed"):
        partial_from_bytes(data)


def test_a_member_that_is_there_twice_is_an_error() -> None:
    buffer = io.BytesIO(WHOLE)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("frames.npy", archive.read("frames.npy"))

    with pytest.raises(ValueError, match="same name"):
        partial_from_bytes(buffer.getvalue())


def test_nothing_is_allocated_for_a_size_that_the_data_do_not_have() -> None:
    claim = header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (500000000,), }\n")
    data = bytearray(rewritten("positions.npy", claim))
    entry = data.rindex(b"\0positions.npy") + 1 - 46
    data[entry + 24 : entry + 28] = (len(claim) + 4_000_000_000).to_bytes(4, "little")

    with pytest.raises(ValueError, match="larger than it is"):
        partial_from_bytes(bytes(data))


@pytest.mark.parametrize("changes", [{"frames": np.ones(3, np.uint32)}, {"row_moment": None}])
def test_arrays_that_do_not_fit_are_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"frames|moment"):
        partial_to_bytes(dataclasses.replace(sum_up([(0, [1]), (1, [])]), **changes))
