"""Builds pipelines for tests: operators by name, wired by port, with ids that tell what they are of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from operator_specs import operator_data

from runstart.pipelines import Pipeline
from runstart.specifications import FoundOperator, parse_operator_spec

_SPACE = UUID(int=0)


def make_id(*parts: str) -> str:
    """Return an id that is the same each time for the same parts."""
    return str(uuid5(_SPACE, "/".join(parts)))


class Builder:
    """A pipeline's JSON in the making; what it holds may be changed at will.

    Parameters
    ----------
    operators : dict of str to (str, str)
        The types of each operator's input and output; empty for none.
    edges : list of (str, str)
        From an operator to another.
    """

    def __init__(self, operators: dict[str, tuple[str, str]], edges: list[tuple[str, str]]) -> None:
        self.types = operators
        self.operators = {name: self._operator(name) for name in operators}
        self.ports = {
            (name, direction): self._port(name, direction)
            for name, types in operators.items()
            for direction, kind in zip(("input", "output"), types, strict=True)
            if kind
        }
        self.edges = [self.edge(source, target) for source, target in edges]

    def edge(self, source: str, target: str) -> dict[str, Any]:
        """Return an edge between two operators."""
        return {"input_id": make_id(source, "output"), "output_id": make_id(target, "input")}

    def pipeline(self) -> Pipeline:
        """Return the pipeline as it is now."""
        return Pipeline.model_validate(self.data())

    def data(self) -> dict[str, Any]:
        """Return the pipeline's JSON as it is now."""
        ports, operators = list(self.ports.values()), list(self.operators.values())
        return json.loads(json.dumps({"operators": operators, "ports": ports, "edges": self.edges}))

    def found(self) -> dict[str, FoundOperator]:
        """Return the operators as they would be found in folders."""
        return {name: self._found(name) for name in self.types}

    def _found(self, name: str) -> FoundOperator:
        ports = {
            f"{direction}s": [self._spec_port(direction, kind)] if kind else []
            for direction, kind in zip(("input", "output"), self.types[name], strict=True)
        }
        data = operator_data(id=make_id("spec", name), label=name, image=f"team/{name}", **ports)
        return FoundOperator(name, Path("operators") / name, parse_operator_spec(json.dumps(data), name))

    def _spec_port(self, direction: str, kind: str) -> dict[str, str]:
        return {"name": f"the_{direction}", "label": direction, "description": "", "type": kind}

    def _operator(self, name: str) -> dict[str, Any]:
        takes, gives = self.types[name]
        spec = operator_data(id=make_id(name), spec_id=make_id("spec", name), label=name, image=f"team/{name}")
        ports = {
            "inputs": [make_id(name, "input")] if takes else [],
            "outputs": [make_id(name, "output")] if gives else [],
        }
        return spec | ports | {"node_type": "operator", "parallelism": None}

    def _port(self, name: str, direction: str) -> dict[str, Any]:
        return {
            "id": make_id(name, direction),
            "node_type": "port",
            "port_type": direction,
            "canonical_operator_id": make_id(name),
            "portkey": f"the_{direction}",
        }


def chain() -> Builder:
    """Return reader -> partial -> reduce -> display."""
    types = {
        "reader": ("", "BatchedFrames"),
        "partial": ("BatchedFrames", "com_partial"),
        "reduce": ("com_partial", "com"),
        "display": ("bytes", ""),
    }
    return Builder(types, [("reader", "partial"), ("partial", "reduce"), ("reduce", "display")])
