"""Pipelines of operators against plain ZeroMQ: streams of messages, the centre of mass of a scan, and latency of a hop.

Ours are sessions of operators that ship, each in a process of its own; the peer is PUSH to PULL between two processes, of
the same bytes, by the same kind of socket, with the same high-water mark, whose messages are ready and only counted. The
goal is that a pipeline carries at least 70 % of what plain ZeroMQ carries.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from bench._measure import Row, Scale
from bench._push_pull_peer import Parts, stream
from bench._watched_sessions import OPERATORS, QUEUE, run_watched
from runstart.frame_files import write_counted
from runstart.frame_messages import MEGABYTE, Load, load_messages, read_messages
from runstart.frames import Crop, SparseFrames, center_of_mass, crop_mask
from runstart.operators import BytesMessage
from runstart.operators.messages import encode
from runstart.operators.tracking import read_time
from runstart.pipelines import Link, Plan, Stage, make_plan, read_pipeline
from runstart.specifications import OperatorSpec, find_operators

GOAL = 0.7
_KIB = 1024
_PACKAGES = ("pyzmq",)
_PLAIN = "plain ZeroMQ, PUSH to PULL"
_STREAMING = (
    "Timed while messages flow, by the operators' counters; the peer by the times of its first and last message."
)

_SOURCE = """
import time
from runstart.operators import BytesMessage, EndOfStream, MessageHeader, operator, tracking

tracking._EVERY_S = 0.0  # every message is tracked
left = {count}

@operator
def source(inputs, parameters):
    global left
    if not left:
        raise EndOfStream
    left -= 1
    time.sleep({pause_s})
    return BytesMessage(MessageHeader(), bytes({size}))
"""
_KEEPER = """
from runstart.operators import operator, publish

@operator
def keeper(inputs, parameters):
    publish("application/octet-stream", bytes(inputs.data), keep=True)
"""
_RELAY = """
from runstart.operators import operator

@operator
def relay(inputs, parameters):
    return inputs
"""
_SINK = """
import json
from runstart.operators import on_finish, operator, publish

kept = []

@operator(keeps_state=True)
def sink(inputs, parameters):
    kept.append(inputs.header.tracking)

@on_finish
def tell(parameters):
    publish("application/json", json.dumps(kept).encode(), keep=True)
"""


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of streams by size, of the pipeline of a scan, and of the hops of a chain."""
    with tempfile.TemporaryDirectory(prefix="rs-bench-") as name:
        folder = Path(name)
        for size, count in scale.pick(
            [(_KIB, 10_000), (64 * _KIB, 5000), (_KIB**2, 800), (16 * _KIB**2, 64)],
            [(_KIB, 50)],
        ):
            yield _stream(folder, size, count, scale.pick(3, 1))
        yield _center_of_mass(folder, scale)
        yield from _hops(folder, scale)


def _stream(folder: Path, size: int, count: int, rounds: int) -> Row:
    values = {"smallest_kb": size // _KIB, "largest_kb": size // _KIB, "gib_per_size": size * count / _KIB**3}
    plan = _shipped("benchmark", {"sender": values})
    messages = [_parts(next(load_messages(Load(size, size, size * count))))]
    ours, theirs = _interleaved(
        lambda: run_watched(plan, folder, "sender", "receiver", count).seconds,
        lambda: stream(messages, count, QUEUE).seconds,
        rounds,
    )
    return _rate_row(
        f"operators.stream.{size // _KIB}_kib",
        ours,
        theirs,
        (count, size * count),
        {"message_bytes": size},
        f"benchmark-sender to benchmark-receiver. {_STREAMING}",
    )


def _center_of_mass(folder: Path, scale: Scale) -> Row:
    side, frame_shape, hits = scale.pick(128, 8), (576, 576), 200
    scans, rounds, replicas = scale.pick(30, 2), scale.pick(3, 1), scale.pick(4, 1)
    events = _events(side * side, frame_shape, hits)
    data = folder / "data"
    data.mkdir()
    write_counted(data / "scan.h5", events, (side, side), frame_shape)
    batches = [_parts(message) for message in read_messages(data / "scan.h5", MEGABYTE, 1)]
    shipped = _shipped("center_of_mass", {"reader": {"raw_data_dir": str(data), "cache_last_file": True}})
    plan = _with_keeper(shipped, folder / "keeper", replicas)
    crop = crop_mask(Crop(half_rows=255, half_columns=255), (255, 255), frame_shape)
    expected = center_of_mass(events, (side, side), crop=crop)

    def run_pipeline() -> float:
        pulls = (("reader", "read_now"),) * scans
        done = run_watched(
            plan, folder, "reader", "reduce", len(batches) * scans, pulls, (OPERATORS, folder / "keeper")
        )
        maps = [one.data for one in done.published if one.operator == "keeper"]
        assert len(maps) == scans
        for found in maps:
            np.testing.assert_array_equal(np.frombuffer(found, np.float32).reshape(expected.shape), expected)
        return done.seconds

    ours, theirs = _interleaved(run_pipeline, lambda: stream(batches, scans, QUEUE).seconds, rounds)
    return _rate_row(
        "operators.center_of_mass",
        ours,
        theirs,
        (len(batches) * scans, sum(len(parts[-1]) for parts in batches) * scans),
        {
            "scan": [side, side],
            "frame": list(frame_shape),
            "hits_per_frame": hits,
            "scans": scans,
            "replicas": replicas,
        },
        "counted-data-reader, 4 x center-of-mass-partial, center-of-mass-reduce, image-display; each map is the frame"
        f" kernels'. The file is read once, and sent again from memory. {_STREAMING}",
    )


def _hops(folder: Path, scale: Scale) -> Iterator[Row]:
    count, pause_s, size = scale.pick(300, 5), 0.01, 64 * _KIB
    plan = _chain(folder / "chain", count, pause_s, size)
    done = run_watched(plan, folder, "source", "sink", count, operators=(folder / "chain",))
    (told,) = [one for one in done.published if one.operator == "sink"]
    hops = _hop_latencies_us(json.loads(told.data))
    theirs = stream([[bytes(8), b"{}", bytes(size)]], count, QUEUE, pause_s).latencies_us
    for hop, ours in hops.items():
        yield Row(
            name=f"operators.latency.{hop}",
            ours=statistics.median(ours),
            peer=statistics.median(theirs),
            peer_name=_PLAIN,
            unit="us",
            ratio=statistics.median(theirs) / statistics.median(ours),
            packages=_PACKAGES,
            parameters={
                "message_bytes": size,
                "messages": count,
                "messages_per_second_at_most": 1 / pause_s,
                "p95": round(_percentile95(ours), 1),
                "peer_p95": round(_percentile95(theirs), 1),
            },
            notes="Medians of one hop, by the times that the messages carry: from handing over to arrival.",
        )


def _interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Return the seconds that each says it took, in rounds whose order alternates."""
    seconds: dict[Callable[[], float], list[float]] = {ours: [], theirs: []}
    for turn in range(rounds):
        for contestant in list(seconds)[:: 1 if turn % 2 else -1]:
            seconds[contestant].append(contestant())
    return seconds[ours], seconds[theirs]


def _rate_row(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    amount: tuple[int, int],
    parameters: dict[str, Any],
    notes: str,
) -> Row:
    """Return the row of a stream of so many messages and bytes."""
    messages, size = amount
    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
    return Row(
        name=name,
        ours=size / statistics.median(ours) / 1e6,
        peer=size / statistics.median(theirs) / 1e6,
        peer_name=_PLAIN,
        unit="MB/s",
        ratio=ratio,
        packages=_PACKAGES,
        parameters={
            **parameters,
            "messages": messages,
            "messages_per_second": round(messages / statistics.median(ours), 1),
            "peer_messages_per_second": round(messages / statistics.median(theirs), 1),
            "queue": QUEUE,
            "goal": GOAL,
            "reaches_goal": ratio >= GOAL,
        },
        notes=notes,
    )


def _shipped(name: str, values: dict[str, dict[str, Any]]) -> Plan:
    pipeline = read_pipeline(OPERATORS / "pipelines" / f"{name}.json")
    return make_plan(pipeline, name, find_operators([OPERATORS]), values)


def _parts(message: BytesMessage) -> Parts:
    return [bytes(part) for part in encode(message)]


def _events(positions: int, frame_shape: tuple[int, int], hits: int) -> SparseFrames:
    """Return frames with so many electrons on average."""
    chance = np.random.default_rng(20260101)
    starts = np.concatenate([[0], np.cumsum(chance.poisson(hits, positions))]).astype(np.int64)
    events = chance.integers(0, frame_shape[0] * frame_shape[1], starts[-1]).astype(np.uint32)
    return SparseFrames(np.arange(positions), starts, events, frame_shape)


def _with_keeper(plan: Plan, folder: Path, replicas: int) -> Plan:
    """Return the plan with so many replicas of the partial sums, and one operator more, which keeps the maps."""
    keeper = _write_operator(folder, "keeper", _KEEPER, inputs=["map"])
    stages = [replace(one, parallelism=replicas) if one.name == "partial" else one for one in plan.stages]
    link = Link("reduce", "center_of_mass", "keeper", "map")
    return replace(plan, stages=(*stages, keeper), links=(*plan.links, link))


def _chain(folder: Path, count: int, pause_s: float, size: int) -> Plan:
    """Write three operators, and return their plan."""
    code = _SOURCE.format(count=count, pause_s=pause_s, size=size)
    stages = (
        _write_operator(folder, "source", code, outputs=["out"]),
        _write_operator(folder, "relay", _RELAY, inputs=["in"], outputs=["out"]),
        _write_operator(folder, "sink", _SINK, inputs=["in"]),
    )
    return Plan("chain", stages, (Link("source", "out", "relay", "in"), Link("relay", "out", "sink", "in")))


def _write_operator(
    folder: Path, name: str, code: str, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> Stage:
    """Write an operator, and return a stage of it."""
    spec = {
        "id": str(uuid4()),
        "label": name,
        "description": "Of a benchmark.",
        "image": f"bench/{name}",
        "inputs": [{"name": port, "type": "bytes", "label": "", "description": ""} for port in inputs],
        "outputs": [{"name": port, "type": "bytes", "label": "", "description": ""} for port in outputs],
    }
    (folder / name).mkdir(parents=True)
    (folder / name / "run.py").write_text(code)
    (folder / name / "operator.json").write_text(json.dumps(spec))
    return Stage(name, uuid4(), OperatorSpec.model_validate(spec), name)


def _hop_latencies_us(messages: Sequence[Sequence[dict[str, Any]]]) -> dict[str, list[float]]:
    """Return the latencies of each hop, by the names of its ends."""
    hops: dict[str, list[float]] = {}
    for entries in messages:
        for sent, arrived in pairwise(entries):
            left_at, came_at = (
                read_time(sent.get("time_before_send")),
                read_time(arrived.get("time_after_header_validate")),
            )
            if left_at is not None and came_at is not None:
                hops.setdefault(f"{sent['operator']}_to_{arrived['operator']}", []).append(
                    (came_at - left_at) * 1e6
                )
    return hops


def _percentile95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95))
