"""A declaration is checked when it is read, and its errors say what would be right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import third_party_collectors
from pydantic import ValidationError

from runstart.collectors import check_declaration, known_collectors, make_collector
from runstart.instruments import CollectorDeclaration

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("use", "options"),
    [
        ("epics", {"pvs": {"temperature": "SIM:T"}, "heartbeat": 1.0}),
        ("epics", {"pvs": ["SIM:T", "SIM:F"]}),
        ("kafka_logs", {}),
        ("kafka_logs", {"topic": "env", "sources": {"temp_*": "SE:TEMP:*", "field": "SE:FIELD"}}),
        ("third_party_collectors:Counting", {"log": "n", "every": 0.5}),
    ],
)
def test_a_right_declaration_makes_a_collector(use: str, options: dict[str, Any]) -> None:
    check_declaration(use, options)
    assert make_collector(use, options).options.model_dump(exclude_unset=True).keys() == options.keys()


@pytest.mark.parametrize(
    ("use", "options", "texts"),
    [
        ("epic", {}, ["'epic'", "did you mean 'epics'", "epics, kafka_logs", "package.module:Class"]),
        ("carrots", {}, ["'carrots'", "epics, kafka_logs"]),
        ("epics", {}, ["needs the option 'pvs'"]),
        ("epics", {"pvs": ["A"], "heartbeet": 1}, ["'heartbeet'", "did you mean 'heartbeat'", "pvs, silence"]),
        ("epics", {"pvs": {}}, ["'pvs'"]),
        ("epics", {"pvs": {"t": "SIM T"}}, ["'SIM T'", "'t'", "without spaces"]),
        ("epics", {"pvs": ["A"], "silence": -1}, ["'silence'", "greater than 0"]),
        ("kafka_logs", {"topic": "a b"}, ["'topic'"]),
        ("kafka_logs", {"sources": {"t": "SE:*"}}, ["'SE:*'", "'*' in the name"]),
        ("kafka_logs", {"sources": {"t*": "SE"}}, ["'*'"]),
        ("no_such_package.module:Class", {}, ["no_such_package", "install its package"]),
        ("third_party_collectors:Countin", {}, ["'Countin'", "did you mean 'Counting'"]),
        ("third_party_collectors:NOT_A_COLLECTOR", {}, ["no collector", "derive"]),
        ("third_party_collectors:AlsoNone", {}, ["no collector", "derive"]),
        ("third_party_collectors:Counting", {"speed": 1}, ["'speed'", "every, log"]),
        ("broken_collectors:Any", {}, ["RuntimeError: this module is broken"]),
        ("os; import sys:Any", {}, ["no import path"]),
        ("../evil:Any", {}, ["no import path"]),
        (":", {}, ["no import path"]),
    ],
)
def test_a_wrong_declaration_is_an_error_that_helps(use: str, options: dict[str, Any], texts: list[str]) -> None:
    with pytest.raises(ValueError, match=re.escape(texts[0])) as caught:
        check_declaration(use, options)
    for text in texts:
        assert text in str(caught.value)


def test_instruments_refuse_what_the_registry_refuses() -> None:
    with pytest.raises(ValidationError, match="the known ones are: epics, kafka_logs"):
        CollectorDeclaration(use="epix")


def test_a_collector_of_another_is_an_instance_of_its_class() -> None:
    assert isinstance(make_collector("third_party_collectors:Slow", {}), third_party_collectors.Slow)


def test_the_shipped_collectors_are_known() -> None:
    assert known_collectors() == ("epics", "kafka_logs")


def test_checking_shipped_collectors_loads_nothing_heavy() -> None:
    code = (
        "import sys; from runstart.collectors.registry import check_declaration;"
        "check_declaration('epics', {'pvs': ['A']}); check_declaration('kafka_logs', {});"
        "print(*({'numpy', 'epics', 'kafka', 'confluent_kafka', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
