"""Ports, parameters and triggers in one text each, as a command line takes them: `name:type`, `name:type=default`.

Nothing in them needs quotes in a shell. A number's default may be followed by its bounds, and a choice's by the other
options: `sigma:float=2.5,0,10`, `mode:str-enum=fast,exact`.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runstart.errors import Alert
from runstart.specifications.operator_spec import PortSpec, TriggerSpec
from runstart.specifications.parameters import KINDS, ParameterSpec
from runstart.specifications.telling import tell_errors

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_DEFAULTS = {"str": "", "int": "0", "float": "0", "bool": "false", "mount": ""}
_MODES = ("single", "drain")
_parameter: TypeAdapter[ParameterSpec] = TypeAdapter(ParameterSpec)


def read_port(text: str) -> PortSpec:
    """Return the port of `name:type`; the type may be left out: `bytes`.

    Raises
    ------
    Alert
        The text is no port.
    """
    name, _, kind = text.partition(":")
    _check_name(name, text, "NAME:TYPE, such as frames:frame")
    return PortSpec(name=name, label=to_label(name), description=f"{to_label(name)}.", type=kind.strip() or "bytes")


def read_trigger(text: str) -> TriggerSpec:
    """Return the trigger of `name:mode`; the mode may be left out: `single`.

    Raises
    ------
    Alert
        The text is no trigger.
    """
    name, _, mode = text.partition(":")
    _check_name(name, text, "NAME:MODE, such as read_now:drain")
    if mode not in {*_MODES, ""}:
        raise Alert(f"The trigger {text!r} has the mode {mode!r}.", f"Choose from: {', '.join(_MODES)}.")
    made = {"name": name, "label": to_label(name), "description": f"{to_label(name)}.", "mode": mode or "single"}
    return TriggerSpec.model_validate(made)


def read_parameter(text: str) -> ParameterSpec:
    """Return the parameter of `name:type=default`; see this module's text.

    Without a default a number is 0, a truth value false, and a text empty; a path without one must be given.

    Raises
    ------
    Alert
        The text is no parameter.
    """
    declared, _, rest = text.partition("=")
    name, _, kind = declared.partition(":")
    _check_name(name, text, "NAME:TYPE=DEFAULT, such as sigma:float=2.5")
    if kind not in KINDS:
        raise Alert(f"The parameter {text!r} is of the type {kind!r}.", f"Choose from: {', '.join(KINDS)}.")
    if kind == "str-enum" and not rest:
        raise Alert(
            f"The parameter {text!r} has no options.", f"Write them with the default first: {name}:{kind}=a,b,c."
        )
    label = to_label(name)
    made: dict[str, Any] = {"name": name, "label": label, "description": f"{label}.", "type": kind}
    made |= _limits(kind, rest or _DEFAULTS[kind], text)
    made["required"] = kind != "str" and (kind != "mount" or not rest)
    try:
        return _parameter.validate_python(made)
    except ValidationError as error:
        told = "; ".join(tell_errors(error, made))
        raise Alert(f"The parameter {text!r} is wrong: {told}.", "Correct it.") from error


def to_label(name: str) -> str:
    """Return a name as people read it: `sparse_frames` gives `Sparse frames`."""
    words = re.sub(r"[-_.]+", " ", name).strip()
    return words[:1].upper() + words[1:]


def _limits(kind: str, rest: str, text: str) -> dict[str, Any]:
    if kind == "str-enum":
        options = [option.strip() for option in rest.split(",")]
        return {"default": options[0], "options": list(dict.fromkeys(options))}
    if kind not in {"int", "float"}:
        return {"default": rest}
    default, *bounds = [part.strip() for part in rest.split(",")]
    if len(bounds) not in {0, 2}:
        raise Alert(
            f"The parameter {text!r} has {len(bounds)} bounds.", "Write DEFAULT,MINIMUM,MAXIMUM, or DEFAULT alone."
        )
    return {"default": default} | dict(zip(("minimum", "maximum"), bounds, strict=False))


def _check_name(name: str, text: str, form: str) -> None:
    if not _WORD.fullmatch(name):
        what = f"{text!r} does not begin with a name: letters, digits and _ . -, a letter first."
        raise Alert(what, f"Write it as {form}.")
