"""Loads a run.py, and finds in it the operator and what belongs to it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.operators.declaring import Note, note_of

_numbers = count(1)


@dataclass(frozen=True)
class Program:
    """A loaded run.py.

    Attributes
    ----------
    kernel : callable
        The operator's function.
    note : Note
        What is known of it.
    dependencies : tuple of callable
        Generator functions, in the order in which they are set up.
    on_finish : callable or None
        Emits what is still held.
    """

    kernel: Callable[..., Any]
    note: Note
    dependencies: tuple[Callable[[], Iterator[Any]], ...]
    on_finish: Callable[[dict[str, Any]], Any] | None


def load_program(path: Path) -> Program:
    """Run a run.py, and return what it declares; modules beside it can be imported from then on.

    Raises
    ------
    Alert
        If there is no such file, or not exactly one operator in it.
    """
    if not path.is_file():
        raise Alert(f"There is no file {path}.", "Name the run.py of an operator.")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    return _find(path, _run(path))


@contextmanager
def loaded_program(path: Path) -> Iterator[Program]:
    """Load a run.py for a while: afterwards neither it nor the modules beside it are there any more."""
    before, search = set(sys.modules), list(sys.path)
    try:
        yield load_program(path)
    finally:
        sys.path[:] = search
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).parent == path.resolve().parent:
                del sys.modules[name]


def _run(path: Path) -> dict[str, Any]:
    name = f"_runstart_operator_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Alert(f"{path} is no Python file.", "Name the run.py of an operator.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return vars(module)


def _find(path: Path, names: dict[str, Any]) -> Program:
    # A function may have two names.
    functions = list({id(thing): thing for thing in names.values()}.values())
    noted = [(thing, note) for thing in functions if (note := note_of(thing)) is not None]
    kernels = [(thing, note) for thing, note in noted if note.role == "operator"]
    if len(kernels) != 1:
        found = ", ".join(thing.__name__ for thing, _ in kernels) or "none"
        raise Alert(f"{path} must have exactly one function under @operator; found: {found}.", "Correct it.")
    ends = [thing for thing, note in noted if note.role == "on_finish"]
    if len(ends) > 1:
        found = ", ".join(thing.__name__ for thing in ends)
        raise Alert(f"{path} has more than one function under @on_finish: {found}.", "Make them one.")
    needed = tuple(thing for thing, note in noted if note.role == "dependencies")
    return Program(*kernels[0], needed, ends[0] if ends else None)
