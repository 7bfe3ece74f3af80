from __future__ import annotations

from typing import Any

import pytest

from runstart.errors import Alert, Transient
from runstart.launchers import Ended, Task
from runstart.launchers.failures import (
    LAST_LINES,
    DeletedFromOutside,
    EngineUnreachable,
    ExitFailed,
    ImageForbidden,
    ImageNotFound,
    OutOfMemory,
    OverLimit,
    PullFailed,
    StartFailed,
    Stopped,
    TimedOut,
    failure_of,
)

TASK = Task("1", "center of mass")
OTHERS: tuple[Any, ...] = (
    ImageNotFound("probe:1", "manifest unknown"),
    ImageForbidden("probe:1", "ghcr.io/ours/"),
    PullFailed("probe:1", "connection reset"),
    EngineUnreachable("unix:///engine.sock", "no such file"),
)


@pytest.mark.parametrize(
    ("reason", "exit_code", "kind"),
    [
        ("exit", 3, ExitFailed),
        ("exit", -9, ExitFailed),
        ("exit", 137, ExitFailed),
        ("exit", None, StartFailed),
        ("time", -9, TimedOut),
        ("memory", -9, OutOfMemory),
        ("processes", -9, OverLimit),
        ("disk", -9, OverLimit),
        ("stopped", 0, Stopped),
        ("lost", None, DeletedFromOutside),
    ],
)
def test_each_end_has_its_name_and_shows_the_last_lines(reason: Any, exit_code: int | None, kind: type) -> None:
    logs = "\n".join(f"line {number}" for number in range(100))
    found = failure_of(TASK, Ended(reason, exit_code, 3.25, trouble="it is so"), logs)

    assert type(found) is kind
    text = str(found)
    assert "center of mass" in text
    assert text.endswith(f"  line {99}")
    assert f"line {100 - LAST_LINES}\n" in text
    assert f"line {99 - LAST_LINES}\n" not in text
    if kind in (StartFailed, DeletedFromOutside):
        assert "it is so" in text


def test_task_that_did_what_it_should_has_no_failure() -> None:
    assert failure_of(TASK, Ended("exit", 0, 1.0), "words") is None


def test_exit_failure_says_code_and_signal() -> None:
    for code, words in ((3, "code 3"), (-11, "SIGSEGV"), (139, "SIGSEGV")):
        found = failure_of(TASK, Ended("exit", code, 1.0), "")

        assert isinstance(found, ExitFailed)
        assert found.exit_code == code
        assert words in str(found)
        assert "printed nothing" in str(found)


def test_limits_are_told_apart() -> None:
    processes, disk = (str(failure_of(TASK, Ended(kind, -9, 1.0), "")) for kind in ("processes", "disk"))  # type: ignore[arg-type]

    assert "processes" in processes
    assert "folders" in disk


def test_colours_control_characters_and_long_lines_are_not_shown() -> None:
    logs = "\x1b[1;31mred\x1b[0m\x07\x00 \x1b]0;title\x07end\r\nback\x08\n\n" + "x" * 10_000
    text = str(failure_of(TASK, Ended("exit", 1, 1.0), logs))

    assert "red   end\n" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text) < 1000


@pytest.mark.parametrize("problem", [*OTHERS, *(StartFailed("a", "b"), TimedOut("a", 1.0), Stopped("a"))])
def test_what_the_user_can_mend_has_a_remedy_and_the_rest_passes(problem: Alert | Transient) -> None:
    if isinstance(problem, Alert):
        assert problem.remedy
        assert str(problem).startswith(f"{problem.what} {problem.remedy}")
        assert "printed last" not in problem.remedy
    else:
        assert isinstance(problem, Transient)


def test_image_and_what_the_engine_said_are_named() -> None:
    for problem in OTHERS:
        assert any(word in str(problem) for word in ("probe:1", "engine.sock"))
        assert any(w in str(problem) for w in ("manifest unknown", "ghcr.io/ours/", "reset", "no such file"))
