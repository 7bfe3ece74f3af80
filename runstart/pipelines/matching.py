"""Finds the specification of each operator of a pipeline: in its folder, or else in what the pipeline says itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runstart.pipelines.canonical import Pipeline, PipelineOperator, PipelinePort
from runstart.pipelines.plan import stage_names
from runstart.specifications import FoundOperator, OperatorSpec, PortSpec
from runstart.specifications.image_names import image_name

ANY_TYPE = "bytes"
"""An input of this type takes messages of every type."""


@dataclass(frozen=True)
class Matched:
    """An operator of a pipeline, and what is known of it.

    Attributes
    ----------
    name : str
        Of its stage; names it in errors.
    operator : PipelineOperator
        As the pipeline has it.
    found : FoundOperator or None
        Its folder.
    spec : OperatorSpec
        Its folder's, under the label and image of the pipeline; without a folder made of what the pipeline says, where a
        port's type may be empty: not known.
    """

    name: str
    operator: PipelineOperator
    found: FoundOperator | None
    spec: OperatorSpec

    def port(self, direction: str, name: str) -> PortSpec | None:
        """Return the specification of an `input` or `output`."""
        ports = self.spec.inputs if direction == "input" else self.spec.outputs
        return next((port for port in ports if port.name == name), None)


def match_operators(pipeline: Pipeline, operators: Mapping[str, FoundOperator]) -> list[Matched]:
    """Return what is known of each operator of a pipeline, in its order.

    An operator's folder is the one with its `spec_id`, or else the one with the name of its image.
    """
    by_id = {found.spec.id: found for found in operators.values()}
    names = stage_names(operator.label for operator in pipeline.operators)
    matched = []
    for name, operator in zip(names, pipeline.operators, strict=True):
        found = by_id.get(operator.spec_id) or operators.get(image_name(operator.image))
        spec = _told_spec(operator, pipeline.ports)
        if found is not None:
            spec = found.spec.model_copy(update={"label": operator.label, "image": operator.image})
        matched.append(Matched(name, operator, found, spec))
    return matched


def types_fit(output: str, takes: str) -> bool:
    """Return whether an input takes messages of an output's type; case, spaces, `_` and `-` do not matter."""
    given, taken = _plain(output), _plain(takes)
    return taken in {given, ANY_TYPE} or not given or not taken


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _told_spec(operator: PipelineOperator, ports: Sequence[PipelinePort]) -> OperatorSpec:
    def told(direction: str) -> list[PortSpec]:
        mine = [port for port in ports if port.canonical_operator_id == operator.id and port.port_type == direction]
        unique = {port.portkey: port for port in mine}
        return [PortSpec(name=key, label=key, description="", type=one.type or "") for key, one in unique.items()]

    return OperatorSpec(
        id=operator.spec_id,
        label=operator.label,
        description=operator.description,
        image=operator.image,
        inputs=told("input"),
        outputs=told("output"),
        parameters=operator.parameters,
        tags=operator.tags,
        parallel_config=operator.parallel_config,
        triggers=operator.triggers,
    )
