"""Payloads of what is sent beside events and run starts: logs, samples, alarms, status, arrays and histograms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from payload_building import HUGE, PULSE_TIME_NS, build_payload

from runstart.events import (
    AlarmMessage,
    DataArrayMessage,
    FastSamples,
    HistogramAxis,
    HistogramMessage,
    LogMessage,
    Message,
    SampleLocation,
    Severity,
    StatusMessage,
    Variable,
    encode,
)

__all__ = ["bombs", "malformed_log_payloads", "valid_log_payloads"]


def valid_log_payloads() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the payload of messages that `decode` accepts: each schema, full, sparse and empty."""
    for name, message in _log_messages():
        yield name, encode(message)
    for name, message in _array_messages():
        yield name, encode(message)
    yield "f142 with nothing but a value", build_payload(b"f142", 6, {1: ("B", 5), 2: {}})
    yield "f144 of an empty vector", build_payload(b"f144", 4, {2: ("B", 15), 3: {}})
    yield (
        "se00 with nothing but samples",
        build_payload(b"se00", 9, {5: ("B", 2), 6: {0: np.arange(3, dtype=np.uint8)}}),
    )
    yield "al00 with nothing", build_payload(b"al00", 4, {})
    yield "x5f2 with nothing", build_payload(b"x5f2", 7, {})
    nine = np.arange(9, dtype=np.float64)
    bare = {0: "signal", 4: ("b", 10), 7: nine.view(np.uint8)}
    yield (
        "da00 without axes and shape",
        build_payload(b"da00", 3, {2: [bare, {**bare, 7: nine[3:4].view(np.uint8)}]}),
    )
    bins = {0: ("I", 9)}
    fields = {2: [bins], 4: np.array([9], np.uint32), 6: ("B", 3), 7: {0: nine}}
    yield "hs00 without edges and errors", build_payload(b"hs00", 11, fields)


def malformed_log_payloads() -> Iterator[tuple[str, bytes]]:
    """Yield payloads that are certainly no valid message: each breaks one rule of its schema."""
    yield from _broken_log_rules()
    yield from _broken_array_rules()


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield payloads of less than 100 kB that lead to the same pieces so often that gigabytes would come of them."""
    text = "long " * 6_000
    yield "f142 of one text a thousand times", build_payload(b"f142", 6, {1: ("B", 22), 2: {0: [text] * 5_000}})
    shared = {0: text, 4: ("b", 1), 7: np.zeros(20_000, np.uint8)}
    yield "da00 of one array a thousand times", build_payload(b"da00", 3, {2: [shared] * 5_000})
    axes = {**shared, 0: "s", 5: ["x"] * 5_000}
    yield "da00 of one vector of axes a thousand times", build_payload(b"da00", 3, {2: [axes] * 5_000})
    doubles = {0: "s", 4: ("b", 10), 7: np.zeros(40_000, np.uint8)}
    for shift in range(8):  # one of them is misaligned, and would be copied each time
        name = f"da00 of one misaligned array a thousand times, {shift}"
        yield name, build_payload(b"da00", 3, {0: "n" * shift, 2: [doubles] * 5_000})
    axis = {0: ("I", 5_000), 1: text, 3: ("B", 3), 4: {0: np.zeros(5_001)}}
    yield "hs00 of one axis a thousand times", build_payload(b"hs00", 11, {2: [axis] * 5_000})


def _log_messages() -> Iterator[tuple[str, Message]]:
    for number, code in enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")):
        values = (np.arange(number + 1) * 3).astype(code)
        yield f"f144 of {code}", LogMessage("f144", "T:SAMPLE", values, PULSE_TIME_NS)
        yield f"se00 of {code}", FastSamples("adc", 3, PULSE_TIME_NS, values, 71.5)
    yield "f144 of a number", LogMessage("f144", "T:SAMPLE", 273.16, PULSE_TIME_NS)
    yield "f142 of a whole number", LogMessage("f142", "shutter", -7, PULSE_TIME_NS, Severity.OK, "NO_ALARM")
    yield "f142 of a huge number", LogMessage("f142", "counter", 2**64 - 1, PULSE_TIME_NS, None, None)
    yield "f142 of a text", LogMessage("f142", "mode", "µ → Å", PULSE_TIME_NS, Severity.INVALID, "UDF")
    yield "f142 of texts", LogMessage("f142", "modes", ("one", "", "three"), PULSE_TIME_NS, Severity.MINOR, "HIGH")
    yield "f142 of not a number", LogMessage("f142", "T", float("nan"), PULSE_TIME_NS, Severity.MAJOR, "HIHI")
    gaps = np.array([0.5, np.nan, np.inf], np.float32)
    yield "f142 of a vector", LogMessage("f142", "T", gaps, PULSE_TIME_NS)
    times = PULSE_TIME_NS + np.arange(3)
    samples = FastSamples("adc", -1, PULSE_TIME_NS, gaps, 0.0, times, SampleLocation.END, 17)
    yield "se00 with times", samples
    yield "al00", AlarmMessage("T:SAMPLE", PULSE_TIME_NS, Severity.MAJOR, "too warm: 310 K")
    yield "x5f2", StatusMessage("forwarder", "1.2", "f", "host", 4_000_000_000, 2000, '{"pvs": 3}')


def _array_messages() -> Iterator[tuple[str, Message]]:
    counts, edges = np.arange(6, dtype=np.uint32).reshape(2, 3), np.array([1.0, 2.0, 4.0, 8.0])
    signal = Variable("signal", counts, ("period", "tof"), "counts", "Counts", "run 1")
    variables = (
        signal,
        Variable("tof", edges, ("tof",), "us"),
        Variable("note", "µ → Å"),
        Variable("n", np.int8(3) + counts[:0]),
    )
    yield "da00", DataArrayMessage("SANS/tof", PULSE_TIME_NS, variables)
    yield "da00 of a single number", DataArrayMessage("s", -5, (Variable("", np.array(2.5)),))
    for schema, signed in (("hs00", "u"), ("hs01", "i")):
        axes = (HistogramAxis(2, None, "", "period"), HistogramAxis(3, edges, "us", "tof"))
        whole = counts.astype(f"{signed}8")
        errors = np.sqrt(counts)
        yield schema, HistogramMessage(schema, "monitor", 5, axes, whole, errors, (0, 0), 4, "info")  # type: ignore[arg-type]


def _broken_log_rules() -> Iterator[tuple[str, bytes]]:
    three = np.arange(3, dtype=np.int64)
    f142, se00 = {0: "s", 1: ("B", 5), 2: {0: ("i", 7)}}, {0: "s", 5: ("B", 7), 6: {0: three}}
    for name, identifier, fields in (
        ("f142 with nothing", b"f142", {}),
        ("f142 whose value was left out", b"f142", {1: ("B", 5)}),
        ("f142 of an unknown type", b"f142", {**f142, 1: ("B", 23)}),
        ("f142 with an unknown status", b"f142", {**f142, 4: ("H", 23)}),
        ("f142 with an unknown severity", b"f142", {**f142, 5: ("H", 5)}),
        ("f142 with a time of 2**63", b"f142", {**f142, 3: ("Q", 2**63)}),
        ("f142 of a text that is no UTF-8", b"f142", {1: ("B", 21), 2: {0: b"\xff"}}),
        ("f142 of texts that are no UTF-8", b"f142", {1: ("B", 22), 2: {0: ["one", b"\xff"]}}),
        ("f142 whose value leads to itself", b"f142", {1: ("B", 5), 2: ("I", 0)}),
        ("f142 whose value leads outside", b"f142", {1: ("B", 5), 2: ("I", HUGE)}),
        ("f144 without a value", b"f144", {0: "s"}),
        ("f144 of a text", b"f144", {0: "s", 2: ("B", 21), 3: {0: "text"}}),
        ("se00 with fewer times than samples", b"se00", {**se00, 7: three[:2]}),
        ("se00 with an unknown location", b"se00", {**se00, 4: ("b", 4)}),
        ("se00 with a negative location", b"se00", {**se00, 4: ("b", -1)}),
        ("se00 of an unknown type", b"se00", {**se00, 5: ("B", 11)}),
        ("se00 without samples", b"se00", {0: "s"}),
        ("al00 with an unknown severity", b"al00", {2: ("h", 4)}),
        ("al00 with a negative severity", b"al00", {2: ("h", -1)}),
        ("x5f2 with a name not UTF-8", b"x5f2", {0: b"\x80"}),
    ):
        yield name, build_payload(identifier, 9, fields)


def _broken_array_rules() -> Iterator[tuple[str, bytes]]:
    raw, two = np.zeros(24, np.uint8), np.array([3, 1], np.int64)
    good = {0: "s", 4: ("b", 10), 5: ["x"], 6: two[:1], 7: raw}
    for name, variable in {
        "without a name": {**good, 0: None},
        "without data": {**good, 7: None},
        "of no type": {**good, 4: ("b", 0)},
        "of an unknown type": {**good, 4: ("b", 12)},
        "of a negative type": {**good, 4: ("b", -1)},
        "of half a number": {**good, 7: raw[:20]},
        "of another shape": {**good, 6: two[:1] + 1},
        "of a negative shape": {**good, 5: ["x", "y"], 6: np.array([-3, -1])},
        "of a shape that overflows": {**good, 5: ["x", "y"], 6: np.array([2**32, 2**32])},
        "of nothing in a shape that overflows": {**good, 5: ["x"] * 3, 6: np.array([0, 2**62, 2**62]), 7: raw[:0]},
        "of 33 dimensions": {**good, 5: ["x"] * 33, 6: np.array([3] + [1] * 32)},
        "of more axes than dimensions": {**good, 5: ["x", "y"]},
        "of fewer axes than dimensions": {**good, 6: two},
        "of a text with axes": {**good, 4: ("b", 11)},
        "of a text that is no UTF-8": {**good, 4: ("b", 11), 5: None, 7: raw + 255},
    }.items():
        yield f"da00 with an array {name}", build_payload(b"da00", 3, {0: "s", 2: [good, variable]})
    yield "da00 without arrays", build_payload(b"da00", 3, {0: "s", 2: []})
    yield "da00 with nothing", build_payload(b"da00", 3, {})
    axis = {0: ("I", 3), 3: ("B", 3), 4: {0: np.arange(4.0)}}
    hs00 = {2: [axis], 4: np.array([3], np.uint32), 6: ("B", 3), 7: {0: np.arange(3.0)}}
    for name, fields in {
        "without axes": {**hs00, 2: None},
        "without a shape": {**hs00, 4: None},
        "with a shape of two axes": {**hs00, 4: np.array([3, 1], np.uint32)},
        "with an offset of two axes": {**hs00, 5: np.array([0, 0], np.uint32)},
        "of another shape": {**hs00, 4: np.array([4], np.uint32)},
        "without counts": {**hs00, 6: ("B", 0)},
        "of an unknown type": {**hs00, 6: ("B", 5)},
        "with fewer errors than counts": {**hs00, 8: ("B", 3), 9: {0: np.arange(2.0)}},
        "with as many edges as bins": {**hs00, 2: [{**axis, 0: ("I", 4)}]},
        "with a time of 2**63": {**hs00, 1: ("Q", 2**63)},
    }.items():
        yield f"hs00 {name}", build_payload(b"hs00", 11, fields)
    negative = {0: ("i", -1), 3: ("B", 3), 4: {0: np.arange(0.0)}}
    yield "hs01 of less than no bins", build_payload(b"hs01", 11, {**hs00, 2: [negative]})
