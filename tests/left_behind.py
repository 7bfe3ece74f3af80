"""Which processes a test has started and left: those of other tests, such as a broker's, do not count."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from runstart.launchers._tree import descendants

_others: list[set[int]] = []  # of the test that runs; none where nothing was noted


@pytest.fixture(autouse=True)
def other_processes() -> Iterator[None]:
    """Import it into a conftest: remembers what ran before each test."""
    _others.append(set(descendants()))
    yield
    _others.clear()


def left_behind() -> list[int]:
    """Return the processes that were started since the test began and still run, sorted."""
    return sorted(set(descendants()) - _before())


def pardon(process: int) -> None:
    """Count a process that a test has started, with its children, as one that ran before."""
    _before().update([process, *(child.pid for child in psutil.Process(process).children(recursive=True))])


def _before() -> set[int]:
    if not _others:
        message = "import the fixture other_processes into this folder's conftest"
        raise RuntimeError(message)
    return _others[-1]
