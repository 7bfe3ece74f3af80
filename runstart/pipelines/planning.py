"""Makes the plan of a pipeline that is right, with the values of its parameters, also of those that a run gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runstart.errors import Alert
from runstart.pipelines.canonical import Pipeline
from runstart.pipelines.checking import check_pipeline
from runstart.pipelines.matching import Matched, match_operators
from runstart.pipelines.plan import Link, Plan, Stage, order_stages
from runstart.specifications import FoundOperator, check_values


def make_plan(
    pipeline: Pipeline,
    name: str,
    operators: Mapping[str, FoundOperator] | None = None,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    may_be_empty: bool = False,
) -> Plan:
    """Return what a session runs of a pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        Checked here.
    name : str
        Names the plan.
    operators : mapping of str to FoundOperator, optional
        In whose folders the pipeline's operators are looked up.
    values : mapping of str to mapping of str to object, optional
        Of parameters, by stage and parameter; they go before the pipeline's.
    may_be_empty : bool, optional
        Whether required values may still be empty: a plan that is shown and asked about, before it is run.

    Raises
    ------
    Alert
        If something keeps the pipeline from running, a value is wrong, or a required one is empty.
    """
    check_pipeline(pipeline, operators)
    matched = {one.name: one for one in match_operators(pipeline, operators or {})}
    asked = values or {}
    for stage in asked:
        if stage not in matched:
            raise Alert(f"The pipeline {name} has no operator {stage!r}.", f"It has {', '.join(matched)}.")
    links = _links(pipeline, matched)
    ordered = order_stages(matched, [(link.source, link.target) for link in links])
    stages = [_stage(matched[stage], asked.get(stage, {}), may_be_empty=may_be_empty) for stage in ordered]
    return Plan(name, tuple(stages), links)


def _stage(one: Matched, values: Mapping[str, Any], *, may_be_empty: bool) -> Stage:
    return Stage(
        name=one.name,
        id=one.operator.id,
        spec=one.spec,
        folder_name=one.found.name if one.found else None,
        parallelism=one.operator.replicas,
        values=check_values(one.spec, one.operator.values | dict(values), one.name, may_be_empty=may_be_empty),
    )


def _links(pipeline: Pipeline, matched: Mapping[str, Matched]) -> tuple[Link, ...]:
    names = {one.operator.id: name for name, one in matched.items()}
    ports = {port.id: port for port in pipeline.ports}
    links = []
    for edge in pipeline.edges:
        source, target = ports[edge.input_id], ports[edge.output_id]
        ends = (names[source.canonical_operator_id], names[target.canonical_operator_id])
        links.append(Link(ends[0], source.portkey, ends[1], target.portkey))
    return tuple(links)
