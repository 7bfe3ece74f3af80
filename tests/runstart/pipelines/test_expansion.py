from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_building import Builder, chain, make_id

from runstart.pipelines import RuntimePipeline, expand

SIZES = st.integers(1, 5)


def _name_of(expanded: RuntimePipeline) -> dict[UUID, str]:
    """Return the label of the operator that each port belongs to."""
    labels = {operator.id: operator.label for operator in expanded.operators}
    return {port.id: labels[port.operator_id] for port in expanded.ports}


def test_an_operator_is_there_once_for_each_replica() -> None:
    builder = chain()
    for name in ("reader", "reduce", "display"):
        builder.operators[name]["parallel_config"] = {"type": "none"}
    expanded = expand(builder.pipeline())
    counts = Counter(operator.label for operator in expanded.operators)
    assert counts == {"reader": 1, "partial": 4, "reduce": 1, "display": 1}
    replicas = [one for one in expanded.operators if one.label == "partial"]
    assert [one.parallel_index for one in replicas] == [0, 1, 2, 3]
    assert {one.canonical_id for one in replicas} == {UUID(make_id("partial"))}


def test_every_id_is_new_and_unique() -> None:
    pipeline = chain().pipeline()
    known = {one.id for one in (*pipeline.operators, *pipeline.ports)}
    ids = [
        one.id
        for expanded in (expand(pipeline), expand(pipeline))
        for one in (*expanded.operators, *expanded.ports)
    ]
    assert len(set(ids)) == len(ids)
    assert known.isdisjoint(ids)


def test_parameters_have_their_value_and_fields_of_the_pipeline_are_kept() -> None:
    builder = chain()
    builder.operators["partial"].update(color="red")
    expanded = expand(builder.pipeline())
    (one, *_) = (operator for operator in expanded.operators if operator.label == "partial")
    assert one.parameters[1].value == 255
    assert (one.model_extra or {})["color"] == "red"


@settings(max_examples=30)
@given(SIZES, SIZES, SIZES)
def test_an_output_is_there_for_each_replica_and_operator_behind_it(source: int, first: int, second: int) -> None:
    types = {"source": ("", "frame"), "first": ("frame", ""), "second": ("frame", "")}
    builder = Builder(types, [("source", "first"), ("source", "second")])
    for name, count in zip(types, (source, first, second), strict=True):
        builder.operators[name]["parallelism"] = count
    expanded = expand(builder.pipeline())
    outputs = [port for port in expanded.ports if port.port_type == "output"]
    targets = Counter(port.targets_canonical_operator_id for port in outputs)
    assert targets == {UUID(make_id("first")): source, UUID(make_id("second")): source}
    # Each of an operator's replicas is wired to each replica behind it, by the output that is for that operator.
    name_of = _name_of(expanded)
    wires = Counter((name_of[edge.input_id], name_of[edge.output_id]) for edge in expanded.edges)
    assert wires == {("source", "first"): source * first, ("source", "second"): source * second}
    fan_out = Counter(edge.input_id for edge in expanded.edges)
    target_of = {port.id: port.targets_canonical_operator_id for port in outputs}
    sizes = {UUID(make_id("first")): first, UUID(make_id("second")): second}
    assert all(count == sizes[target_of[port]] for port, count in fan_out.items())


def test_each_replica_lists_its_own_ports() -> None:
    expanded = expand(chain().pipeline())
    for operator in expanded.operators:
        mine = {port.id for port in expanded.ports if port.operator_id == operator.id}
        assert {*operator.inputs, *operator.outputs} == mine


def test_an_output_that_nothing_is_wired_to_is_kept() -> None:
    builder = Builder({"source": ("", "frame")}, [])
    expanded = expand(builder.pipeline())
    assert [port.targets_canonical_operator_id for port in expanded.ports] == [None] * 4
    assert expanded.edges == []
