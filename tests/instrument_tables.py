"""Tables of instruments for tests: a plain one, and any that there can be."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from runstart.instrument_resources import Resource, make_object
from runstart.instruments import Instrument

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
TOPICS = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", fullmatch=True)
INTERVALS = st.floats(0.001, 86_400) | st.integers(1, 86_400)


def make_table(**changes: Any) -> dict[str, Any]:
    """A valid table; `changes` replace its fields, and None removes one."""
    table: dict[str, Any] = {
        "tof": {"start_us": 0, "stop_us": 100, "bins": 10},
        "banks": [{"name": "rear", "shape": [2, 3], "first_detector_id": 1}],
    }
    return {name: value for name, value in (table | changes).items() if value is not None}


def make_resource(
    instrument: str = "SANS", *, uid: str = "", created: int = 0, generation: int = 1, **changes: Any
) -> Resource:
    """The resource of `make_table`."""
    made = make_object(instrument, make_table(**changes))
    made["metadata"] |= {
        "uid": uid or f"uid-of-{instrument}",
        "creationTimestamp": f"2026-01-01T00:00:{created:02d}Z",
        "generation": generation,
    }
    return Resource.from_object(json.loads(json.dumps(made)))


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """Any instrument that a resource can stand for."""
    given = draw(
        st.fixed_dictionaries(
            {"name": NAMES, "banks": _banks(), "tof": _tof_axes()},
            optional={
                "title": TEXTS,
                "live_reduction": st.booleans(),
                "kafka": st.sampled_from(["default", "other"]),
                "topics": st.lists(TOPICS, min_size=4, max_size=4, unique=True).map(_topics),
                "views": st.lists(st.sampled_from(["tof", "pixel", "image"]), unique=True),
                "snapshot_interval": INTERVALS,
                "grace": st.floats(0, 86_400),
                "max_memory_mb": st.integers(2000, 10**6),
                "script": _scripts(),
                "collectors": st.dictionaries(NAMES, _collectors(), max_size=3),
            },
        )
    )
    return Instrument.model_validate(given)


def as_table(instrument: Instrument) -> dict[str, Any]:
    """The table that declares all of an instrument."""
    table: dict[str, Any] = json.loads(instrument.model_dump_json(exclude={"name"}, exclude_none=True))
    return table


def _topics(names: list[str]) -> dict[str, str]:
    return dict(zip(("events", "run_info", "sample_env", "results"), names, strict=True))


@st.composite
def _banks(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    first, banks = draw(st.integers(0, 1000)), []
    for name in names:
        shape = draw(st.lists(st.integers(1, 50), min_size=1, max_size=2))
        banks.append({"name": name, "shape": shape, "first_detector_id": first})
        first += shape[0] * shape[-1] + draw(st.integers(0, 9))
    return banks


@st.composite
def _tof_axes(draw: st.DrawFn) -> dict[str, Any]:
    bins, width_ns, start_ns = draw(st.integers(1, 5000)), draw(st.integers(1, 10_000)), draw(st.integers(0, 10**6))
    return {"start_us": start_ns / 1000, "stop_us": (start_ns + bins * width_ns) / 1000, "bins": bins}


def _scripts() -> st.SearchStrategy[dict[str, Any]]:
    sources = st.sampled_from(
        [
            {"folder": "/scripts"},
            {"git": "https://host/scripts.git", "ref": "v1"},
            {"url": "https://host/reduce.py"},
        ]
    )
    more = st.fixed_dictionaries(
        {},
        optional={
            "interval": INTERVALS,
            "memory_mb": st.integers(64, 10**6),
            "keep_events": st.integers(0, 10**9),
            "container": TEXTS,
            "token_variable": st.just("TOKEN"),
        },
    )
    return st.tuples(sources, more).map(lambda parts: parts[0] | parts[1])


def _collectors() -> st.SearchStrategy[dict[str, Any]]:
    pvs = st.dictionaries(TEXTS, st.from_regex(r"[!-~]{1,20}", fullmatch=True), min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"use": st.just("epics"), "pvs": pvs}, optional={"heartbeat": st.floats(0.1, 3600)}),
        st.fixed_dictionaries({"use": st.just("kafka_logs")}, optional={"topic": TOPICS}),
        st.fixed_dictionaries(
            {"use": st.just("third_party_collectors:Counting")},
            optional={"log": TEXTS, "every": st.floats(0.001, 10)},
        ),
    )
