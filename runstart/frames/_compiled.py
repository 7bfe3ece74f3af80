"""The decorator of compiled functions: cached on disk, and free of the interpreter's lock while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_F = TypeVar("_F", bound=Callable[..., Any])
compiled: Callable[[_F], _F] = njit(nogil=True, cache=True)
