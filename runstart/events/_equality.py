"""When two messages are equal: fields by fields, arrays by type and content, NaN like any other number."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np

__all__ = ["same_fields"]


def same_fields(left: object, right: object) -> bool:
    """Return whether two dataclass instances of one type are equal in all fields.

    Parameters
    ----------
    left, right : dataclass instances
        Of the same type. Where both have NaN they are equal, so that a message equals its copy.
    """
    return all(
        _same(getattr(left, field.name), getattr(right, field.name))
        for field in fields(left)  # type: ignore[arg-type]
    )


def _same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return False
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    if is_dataclass(left) and type(left) is type(right):
        return same_fields(left, right)
    both_nan = left != left and right != right  # noqa: PLR0124
    return both_nan or bool(left == right)
