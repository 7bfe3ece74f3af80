"""Which processes a test has started and left: those of other tests, such as a broker's, do not count."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from runstart.launchers._tree import descendants

_others: set[int] | None = None


@pytest.fixture(autouse=True)
def other_processes() -> Iterator[None]:
    """Import it into a conftest: remembers what ran before each test."""
    global _others
    _others = set(descendants())
    yield
    _others = None


def left_behind() -> list[int]:
    """Return the processes that were started since the test began and still run, sorted."""
    return sorted(set(descendants()) - _before())


def pardon(process: int) -> None:
    """Count a process that a test has started, with its children, as one that ran before."""
    _before().update([process, *(child.pid for child in psutil.Process(process).children(recursive=True))])


def _before() -> set[int]:
    if _others is None:
        message = "import the fixture other_processes into this folder's conftest"
        raise RuntimeError(message)
    return _others
