"""A pipeline's canonical JSON: operators, their ports, and the edges between ports, each known by its UUID.

As in interactEM, the `input_id` of an edge is the output port that it begins at (the edge's own input), and its
`output_id` the input port that it ends at. Fields that are not known are kept. Added to the format is the optional `type`
of a port, so that a pipeline can be checked without its operators' folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, ValidationError, field_validator

from runstart.errors import Alert
from runstart.specifications import ParallelConfig
from runstart.specifications.keeping import KeepingModel
from runstart.specifications.operator_spec import Parallel, Parameters, Tags, Triggers, check_names
from runstart.specifications.telling import tell_errors

MOST_REPLICAS = 128
DEFAULT_REPLICAS = 4
"""Of an operator that may have replicas, where the pipeline does not say how many."""


class PipelineOperator(KeepingModel):
    """An operator in a pipeline.

    Attributes
    ----------
    id, spec_id : UUID
        Its own, and that of its `OperatorSpec`.
    inputs, outputs : list of UUID
        Its ports.
    parallelism : int or None
        How many replicas there are, 1 to 128; None for the default.
    label, description, image, parameters, tags, parallel_config, triggers
        As in `OperatorSpec`; a parameter's `value` is what the pipeline sets.
    """

    id: UUID
    spec_id: UUID
    node_type: Literal["operator"] = "operator"
    label: str = Field(min_length=1)
    description: str = ""
    image: str = Field(min_length=1)
    inputs: list[UUID] = Field(default_factory=list)
    outputs: list[UUID] = Field(default_factory=list)
    parameters: Parameters = Field(default_factory=list)
    tags: Tags = Field(default_factory=list)
    parallel_config: Parallel = ParallelConfig()
    parallelism: int | None = None
    triggers: Triggers = Field(default_factory=list)

    _unique = field_validator("parameters", "triggers")(check_names)

    @property
    def is_parallel(self) -> bool:
        """Whether it may have replicas."""
        return self.parallel_config.type != "none"

    @property
    def replicas(self) -> int:
        """How many replicas it has."""
        return (self.parallelism or DEFAULT_REPLICAS) if self.is_parallel else 1

    @property
    def values(self) -> dict[str, Any]:
        """What the pipeline says of each parameter."""
        return {parameter.name: parameter.current for parameter in self.parameters}


class PipelinePort(KeepingModel):
    """A port of an operator in a pipeline.

    Attributes
    ----------
    id : UUID
        Its own.
    port_type : {"input", "output"}
        Its direction.
    canonical_operator_id : UUID
        The operator that it belongs to.
    portkey : str
        The name of the port in the operator's specification.
    type : str or None
        The type of its messages, where the pipeline says it.
    """

    id: UUID
    node_type: Literal["port"] = "port"
    port_type: Literal["input", "output"]
    canonical_operator_id: UUID
    portkey: str = Field(min_length=1)
    type: str | None = None


class PipelineEdge(KeepingModel):
    """A connection between two ports.

    Attributes
    ----------
    input_id : UUID
        The output port that messages come from.
    output_id : UUID
        The input port that they go to.
    """

    input_id: UUID
    output_id: UUID


class Pipeline(KeepingModel):
    """Operators that are wired to each other."""

    operators: list[PipelineOperator] = Field(default_factory=list)
    ports: list[PipelinePort] = Field(default_factory=list)
    edges: list[PipelineEdge] = Field(default_factory=list)


def read_pipeline(path: Path) -> Pipeline:
    """Return the pipeline in a file; whether it can run is for `check_pipeline` to say.

    Raises
    ------
    Alert
        The file cannot be read, or holds no pipeline.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Alert(f"{path} cannot be read: {error.strerror}.", "Name a file with a pipeline's JSON.") from error
    return parse_pipeline(text, str(path))


def parse_pipeline(text: str | bytes, name: str) -> Pipeline:
    """Return the pipeline that a text holds, as it is or in an object's `data`.

    Parameters
    ----------
    text : str or bytes
        JSON.
    name : str
        Names the pipeline, or its file, in errors.

    Raises
    ------
    Alert
        With everything that has a wrong form, by operator and port.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Alert(f"{name} is no JSON: {error}.", "Mend the file, or export the pipeline anew.") from error
    if isinstance(data, Mapping) and isinstance(data.get("data"), Mapping):
        data = data["data"]
    if not isinstance(data, Mapping) or "operators" not in data:
        raise Alert(f"{name} is no pipeline.", "A pipeline is an object with operators, ports and edges.")
    try:
        return Pipeline.model_validate(data)
    except ValidationError as error:
        told = "; ".join(tell_errors(error, data))
        raise Alert(f"{name}: {told}.", "Mend these fields, or export the pipeline anew.") from error


def pipeline_to_json(pipeline: Pipeline, *, wrapped: bool = False) -> str:
    """Return a pipeline's JSON, without what is null.

    Parameters
    ----------
    pipeline : Pipeline
        Read again, it is the same.
    wrapped : bool
        Whether it stands in an object's `data`, as interactEM's API takes it.
    """
    plain = pipeline.model_dump(mode="json")
    return json.dumps({"data": plain} if wrapped else plain, indent=2, ensure_ascii=False) + "\n"
