"""Finds collectors by the name under which `instruments.toml` declares them.

Every declaration is checked when the instruments are read, so nothing heavy is imported for the collectors that ship.
Those of others are imported to learn their options, and only when a declaration names them.
"""

from __future__ import annotations

import difflib
import importlib
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from runstart.collectors.base import Collector
from runstart.collectors.options import EpicsOptions, KafkaLogsOptions

__all__ = ["check_declaration", "known_collectors", "make_collector"]

_SHIPPED: dict[str, tuple[str, type[BaseModel]]] = {
    "epics": ("runstart.collectors.epics:EpicsCollector", EpicsOptions),
    "kafka_logs": ("runstart.collectors.kafka_logs:KafkaLogsCollector", KafkaLogsOptions),
}
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def known_collectors() -> tuple[str, ...]:
    """Return the names of the collectors that ship, sorted."""
    return tuple(sorted(_SHIPPED))


def check_declaration(use: str, options: dict[str, Any]) -> None:
    """Check that there is a collector of that name, and that it takes these options.

    Parameters
    ----------
    use : str
        One of `known_collectors`, or `package.module:Class` of another.
    options : dict
        As declared.

    Raises
    ------
    ValueError
        With a text that names the offending value and what would be right.
    """
    _options(use, options)


def make_collector(use: str, options: dict[str, Any]) -> Collector:
    """Return a new collector.

    Parameters
    ----------
    use : str
        One of `known_collectors`, or `package.module:Class` of another.
    options : dict
        As declared.

    Raises
    ------
    ValueError
        As `check_declaration`.
    """
    checked = _options(use, options)
    return _load(_SHIPPED[use][0] if use in _SHIPPED else use)(checked)


def _options(use: str, options: dict[str, Any]) -> BaseModel:
    if use in _SHIPPED:
        model = _SHIPPED[use][1]
    elif ":" in use:
        model = _load(use).Options
    else:
        raise ValueError(f"no collector is named {use[:80]!r}{_nearest(use, _SHIPPED)}; {_remedy()}")
    for key in options:
        if key not in model.model_fields:
            known = ", ".join(sorted(model.model_fields)) or "none"
            nearest = _nearest(key, model.model_fields)
            raise ValueError(f"collector {use!r} has no option {key[:80]!r}{nearest}; its options are: {known}")
    try:
        return model.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "its options"
        if first["type"] == "missing":
            raise ValueError(f"collector {use!r} needs the option {place!r}") from error
        text = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"collector {use!r}, option {place!r}: {text}") from error


def _load(path: str) -> type[Collector]:
    """Return the class at an import path."""
    if not _IMPORT_PATH.fullmatch(path):
        raise ValueError(f"{path[:80]!r} is no import path of a class; write it as 'package.module:Class'")
    module_name, class_name = path.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        remedy = "install its package in the environment of the code location, or correct the name"
        raise ValueError(f"collector {path!r} cannot be imported: {error}; {remedy}") from error
    except Exception as error:  # a third party's module may raise anything
        raise ValueError(f"collector {path!r} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise ValueError(f"module {module_name!r} has no {class_name!r}{_nearest(class_name, vars(module))}")
    if not (isinstance(found, type) and issubclass(found, Collector)):
        raise ValueError(f"{path!r} is no collector; derive the class from runstart.collectors.Collector")
    return found


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _remedy() -> str:
    names = ", ".join(known_collectors())
    return f"the known ones are: {names}; name a class of your own as 'package.module:Class'"
