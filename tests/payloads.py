"""Payloads that every test shares: valid messages of each schema, and all that a topic may hold instead.

Everything is deterministic: the same payloads in the same order in each run, whatever the order of the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from log_payloads import bombs, malformed_log_payloads, valid_log_payloads
from payload_building import HUGE, PULSE_TIME_NS, build_payload

from runstart.events import (
    DetectorSpectrumMap,
    IsisData,
    RunStart,
    RunState,
    RunStop,
    encode,
    encode_ev42,
    encode_ev44,
)

__all__ = ["foreign_payloads", "hostile_payloads", "malformed_payloads", "unread_event_payloads", "valid_payloads"]

SEED = 20240229
FLIPS_A_MESSAGE = 150
SMALL = 400


def valid_payloads() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the payload of messages that `decode` accepts: each schema, full, sparse and empty."""
    rng = np.random.default_rng(SEED)
    tof = rng.integers(0, 100_000_000, 12)
    pixel = rng.integers(0, 9_000, 12)
    spectra = DetectorSpectrumMap(np.arange(1, 4, dtype=np.int32), np.arange(11, 14, dtype=np.int32), 3)
    yield "pl72", encode(RunStart(1_700_000_000_000, run_name="1234", instrument_name="SANS2D", job_id="j"))
    yield "pl72 with everything", encode(_full_run_start(spectra))
    yield "pl72 with nothing", build_payload(b"pl72", 13, {})
    yield "6s4t", encode(RunStop(1_700_000_100_000, "1234", "j", "s", "c"))
    yield "6s4t with nothing", build_payload(b"6s4t", 5, {})
    yield "df12", encode(spectra)
    yield "df12 with nothing", build_payload(b"df12", 3, {})
    yield "ev42", encode_ev42("source", 7, PULSE_TIME_NS, tof, detector_id=pixel)
    isis = IsisData(2, RunState.RUNNING, 0.0125)
    yield "ev42 with is84", encode_ev42("source", 8, PULSE_TIME_NS, tof, detector_id=pixel, facility=isis)
    yield "ev42 with dtdb", build_payload(b"ev42", 7, {0: "source", 5: ("B", 2), 6: {}})
    yield "ev42 without pixels", encode_ev42("monitor", 9, PULSE_TIME_NS, tof)
    yield "ev42 without events", encode_ev42("source", 10, PULSE_TIME_NS, [], detector_id=[])
    yield "ev42 with nothing", build_payload(b"ev42", 7, {})
    yield "ev44", encode_ev44("source", 7, [PULSE_TIME_NS], [0], tof, detector_id=pixel)
    times = PULSE_TIME_NS + 71_428_571 * np.arange(4)
    yield "ev44 of four pulses", encode_ev44("source", 8, times, [0, 3, 3, 12], tof, detector_id=pixel)
    yield "ev44 without pixels", encode_ev44("monitor", 9, times, [0, 1, 2, 3], tof)
    yield "ev44 without events", encode_ev44("source", 10, [PULSE_TIME_NS], [0], [], detector_id=[])
    yield "ev44 without pulses", encode_ev44("source", 11, [], [], [], detector_id=[])
    many = np.zeros(100, np.int64)
    yield "ev44 of 100 pulses", encode_ev44("source", 12, PULSE_TIME_NS + many, many, tof, detector_id=pixel)
    yield from valid_log_payloads()


def malformed_payloads() -> Iterator[tuple[str, bytes]]:
    """Yield payloads that are certainly no valid message: each breaks one rule of the format or of a schema."""
    yield "empty", b""
    yield "too short", b"\x08\0\0\0ev4"
    yield "identifier alone", b"\x08\0\0\0ev44"
    yield "identifier not printable", b"\x10\0\0\0ev\x074" + bytes(24)
    yield "zeros", bytes(64)
    yield "ones", b"\xff" * 64
    for identifier in (b"pl72", b"6s4t", b"df12", b"ev42", b"ev44", b"f142", b"x5f2", b"da00", b"hs00"):
        for name, payload in _broken_tables(identifier):
            yield f"{identifier.decode()}: {name}", payload
    yield from _broken_rules()
    yield from malformed_log_payloads()
    yield from bombs()


def foreign_payloads() -> Iterator[tuple[str, bytes]]:
    """Yield well-formed payloads of schemas that are not read here, and hold no events."""
    for schema in ("senv", "is84", "ad00", "ep01"):
        yield f"foreign {schema}", _foreign(schema)


def unread_event_payloads() -> Iterator[tuple[str, bytes]]:
    """Yield payloads of schemas that hold events and are not read here."""
    yield "foreign ev43", _foreign("ev43")


def _foreign(schema: str) -> bytes:
    return build_payload(schema.encode(), 3, {0: "source", 1: ("q", 5), 2: ("q", 6)})


def hostile_payloads() -> Iterable[tuple[str, bytes]]:
    """Yield whatever a topic may hold: malformed, foreign, truncated, flipped, grown and random payloads.

    Some are valid by chance (a flipped bit in a time of flight): all that may be asked of `decode` is a message
    or `MalformedMessage`.
    """
    yield from malformed_payloads()
    yield from foreign_payloads()
    yield from unread_event_payloads()
    yield "text", b'{"pulse": 1}'
    rng = np.random.default_rng(SEED)
    for name, payload in valid_payloads():
        if len(payload) <= SMALL:
            for size in range(len(payload)):
                yield f"{name}, first {size} bytes", payload[:size]
        yield f"{name}, grown", payload + b"\0" * 5
        yield f"{name}, shifted", b"\0" + payload
        for flip in range(FLIPS_A_MESSAGE):
            yield f"{name}, flip {flip}", _flip(payload, rng)
        for position in range(0, min(len(payload) - 3, SMALL), 4):
            for value in (0, 1, 4, HUGE, 0x7FFF_FFFF, 0x8000_0000):
                broken = bytearray(payload)
                struct.pack_into("<I", broken, position, value)
                yield f"{name}, {value:#x} at {position}", bytes(broken)
    for number in range(200):
        random = rng.bytes(int(rng.integers(0, 200)))
        yield f"random {number}", random
        yield f"random {number} as ev44", random[:4].ljust(4, b"\0") + b"ev44" + random[8:]


def _full_run_start(spectra: DetectorSpectrumMap) -> RunStart:
    return RunStart(
        start_time_ms=1_700_000_000_000,
        stop_time_ms=1_700_000_100_000,
        run_name="1234",
        instrument_name="SANS2D",
        nexus_structure="{}",
        job_id="job",
        broker="localhost:9092",
        service_id="service",
        filename="f.nxs",
        n_periods=3,
        detector_spectrum_map=spectra,
        metadata='{"note": "µ → Å"}',
        control_topic="control",
    )


def _flip(payload: bytes, rng: np.random.Generator) -> bytes:
    broken = bytearray(payload)
    for _ in range(int(rng.integers(1, 4))):
        broken[int(rng.integers(0, min(len(payload), SMALL)))] ^= 1 << int(rng.integers(0, 8))
    return bytes(broken)


def _broken_tables(identifier: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield 64-byte payloads by hand: root distance, identifier, vtable at 8, table at 32."""

    def payload(root: int = 32, soffset: int = 24, vtable: tuple[int, ...] = (4, 4)) -> bytes:
        broken = bytearray(64)
        struct.pack_into("<I4s", broken, 0, root, identifier)
        struct.pack_into(f"<{len(vtable)}H", broken, 8, *vtable)
        if root <= 60:
            struct.pack_into("<i", broken, root, soffset)
        return bytes(broken)

    yield "root at the end", payload(root=64)
    yield "root far outside", payload(root=HUGE)
    yield "root in itself", payload(root=0, soffset=0)
    yield "negative soffset beyond the end", payload(soffset=-1000)
    yield "soffset before the start", payload(soffset=1000)
    yield "soffset of the largest size", payload(soffset=-(2**31))
    yield "vtable in the table itself", payload(soffset=0)
    yield "vtable of odd size", payload(vtable=(5, 4))
    yield "vtable of no size", payload(vtable=(0, 4))
    yield "vtable larger than the message", payload(vtable=(0xFFFE, 4))
    yield "table larger than the message", payload(vtable=(4, 0xFFFF))
    yield "table smaller than its header", payload(vtable=(6, 3, 4))
    yield "field outside its table", payload(vtable=(6, 8, 0x7FF0))
    yield "field in the table's header", payload(vtable=(6, 8, 2))
    yield "fields that overlap", payload(vtable=(8, 20, 4, 6))


def _broken_rules() -> Iterator[tuple[str, bytes]]:
    tof, times, two = np.array([1, 2, 3], np.int32), np.array([5, 6], np.int64), np.array([0, 1], np.int32)
    one, none32, none64 = two[:1], two[:0], times[:0]
    unsigned = tof.astype(np.uint32)
    ev44 = {0: "s", 2: times, 3: two, 4: tof, 5: tof}
    for name, fields in {
        "ev44 without source name": {**ev44, 0: None},
        "ev44 without pulse times": {**ev44, 2: None},
        "ev44 without indices": {**ev44, 3: None},
        "ev44 with fewer indices than pulses": {**ev44, 3: one},
        "ev44 with more indices than pulses": {**ev44, 2: times[:1]},
        "ev44 with falling indices": {**ev44, 2: np.repeat(times, 2)[:3], 3: np.array([0, 2, 1], np.int32)},
        "ev44 with a negative index": {**ev44, 3: np.array([0, -1], np.int32)},
        "ev44 with an index beyond the events": {**ev44, 3: np.array([0, 4], np.int32)},
        "ev44 with events before the first pulse": {**ev44, 3: np.array([1, 2], np.int32)},
        "ev44 of one pulse that begins late": {**ev44, 2: times[:1], 3: np.array([1], np.int32)},
        "ev44 with events and no pulse": {**ev44, 2: none64, 3: none32},
        "ev44 with fewer pixels than events": {**ev44, 5: two},
        "ev44 with pixels and no events": {**ev44, 3: np.zeros(2, np.int32), 4: none32},
        "ev44 with many falling indices": {**ev44, 2: np.ones(99, np.int64), 3: np.arange(99, dtype="i4") % 3},
        "ev44 with a source name not UTF-8": {**ev44, 0: b"\xff\xfe\x80"},
        "ev44 with an overlong encoding": {**ev44, 0: b"\xc0\xaf"},
    }.items():
        yield name, build_payload(b"ev44", 6, fields)
    ev42 = {0: "s", 2: ("Q", 5), 3: unsigned, 4: unsigned}
    for name, fields in {
        "ev42 with a pulse time of 2**63": {**ev42, 2: ("Q", 2**63)},
        "ev42 with fewer detectors than events": {**ev42, 4: unsigned[:2]},
        "ev42 with detectors and no events": {**ev42, 3: unsigned[:0]},
        "ev42 with detectors and times left out": {**ev42, 3: None},
        "ev42 with facility data of an unknown type": {**ev42, 5: ("B", 3), 6: {}},
        "ev42 with facility data without a type": {**ev42, 6: {}},
        "ev42 with is84 left out": {**ev42, 5: ("B", 1)},
        "ev42 with an unknown run state": {**ev42, 5: ("B", 1), 6: {1: ("b", 2)}},
        "ev42 with a negative run state": {**ev42, 5: ("B", 1), 6: {1: ("b", -1)}},
    }.items():
        yield name, build_payload(b"ev42", 7, fields)
    yield "df12 of unequal vectors", build_payload(b"df12", 3, {0: tof, 1: two})
    yield "pl72 with a map of unequal vectors", build_payload(b"pl72", 13, {10: {0: tof, 1: two}})
    yield "pl72 of 0 periods", build_payload(b"pl72", 13, {9: ("I", 0)})
    yield "pl72 with a name not UTF-8", build_payload(b"pl72", 13, {2: b"\x80"})
    yield "6s4t with a name not UTF-8", build_payload(b"6s4t", 5, {1: b"run \xed\xa0\x80"})
    for identifier, n_fields, field in ((b"ev42", 7, 3), (b"ev42", 7, 4), (b"df12", 3, 0), (b"pl72", 13, 10)):
        # A distance of 0 leads to itself, one of 4 GB outside.
        for distance in (0, HUGE):
            name = f"{identifier.decode()} whose field {field} leads {distance:#x} ahead"
            yield name, build_payload(identifier, n_fields, {field: ("I", distance)})
    for name, field in (
        ("source name", 0),
        ("pulse times", 2),
        ("indices", 3),
        ("times of flight", 4),
        ("pixels", 5),
    ):
        for distance in (0, HUGE):
            fields = {**ev44, field: ("I", distance)}
            yield f"ev44 whose {name} lead {distance:#x} ahead", build_payload(b"ev44", 6, fields)
    for identifier, n_fields, fields in ((b"ev44", 6, ev44), (b"ev42", 7, ev42)):
        for length in (4, 0x3FFF_FFFF, 0x4000_0000, 0x7FFF_FFFF, 0xFFFF_FFFF):
            yield f"{identifier.decode()} that claims {length:#x} items", _lie(identifier, n_fields, fields, length)


def _lie(identifier: bytes, n_fields: int, fields: dict[int, object], length: int) -> bytes:
    """Build a message with its last vector, then set that vector's length to a lie."""
    marker = np.array([0x1234_5678, 0x0BAD_CAFE, 0x0BAD_CAFE], fields[4].dtype)  # type: ignore[attr-defined]
    payload = bytearray(build_payload(identifier, n_fields, {**fields, 4: marker}))
    start = payload.index(marker.tobytes())
    struct.pack_into("<I", payload, start - 4, length)
    return bytes(payload)
