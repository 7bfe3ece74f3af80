"""Reads what stands below each field of a model: the text that the CRD, and so `kubectl explain`, shows of it.

The models keep these texts as strings below the fields, which Python drops. They are read from the source when the
CRD is made; doing so at import would cost the code location time at every load.
"""

from __future__ import annotations

import ast
import inspect
import textwrap

from pydantic import BaseModel


def describe_fields(model: type[BaseModel]) -> dict[str, str]:
    """Return the text of each field that has one, on one line.

    Parameters
    ----------
    model : type of BaseModel
        Its fields, and those that it inherits.

    Returns
    -------
    dict of str to str
    """
    texts: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner.__module__.startswith("runstart."):
            texts.update(_texts(owner))
    return texts


def _texts(owner: type[BaseModel]) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - it is the source of a class
    found: dict[str, str] = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if (
            isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[statement.target.id] = " ".join(below.value.value.split())
    return found
