"""operator.json: what an operator is, takes and gives (schema 1.1 of interactEM, with bounds of numbers added).

A list that is null is empty. Fields that are not known are kept, so that a file of a later version of the schema is
read and written without loss; `validate` tells those that look misspelled.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from runstart.errors import Alert
from runstart.specifications.keeping import KeepingModel
from runstart.specifications.parameters import ParameterSpec
from runstart.specifications.telling import tell_errors

OPERATOR_FILE = "operator.json"


def _empty_if_null(value: Any) -> Any:
    return [] if value is None else value


def check_names(items: list[Any]) -> list[Any]:
    """Return items with names as they are, or raise ValueError with the names that come more than once."""
    twice = [repr(name) for name, count in Counter(item.name for item in items).items() if count > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)} is there more than once; each name must be unique")
    return items


class PortSpec(KeepingModel):
    """An input or output of an operator.

    Attributes
    ----------
    name, label, description : str
        Its key, and texts for people.
    type : str
        What its messages are, such as `frame`; ports of the same type fit, and an input of type `bytes` takes any.
    """

    name: str = Field(min_length=1)
    label: str
    description: str
    type: str


class TriggerSpec(KeepingModel):
    """Something that a running operator can be asked to do.

    Attributes
    ----------
    mode : {"single", "drain"}
        Whether the kernel is called once, or until it returns None.
    """

    name: str = Field(min_length=1)
    label: str
    description: str | None = None
    mode: Literal["single", "drain"] = "single"


class TagSpec(KeepingModel):
    """What a machine must have to run an operator, such as `gpu`."""

    value: str = Field(min_length=1)
    description: str | None = None


class ParallelConfig(KeepingModel):
    """Whether several replicas of an operator may share its messages."""

    type: Literal["none", "embarrassing"] = "none"


Parameters = Annotated[list[ParameterSpec], BeforeValidator(_empty_if_null)]
Tags = Annotated[list[TagSpec], BeforeValidator(_empty_if_null)]
Triggers = Annotated[list[TriggerSpec], BeforeValidator(_empty_if_null)]
Parallel = Annotated[ParallelConfig, BeforeValidator(lambda value: {} if value is None else value)]
_Ports = Annotated[list[PortSpec], BeforeValidator(_empty_if_null)]


class OperatorSpec(KeepingModel):
    """An operator's specification.

    Attributes
    ----------
    id : UUID
        By which pipelines know it.
    label, description : str
        For people.
    image : str
        Its container image.
    inputs, outputs : list of PortSpec
        An operator without inputs is a source.
    parameters : list of parameter
        See `runstart.specifications.parameters`.
    tags : list of TagSpec
        What a machine must have to run it.
    parallel_config : ParallelConfig
        Whether it may have replicas.
    triggers : list of TriggerSpec
        What it can be asked to do while it runs.
    """

    model_config = ConfigDict(title="Operator")

    id: UUID
    label: str = Field(min_length=1)
    description: str
    image: str = Field(min_length=1)
    inputs: _Ports = Field(default_factory=list)
    outputs: _Ports = Field(default_factory=list)
    parameters: Parameters = Field(default_factory=list)
    tags: Tags = Field(default_factory=list)
    parallel_config: Parallel = ParallelConfig()
    triggers: Triggers = Field(default_factory=list)

    _unique = field_validator("inputs", "outputs", "parameters", "triggers")(check_names)

    @property
    def is_parallel(self) -> bool:
        """Whether it may have replicas."""
        return self.parallel_config.type != "none"

    @property
    def is_source(self) -> bool:
        """Whether its messages come from itself."""
        return not self.inputs

    def to_json(self) -> str:
        """Return the text of its operator.json: indented, without what is null or empty."""
        return json.dumps(dump_spec(self), indent=2, ensure_ascii=False) + "\n"


def dump_spec(spec: OperatorSpec) -> dict[str, Any]:
    """Return a specification as plain JSON, without what is null or empty."""
    plain = spec.model_dump(mode="json")
    return {key: value for key, value in plain.items() if value not in ([], {"type": "none"})}


def parse_operator_spec(text: str | bytes, name: str) -> OperatorSpec:
    """Return the specification that a text holds.

    Parameters
    ----------
    text : str or bytes
        JSON.
    name : str
        Names the operator, or its file, in errors.

    Raises
    ------
    Alert
        With everything that is wrong, by parameter, value and what is allowed.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Alert(
            f"{name} is no JSON: {error}.", "Mend the file, or make one anew: runstart operator new."
        ) from error
    try:
        return OperatorSpec.model_validate(data)
    except ValidationError as error:
        told = tell_errors(error, data)
        raise Alert(f"{name}: {'; '.join(told)}.", "What it may hold: runstart operator schema.") from error


def read_operator_spec(path: Path) -> OperatorSpec:
    """Return the specification in an operator.json, or in that of a folder.

    Raises
    ------
    Alert
        The file cannot be read, or something in it is wrong.
    """
    file = path / OPERATOR_FILE if path.is_dir() else path
    try:
        text = file.read_bytes()
    except OSError as error:
        raise Alert(f"{file} cannot be read: {error.strerror}.", "Name an operator.json, or its folder.") from error
    return parse_operator_spec(text, str(file))
