"""A data operation, declared once: a decorated function whose annotated parameters say what it takes.

    @operation(name="Normalization", version="1", description="Divides every image by its median.")
    def normalization(
        work: Work,
        input_files: Annotated[list[FitsFile], Fits("Input files", "The images.", minimum=1)],
    ) -> Iterator[OutputImage]:
        ...

Dagster config, JSON Schema, wizard description, op, job and documentation are made from this. A parameter without a
default must be given. The source of the function's file, and of the modules beside it whose names begin with `_`, is
part of the cache key, so that an edited function computes anew.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from runstart.errors import Alert
from runstart.operation_kit.checks import shown
from runstart.operation_kit.kinds import Float, Int, Kind

_REQUIRED: Any = inspect.Parameter.empty
_BY_NAME = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class Input:
    """One input of an operation.

    Attributes
    ----------
    kind : Kind
        What it accepts.
    default : object
        Its value if a request leaves it out; `REQUIRED` if it may not.
    """

    kind: Kind
    default: Any = _REQUIRED

    @property
    def required(self) -> bool:
        """Whether a request must give it."""
        return self.default is _REQUIRED

    def wizard(self) -> dict[str, Any]:
        """Return the input as the reference system's wizard describes it."""
        told: dict[str, Any] = {
            "name": self.kind.name,
            "description": self.kind.description,
            "type": self.kind.type,
            **self.kind.wizard(),
        }
        if not self.required:
            told["default"] = self.default
        elif "minimum" not in told or isinstance(self.kind, Float | Int):  # a list says it by its minimum
            told["required"] = True
        return told

    def schema(self) -> dict[str, Any]:
        """Return the input as JSON Schema."""
        return self.kind.describe() | ({} if self.required else {"default": self.default})


@dataclass(frozen=True)
class Operation:
    """A declared data operation.

    Attributes
    ----------
    name : str
        Its name for people, such as `Color Image`.
    version : str
        Raised by its author when its results change for another reason than an edit of its own file.
    description : str
        What it does, for people.
    category : str
        `image` for all that yield images.
    inputs : mapping of str to Input
        By parameter name, in the order of declaration.
    function : callable
        Takes a `Work` and the inputs by name; returns an output or yields several.
    source_sha256 : str
        SHA-256 of the file that declares it, and of the modules beside it whose names begin with `_`.
    """

    name: str
    version: str
    description: str
    category: str
    inputs: Mapping[str, Input]
    function: Callable[..., Any]
    source_sha256: str

    @property
    def slug(self) -> str:
        """Its name in Dagster and in files: that of its function."""
        return self.function.__name__

    def wizard(self) -> dict[str, Any]:
        """Return the wizard description, in the reference system's form."""
        inputs = {key: given.wizard() for key, given in self.inputs.items()}
        return {
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "inputs": copy.deepcopy(inputs),  # what callers change stays theirs
        }

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a request's inputs."""
        properties = {key: given.schema() for key, given in self.inputs.items()}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "description": self.description,
            "type": "object",
            "properties": copy.deepcopy(properties),
            "required": [key for key, given in self.inputs.items() if given.required],
            "additionalProperties": False,
        }

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all inputs in their normal form, defaults included.

        Parameters
        ----------
        given : mapping of str to object
            What a request says, by input.

        Raises
        ------
        Alert
            If an input is unknown, missing or not acceptable.
        """
        if not isinstance(given, Mapping):
            raise Alert(f"The inputs are {shown(given)}, which is no object.", "Give each input by its name.")
        for key in given:
            if key not in self.inputs:
                takes = f"It takes {', '.join(self.inputs)}." if self.inputs else "It takes none."
                raise Alert(f"{self.name} has no input {shown(key)}.", takes)
        checked = {}
        for key, declared in self.inputs.items():
            if key not in given and declared.required:
                raise Alert(f"{self.name} needs the input {key!r}.", declared.kind.description)
            checked[key] = declared.kind.check(key, given.get(key, declared.default))
        return checked


def operation(
    *, name: str, version: str, description: str, category: str = "image"
) -> Callable[[Callable[..., Any]], Operation]:
    """Declare the function below as a data operation.

    Parameters
    ----------
    name, version, description, category : str
        See `Operation`.

    Raises
    ------
    TypeError
        If a parameter has no kind, a kind that accepts nothing, or an unacceptable default, or the function is in no
        file: a mistake of the author.
    """

    def declare(function: Callable[..., Any]) -> Operation:
        if not _SLUG.fullmatch(function.__name__):
            raise TypeError(f"{function.__name__} must be of lower-case letters, digits and underscores.")
        return Operation(
            name=name,
            version=version,
            description=description,
            category=category,
            inputs=_read_inputs(function),
            function=function,
            source_sha256=_digest_source(function),
        )

    return declare


def _digest_source(function: Callable[..., Any]) -> str:
    file = Path(inspect.getsourcefile(function) or "")
    if not file.is_file():
        raise TypeError(f"{function.__name__} is in no file; its source is part of every key.")
    helpers = sorted({*file.parent.glob("_*.py")} - {file})
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in (file, *helpers)]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _read_inputs(function: Callable[..., Any]) -> dict[str, Input]:
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or any(isinstance(note, Kind) for note in get_args(hints.get(parameters[0].name))):
        raise TypeError(f"{function.__name__}: the first parameter must be the work, without a kind of input.")
    return {p.name: _read_input(function.__name__, p, hints.get(p.name)) for p in parameters[1:]}


def _read_input(function_name: str, parameter: inspect.Parameter, hint: Any) -> Input:
    where = f"{function_name}: {parameter.name}"
    if parameter.kind not in _BY_NAME:
        raise TypeError(f"{where} cannot be given by name.")
    kinds = [note for note in get_args(hint) if isinstance(note, Kind)]
    if len(kinds) != 1:
        raise TypeError(f"{where} must be annotated with one kind of input.")
    mistake = kinds[0].mistake()
    if mistake:
        raise TypeError(f"{where}: {mistake}.")
    if parameter.default is not _REQUIRED:
        try:
            kinds[0].check(parameter.name, parameter.default)
        except Alert as error:
            raise TypeError(f"{where} has an unacceptable default: {error}") from error
    # Plain JSON: a tuple, which cannot be changed, declares a list.
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    return Input(kinds[0], default)
