"""Values between steps: JSON in the object store, under keys that no other output has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources import ObjectStoreResource, StepValuesIOManager
from resources.step_values import run_id_of, value_key
from runstart.errors import Transient
from runstart.storage import FileStore, check_key

RUN = "3b9f6a52-7f2c-4d8e-9a8f-0c1d2e3f4a5b"
identifiers = st.lists(st.text(st.characters(codec="ascii"), min_size=1, max_size=12), min_size=3, max_size=4)


@pytest.fixture
def values(file_store: FileStore) -> StepValuesIOManager:
    return StepValuesIOManager(object_store=ObjectStoreResource(url=f"file:{file_store.root}"))


def output(step: str = "plan", mapping_key: str | None = None) -> dg.OutputContext:
    return dg.OutputContext(step_key=step, name="result", run_id=RUN, mapping_key=mapping_key)


def take(values: StepValuesIOManager, context: dg.OutputContext) -> Any:
    return values.load_input(dg.InputContext(name="batch", upstream_output=context))


@pytest.mark.parametrize("value", [{"plan": "abc", "batch": 3}, [1, 2.5, None], "text", True, 2**70], ids=repr)
def test_a_value_comes_back_as_it_is(values: StepValuesIOManager, value: object) -> None:
    values.handle_output(output(), value)
    assert take(values, output()) == value


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, object(), b"bytes", float("nan"), {1, 2}])
def test_what_json_does_not_give_back_is_refused(
    values: StepValuesIOManager, file_store: FileStore, value: object
) -> None:
    with pytest.raises(ValueError, match="JSON"):
        values.handle_output(output(), value)
    assert file_store.list() == []


def test_outputs_of_one_step_have_values_of_their_own(values: StepValuesIOManager, file_store: FileStore) -> None:
    for mapping_key in ("00000", "00001"):
        values.handle_output(output("graph.plan[3]", mapping_key), {"batch": mapping_key})
    assert take(values, output("graph.plan[3]", "00001")) == {"batch": "00001"}
    assert {run_id_of(key) for key in file_store.list("step_values/")} == {RUN}


@given(identifiers, identifiers)
def test_keys_are_keys_of_the_store_and_of_different_outputs_differ(one: list[str], other: list[str]) -> None:
    assert check_key(value_key(one))
    assert (value_key(one) == value_key(other)) is (one == other)


def test_a_value_that_is_gone_is_a_failure_with_a_remedy(values: StepValuesIOManager) -> None:
    with pytest.raises(dg.Failure, match=r"gone.*Launch the run again") as caught:
        take(values, output())
    assert not caught.value.allow_retries


def test_a_damaged_value_is_a_failure(values: StepValuesIOManager, file_store: FileStore) -> None:
    values.handle_output(output(), {"batch": 1})
    (key,) = file_store.list("step_values/")
    file_store.put(key, b'{"batch": ')
    with pytest.raises(dg.Failure, match="damaged"):
        take(values, output())


def test_a_store_that_is_away_costs_a_retry(
    values: StepValuesIOManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> object:
        raise Transient("The store is away.")

    monkeypatch.setattr(FileStore, "put", refuse)
    monkeypatch.setattr(FileStore, "get", refuse)
    with pytest.raises(dg.RetryRequested):
        values.handle_output(output(), 1)
    with pytest.raises(dg.RetryRequested):
        take(values, output())
