"""Texts of a new operator: its run.py works, passes messages on, and shows what there is to use.

A transform passes on what it gets, with its parameters in the message's meta; a source makes ten messages; a sink shows
the size of what it got; a trigger sends a message, or three where it is to be called until there are no more.
"""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from collections.abc import Iterable, Sequence

from runstart.specifications.operator_spec import OperatorSpec, TriggerSpec
from runstart.specifications.parameters import Parameter

_TYPES = {"int": "int", "float": "float", "bool": "bool"}
_TAKEN = {
    "cycle",
    "itertools",
    "inputs",
    "parameters",
    "trigger",
    "meta",
    "message",
    "number",
    "operator",
    "publish",
    "json",
    "Path",
}
_STEP = "    "
_WIDTH = 88  # characters of a line, by default of formatters
_PUBLISH = 'publish("application/json", json.dumps(meta).encode())'


def run_py(name: str, spec: OperatorSpec) -> str:
    """Return the text of a new operator's run.py."""
    body = [*_triggers(spec), *_kernel(spec)]
    state = _state(spec)
    code = "\n".join([*state, *body])
    lines = [
        *_docstring(spec.description or spec.label, ""),
        "",
        *_imports(code),
        "",
        *([*state, ""] if state else []),
        "",
        "@operator",
        f"def {identifier(name)}(",
        f"{_STEP}inputs: BytesMessage | None,",
        f"{_STEP}parameters: dict[str, Any],",
        *([f"{_STEP}trigger: str | None = None,"] if spec.triggers else []),
        f") -> {_returns(spec)}:",
        *_docstring(_role(spec), _STEP),
        *(f"{_STEP}{line}" for line in body),
    ]
    return "\n".join(lines) + "\n"


def identifier(name: str) -> str:
    """Return a name that Python takes and that hides nothing: `offsets.emd` gives `offsets_emd`."""
    word = re.sub(r"\W", "_", name).lower()
    return f"{word}_" if keyword.iskeyword(word) or word in _TAKEN or word in dir(builtins) or word == "l" else word


def _imports(code: str) -> list[str]:
    standard = ["from typing import Any"]
    standard += ["from itertools import cycle"] if "cycle(" in code else []
    standard += ["from pathlib import Path"] if "Path" in code else []
    plain = [f"import {name}" for name in ("itertools", "json") if f"{name}." in code]
    words = ["DATA_DIRECTORY", "BytesMessage", "EndOfStream", "MessageHeader", "operator", "publish"]
    always = {"BytesMessage", "operator"}
    used = [word for word in words if word in always or re.search(rf"\b{word}\b", code)]
    kit = [f"from runstart.operators import {', '.join(used)}"]
    if len(kit[0]) > _WIDTH:
        kit = ["from runstart.operators import (", *(f"{_STEP}{word}," for word in used), ")"]
    return ["from __future__ import annotations", "", *plain, *sorted(standard), "", *kit]


def _state(spec: OperatorSpec) -> list[str]:
    if _is_free_source(spec):
        return ["_numbers = itertools.count(1)"]
    drains = [one for one in spec.triggers if one.mode == "drain" and spec.outputs]
    lines = [f"_{identifier(one.name)} = cycle((1, 2, 3, None))" for one in drains]
    return ["# What a pull of the trigger sends; None is the end of it.", *lines] if lines else []


def _triggers(spec: OperatorSpec) -> list[str]:
    # An operator with inputs uses its parameters on them.
    reads, entries = ([], []) if spec.inputs or not spec.triggers else _parameters(spec.parameters)
    lines = list(reads)
    for one in spec.triggers:
        lines += [f'if trigger == "{one.name}":', *(f"{_STEP}{line}" for line in _pulled(one, spec, entries))]
    return lines


def _pulled(trigger: TriggerSpec, spec: OperatorSpec, entries: Sequence[str]) -> list[str]:
    meta = _dict("meta = ", ['"trigger": trigger', *entries])
    if not spec.outputs:
        return [*meta, _PUBLISH]
    if trigger.mode == "single":
        return [*meta, f'return BytesMessage(MessageHeader(meta=meta), b"{trigger.name}")']
    end = [f"number = next(_{identifier(trigger.name)})", "if number is None:", f"{_STEP}return None"]
    meta = _dict("meta = ", ['"trigger": trigger', '"number": number', *entries])
    return [*end, *meta, "return BytesMessage(MessageHeader(meta=meta), str(number).encode())"]


def _kernel(spec: OperatorSpec) -> list[str]:
    if not spec.inputs:
        return _made(spec) if _is_free_source(spec) else ["return None"] if spec.outputs else []
    nothing = ["if inputs is None:", f"{_STEP}return{' None' if spec.outputs else ''}"]
    return [*nothing, *(_passed(spec) if spec.outputs else _shown(spec))]


def _passed(spec: OperatorSpec) -> list[str]:
    reads, entries = _parameters(spec.parameters)
    ports = ["# inputs.port is the name of the input that it came by."] if len(spec.inputs) > 1 else []
    if not entries:
        return [*ports, *_sent("BytesMessage(inputs.header, inputs.data)", spec)]
    with_parameters = _dict("meta = ", ["**meta", *entries])
    meta = [
        "meta = inputs.header.meta",
        "if isinstance(meta, dict):",
        *(f"{_STEP}{line}" for line in with_parameters),
    ]
    return [*reads, *ports, *meta, *_sent("BytesMessage(MessageHeader(meta=meta), inputs.data)", spec)]


def _made(spec: OperatorSpec) -> list[str]:
    reads, entries = _parameters(spec.parameters)
    end = ["number = next(_numbers)", "if number > 10:", f"{_STEP}raise EndOfStream"]
    meta = _dict("meta = ", ['"number": number', *entries])
    return [*reads, *end, *meta, *_sent("BytesMessage(MessageHeader(meta=meta), str(number).encode())", spec)]


def _shown(spec: OperatorSpec) -> list[str]:
    reads, entries = _parameters(spec.parameters)
    meta = _dict("meta = ", ['"input": inputs.port', '"bytes": len(inputs.data)', *entries])
    return [*reads, *meta, _PUBLISH]


def _sent(message: str, spec: OperatorSpec) -> list[str]:
    if len(spec.outputs) == 1:
        return [f"return {message}"]
    return [f"message = {message}", *_dict("return ", [f'"{port.name}": message' for port in spec.outputs])]


def _parameters(parameters: Sequence[Parameter]) -> tuple[list[str], list[str]]:
    """Return the lines that read parameters, and entries of a dict with their values."""
    reads, entries = [], []
    taken: set[str] = set()
    for one in parameters:
        word = identifier(one.name)
        while word in taken:
            word += "_"
        taken.add(word)
        if one.type == "mount":
            reads.append(f'{word}: Path = DATA_DIRECTORY / "{one.name}"')
            entries.append(f'"{one.name}": {word}.name')
        else:
            reads.append(f'{word}: {_TYPES.get(one.type, "str")} = parameters["{one.name}"]')
            entries.append(f'"{one.name}": {word}')
    return reads, entries


def _dict(before: str, entries: Iterable[str]) -> list[str]:
    return [f"{before}{{", *(f"{_STEP}{entry}," for entry in entries), "}"]


def _is_free_source(spec: OperatorSpec) -> bool:
    return not spec.inputs and not spec.triggers


def _returns(spec: OperatorSpec) -> str:
    if not spec.outputs:
        return "None"
    kinds = [*(["dict[str, BytesMessage]"] if len(spec.outputs) > 1 else []), "None"]
    single = len(spec.outputs) == 1 or spec.triggers
    return " | ".join([*(["BytesMessage"] if single else []), *kinds])


def _role(spec: OperatorSpec) -> str:
    if _is_free_source(spec):
        return "Make ten messages; `inputs` is always None."
    if not spec.inputs:
        return "Answer a trigger; `inputs` is always None."
    return (
        "Pass each message on, with the parameters in its meta."
        if spec.outputs
        else "Show the size of each message."
    )


def _docstring(text: str, indent: str) -> list[str]:
    plain = re.sub(r'["\\]', "'", " ".join(text.split())).rstrip(".") or "An operator"
    return [f'{indent}"""{textwrap.shorten(plain, 80, placeholder=" ...")}."""']
