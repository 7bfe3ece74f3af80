"""Reads what an operator's run.py uses off its syntax tree; the code is not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runstart.errors import Alert

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Kernel:
    """A function under `@operator`.

    Attributes
    ----------
    name : str
        The function's.
    positional : int
        How many arguments it takes by position.
    takes_trigger : bool
        Whether it takes `trigger`.
    """

    name: str
    positional: int
    takes_trigger: bool


@dataclass(frozen=True)
class Source:
    """What a run.py uses.

    Attributes
    ----------
    kernels : list of Kernel
        All its operators.
    parameters, triggers : dict of str to int
        The names that it reads from `parameters`, and compares `trigger` with, each with its first line.
    takes_all_parameters : bool
        Whether `parameters` is used as a whole, so that any of them may be read.
    texts : set of str
        All texts in it.
    """

    kernels: list[Kernel]
    parameters: dict[str, int]
    triggers: dict[str, int]
    takes_all_parameters: bool
    texts: set[str]


def read_source(file: Path) -> Source:
    """Return what a run.py uses.

    Raises
    ------
    Alert
        If there is none, or it is no Python.
    """
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        raise Alert(f"{file.name} cannot be read: {error.strerror}.", "It holds the operator's code.") from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise Alert(f"{file.name}{line} is no Python: {getattr(error, 'msg', error)}.", "Correct it.") from error
    nodes = list(ast.walk(tree))
    read = dict(_reads(nodes))
    whole = sum(isinstance(node, ast.Name) and node.id == "parameters" for node in nodes) > len(read)
    parameters: dict[str, int] = {}
    for node, name in sorted(read.items(), key=lambda one: one[0].lineno):
        parameters.setdefault(name, node.lineno)
    return Source(
        kernels=[_kernel(node) for node in nodes if isinstance(node, _Function) and _is_operator(node)],
        parameters=parameters,
        triggers=dict(_compared(nodes)),
        takes_all_parameters=whole,
        texts={node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)},
    )


def _reads(nodes: list[ast.AST]) -> Iterator[tuple[ast.expr, str]]:
    """Yield each `parameters["name"]` and `parameters.get("name")` with the name."""
    for node in nodes:
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is_parameters(node.value):
            key = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            key = node.args[0] if _is_parameters(node.func.value) and node.args else None
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(node, ast.expr):
            yield node, key.value


def _compared(nodes: list[ast.AST]) -> Iterator[tuple[str, int]]:
    """Yield each text that `trigger` is compared with, and its line."""
    for node in nodes:
        if isinstance(node, ast.Compare) and any(
            _is_name(side, "trigger") for side in (node.left, *node.comparators)
        ):
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Constant) and isinstance(side.value, str):
                    yield side.value, side.lineno


def _is_parameters(node: ast.expr) -> bool:
    return _is_name(node, "parameters")


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_operator(function: _Function) -> bool:
    plain = (one.func if isinstance(one, ast.Call) else one for one in function.decorator_list)
    return any(
        _is_name(one, "operator") or (isinstance(one, ast.Attribute) and one.attr == "operator") for one in plain
    )


def _kernel(function: _Function) -> Kernel:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    named = {one.arg for one in (*positional, *arguments.kwonlyargs)}
    count = 2 if arguments.vararg else len(positional)
    return Kernel(function.name, count, "trigger" in named or arguments.kwarg is not None)
