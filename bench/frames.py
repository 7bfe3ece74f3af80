"""Frames of a microscope against LiberTEM and stempy, and against reading the memory; files larger than the memory.

Patterns and electrons are synthetic. Everything is in memory or in the page cache, and everyone has two threads, but
for stempy's loop over frames, which has one. Before timing, results are compared: ours are plain numpy's, exactly; events
are stempy's, and sums are LiberTEM's to the rounding of float32.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import _libertem_peer, _stempy_peer
from bench._measure import Row, Scale, time_interleaved
from bench._memory_reading import reading
from bench._scan_child import process_in_child
from bench._scan_files import THRESHOLDS, camera_frames, detectors, diffraction_frames, write_scan
from runstart.frame_files import open_frames, read_batches
from runstart.frames import Counting, DenseFrames, FramePass, Partial, center_of_mass_map, merge_partials

_THREADS = 2
_PACKAGES = ("numba", "libertem", "stempy")
_BATCH_BYTES = 128 * 2**20
_MEMORY_LIMIT = 1536 * 2**20
_READING = f"reading the memory, {_THREADS} threads"

Contestants = dict[str, Callable[[], object]]


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of one pass, counting in memory, counting from files, and files of growing size."""
    yield from _one_pass(scale)
    frames = camera_frames(scale.pick(1000, 6), _stempy_peer.SIDE, scale.pick(800, 100))
    yield from _counting(frames, scale)
    with tempfile.TemporaryDirectory(prefix="runstart-bench-") as folder:
        yield from _counting_files(Path(folder), frames, scale)
    del frames
    with tempfile.TemporaryDirectory(prefix="runstart-bench-") as folder:
        yield from _sizes_of_files(Path(folder), scale)


def _one_pass(scale: Scale) -> Iterator[Row]:
    n, side = scale.pick(4096, 16), scale.pick(256, 32)
    pixels, masks = diffraction_frames(n, side), detectors(side)
    frames = DenseFrames(np.arange(n), pixels)
    both, alone = (FramePass((side, side), np.uint16, masks=masks, threads=threads) for threads in (_THREADS, 1))
    peers = _libertem_peer.passes(pixels, masks, _THREADS)
    ours = both.process(frames)
    _check_sums(ours, pixels, masks)
    for peer in peers.values():
        _check_peer(ours, peer(), n)
    contestants: Contestants = {
        "ours": lambda: both.process(frames),
        **peers,
        _READING: reading(pixels, _THREADS),
        "ours in one thread": lambda: alone.process(frames),
    }
    yield from _compare(
        "frames.center_of_mass_masks_sum",
        contestants,
        scale.pick(9, 1),
        pixels.nbytes,
        {"frames": n, "rows": side, "columns": side, "dtype": "uint16", "masks": len(masks), "threads": _THREADS},
        "Centre of mass, virtual detectors and sum in one pass. Ours sums whole numbers, LiberTEM float32. The ratio to"
        " reading is the fraction of the read bandwidth.",
    )


def _check_sums(ours: Partial, pixels: NDArray[np.uint16], masks: NDArray[np.bool_]) -> None:
    """Compare with plain numpy, exactly."""
    assert ours.pattern is not None
    assert ours.detected is not None
    assert ours.row_moment is not None
    np.testing.assert_array_equal(ours.pattern, pixels.sum(axis=0, dtype=np.uint64))
    rows = np.arange(pixels.shape[1])
    for k in range(0, len(pixels), max(1, len(pixels) // 50)):
        frame = pixels[k].astype(np.int64)
        np.testing.assert_array_equal(ours.detected[:, k], [frame[mask].sum() for mask in masks])
        assert ours.row_moment[k] == frame.sum(axis=1) @ rows


def _check_peer(ours: Partial, peer: _libertem_peer.PeerResult, n: int) -> None:
    """Compare with LiberTEM, to the rounding of float32."""
    columns, rows = center_of_mass_map(ours, (1, n)).reshape(2, n)
    np.testing.assert_allclose(peer.centers.reshape(n, 2), np.stack([rows, columns], axis=1), atol=1e-3)
    np.testing.assert_allclose(peer.detected.reshape(n, -1).T, np.asarray(ours.detected), rtol=1e-5)
    np.testing.assert_allclose(peer.pattern, np.asarray(ours.pattern), rtol=1e-5)


def _counting_pass(thresholds: tuple[float, float], threads: int) -> FramePass:
    return FramePass(
        (_stempy_peer.SIDE, _stempy_peer.SIDE),
        np.uint16,
        counting=Counting(background_threshold=thresholds[0], xray_threshold=thresholds[1]),
        center_of_mass=False,
        sum_frames=False,
        keep_events=True,
        threads=threads,
    )


def _counting(pixels: NDArray[np.uint16], scale: Scale) -> Iterator[Row]:
    frames = DenseFrames(np.arange(len(pixels)), pixels)
    both, alone = (_counting_pass(THRESHOLDS, threads) for threads in (_THREADS, 1))
    ours = both.process(frames)
    _check_counting(ours, pixels)
    _check_events(ours, _stempy_peer.count_in_loop(pixels, *THRESHOLDS))
    contestants: Contestants = {
        "ours": lambda: both.process(frames),
        "stempy, loop over frames": lambda: _stempy_peer.count_in_loop(pixels, *THRESHOLDS),
        _READING: reading(pixels, _THREADS),
        "ours in one thread": lambda: alone.process(frames),
    }
    yield from _compare(
        "frames.count_electrons",
        contestants,
        scale.pick(5, 1),
        pixels.nbytes,
        _camera_parameters(ours, pixels),
        "The events are the same, those on edges too. The ratio to reading is the fraction of the read bandwidth.",
    )


def _counting_files(folder: Path, pixels: NDArray[np.uint16], scale: Scale) -> Iterator[Row]:
    paths, path = _stempy_peer.write_sectors(folder, pixels), folder / "scan.frames"
    write_scan(path, pixels, len(pixels))
    peer = _stempy_peer.count_with_reader(paths, _THREADS)
    thresholds = peer.background_threshold, peer.xray_threshold
    one_pass = _counting_pass(thresholds, _THREADS)

    def count() -> Partial:
        with open_frames(path) as source:
            return merge_partials(one_pass.process(batch) for batch in read_batches(source, _BATCH_BYTES))

    ours = count()
    _check_events(ours, peer.events)
    contestants: Contestants = {
        "ours": count,
        f"stempy, threaded reader, {_THREADS} threads": lambda: _stempy_peer.count_with_reader(paths, _THREADS),
    }
    yield from _compare(
        "frames.count_electrons_of_file",
        contestants,
        scale.pick(5, 1),
        pixels.nbytes,
        {
            **_camera_parameters(ours, pixels),
            "thresholds": [round(threshold, 2) for threshold in thresholds],
        },
        "Files are in the page cache: ours one with checksums, which are compared; stempy's the four of a detector's"
        " modules. stempy's reader finds thresholds in 20 frames first, which ours is given. The events are the same.",
    )


def _check_counting(ours: Partial, pixels: NDArray[np.uint16]) -> None:
    """Compare some frames with plain numpy, edges included."""
    assert ours.events is not None
    for k in range(0, len(pixels), max(1, len(pixels) // 10)):
        frame = pixels[k].astype(np.int64)
        low, high = THRESHOLDS
        frame[(frame <= low) | (frame >= high)] = 0
        around = np.pad(frame, 1, constant_values=-1)
        rows, columns = frame.shape
        neighbours = [
            around[1 + i : 1 + i + rows, 1 + j : 1 + j + columns]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            if (i, j) != (0, 0)
        ]
        expected = np.flatnonzero((frame > 0) & (frame > np.max(neighbours, axis=0)))
        np.testing.assert_array_equal(ours.events.frame(k), expected)


def _check_events(ours: Partial, theirs: Sequence[NDArray[np.uint32]]) -> None:
    """Compare all events with stempy's, edges included."""
    assert ours.events is not None
    assert len(ours.events) == len(theirs)
    for k, peer in enumerate(theirs):
        np.testing.assert_array_equal(ours.events.frame(k), np.sort(peer))


def _camera_parameters(ours: Partial, pixels: NDArray[np.uint16]) -> dict[str, Any]:
    assert ours.events is not None
    n, rows, columns = pixels.shape
    return {
        "frames": n,
        "rows": rows,
        "columns": columns,
        "dtype": "uint16",
        "events": len(ours.events.events),
        "threads": _THREADS,
    }


def _sizes_of_files(folder: Path, scale: Scale) -> Iterator[Row]:
    batch_bytes = scale.pick(_BATCH_BYTES, 2**18)
    side = scale.pick(256, 32)
    pixels = diffraction_frames(64, side)
    numbers = [
        size // pixels[0].nbytes for size in scale.pick([2**28, 3 * 2**28, 3 * 2**29, 3 * 2**30], [2**17, 2**20])
    ]
    paths = [folder / f"{n}.frames" for n in numbers]
    for path, n in zip(paths, numbers, strict=True):
        write_scan(path, pixels, n)
    found: dict[int, list[dict[str, float]]] = {n: [] for n in numbers}
    for turn in range(scale.pick(5, 1)):
        for n, path in list(zip(numbers, paths, strict=True))[:: 1 if turn % 2 else -1]:
            found[n].append(process_in_child(path, _MEMORY_LIMIT, batch_bytes, _THREADS))
    for n in numbers:
        expected = int(pixels.sum(dtype=np.uint64)) * (n // len(pixels)) + int(pixels[: n % len(pixels)].sum())
        assert all(one["counts"] == expected for one in found[n])
    per_frame = {n: statistics.median(one["seconds"] for one in found[n]) / n * 1e6 for n in numbers}
    for n, path in zip(numbers, paths, strict=True):
        yield Row(
            name=f"frames.size_of_file.{n}_frames",
            ours=per_frame[n],
            peer=per_frame[numbers[0]],
            peer_name=f"time per frame of {numbers[0]} frames",
            unit="us",
            ratio=per_frame[numbers[0]] / per_frame[n],
            packages=_PACKAGES,
            parameters={
                "frames": n,
                "rows": side,
                "columns": side,
                "memory_limit_mib": _MEMORY_LIMIT // 2**20,
                "batch_mib": batch_bytes / 2**20,
                "file_mib": round(path.stat().st_size / 2**20, 1),
                "file_to_limit": round(path.stat().st_size / _MEMORY_LIMIT, 3),
                "peak_mib": round(max(one["peak_bytes"] for one in found[n]) / 2**20, 1),
                "threads": _THREADS,
            },
            notes="Centre of mass, 5 masks and sum, read with checksums from a file in the page cache, each by a process"
            " of its own whose address space is limited.",
        )


def _compare(
    name: str,
    contestants: Contestants,
    rounds: int,
    size: int,
    parameters: Mapping[str, Any],
    notes: str,
) -> Iterator[Row]:
    seconds = time_interleaved(contestants, rounds)
    ours = seconds.pop("ours")
    for peer, theirs in seconds.items():
        ratio_of_quickest = round(min(theirs) / min(ours), 3)
        yield Row(
            name=name,
            ours=size / statistics.median(ours) / 1e9,
            peer=size / statistics.median(theirs) / 1e9,
            peer_name=peer,
            unit="GB/s",
            ratio=statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
            packages=_PACKAGES,
            parameters={**parameters, "ratio_of_quickest": ratio_of_quickest},
            notes=notes,
        )
