"""The names of what can go wrong with a task, each with what helps and with the last lines that the task printed.

An `Alert` is for the user to mend: the image, the limits, the program. A `Transient` passes: a registry or an engine
that does not answer, somebody else who removed the task. `Launcher.start` raises those of the first half; what `failure_of`
returns are those of the second. No memory is suspected behind a SIGKILL: only a launcher that saw the limit says so.
"""

from __future__ import annotations

import re
import signal

from runstart.errors import Alert, Transient
from runstart.launchers.launcher import Ended, Task

LAST_LINES = 20
"""Lines of a task's output that an error shows."""

_LONGEST_LINE = 400
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_OVER = {"processes": "started more processes", "disk": "wrote more to its folders"}


class ImageNotFound(Alert):
    """There is no such image, neither here nor where images are pulled from."""

    def __init__(self, image: str, said: str = "") -> None:
        super().__init__(
            f"The image {_clean(image)} does not exist{_because(said)}.",
            "Build it (`runstart operator build`), or correct its name; a private one needs a log-in of the engine.",
        )


class ImageForbidden(Alert):
    """The image is not among those that may be run here."""

    def __init__(self, image: str, allowed: str) -> None:
        super().__init__(
            f"The image {_clean(image)} may not be run here: allowed is {_clean(allowed)}.",
            "Use an allowed image, or have whoever runs this installation allow it.",
        )


class PullFailed(Transient):
    """The image could not be pulled, though it may well exist."""

    def __init__(self, image: str, said: str) -> None:
        super().__init__(f"The image {_clean(image)} could not be pulled{_because(said)}. It is tried again.")


class EngineUnreachable(Transient):
    """The container engine does not answer."""

    def __init__(self, engine: str, said: str) -> None:
        super().__init__(
            f"The container engine at {_clean(engine)} does not answer{_because(said)}. Is it running, and may this user "
            "reach it?"
        )


class RightMissing(Alert):
    """The cluster does not let us do what a task needs.

    Parameters
    ----------
    account : str
        Who asked, as the cluster names it.
    verb, resource, namespace : str
        What for.
    """

    def __init__(self, account: str, verb: str, resource: str, namespace: str) -> None:
        super().__init__(
            f"The cluster does not let {_clean(account)} {verb} {resource} in the namespace {namespace}.",
            "Bind a role with that right to this account; the roles that Runstart needs are in k8s/base.",
        )


class Unschedulable(Transient):
    """No node has a place for the task; room comes when others end or a node is added, so it is tried again."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(
            f"{_clean(name)} has found no place in the cluster{_because(said)}. Give it less memory and fewer processors, "
            "or the cluster more room."
        )


class StartFailed(Alert):
    """The task never ran: its program is missing, or the system refuses what it asks for."""

    def __init__(self, name: str, trouble: str, logs: str = "") -> None:
        super().__init__(
            f"{name} could not be started{_because(trouble)}.",
            "Correct its program, its folder or its mounts.",
        )
        _append(self, shown_end(logs))


class OutOfMemory(Alert):
    """The task used more memory than its limit."""

    def __init__(self, name: str, logs: str = "") -> None:
        super().__init__(
            f"{name} used more memory than its limit.",
            "Raise its memory, or give it less data at a time.",
        )
        _append(self, shown_end(logs))


class OverLimit(Alert):
    """The task had more processes, or more in its folders, than its limit.

    Parameters
    ----------
    name : str
        The task's.
    limit : str
        `processes` or `disk`.
    logs : str, optional
        Its output.
    """

    def __init__(self, name: str, limit: str, logs: str = "") -> None:
        super().__init__(
            f"{name} {_OVER[limit]} than its limit.", f"Raise its limit of {limit}, or have it use less."
        )
        _append(self, shown_end(logs))
        self.limit = limit


class TimedOut(Alert):
    """The task took longer than its limit."""

    def __init__(self, name: str, seconds: float, logs: str = "") -> None:
        super().__init__(
            f"{name} was ended after {seconds:.1f} s, its time limit.",
            "Raise the limit, or see below what it was waiting for.",
        )
        _append(self, shown_end(logs))


class ExitFailed(Alert):
    """The task ended by itself with an exit code other than 0, or by a signal.

    Attributes
    ----------
    exit_code : int
        Of its first process; negative for a signal.
    """

    def __init__(self, name: str, exit_code: int, logs: str = "") -> None:
        super().__init__(f"{name} ended {_how(exit_code)}.", "What it printed says why.")
        _append(self, shown_end(logs) or "\nIt printed nothing.")
        self.exit_code = exit_code


class Stopped(Alert):
    """The task was stopped before it was done."""

    def __init__(self, name: str, logs: str = "") -> None:
        super().__init__(f"{name} was stopped before its end.", "Start it again if this was not meant.")
        _append(self, shown_end(logs))


class DeletedFromOutside(Transient):
    """Somebody else removed the task, or whatever watched it was killed."""

    def __init__(self, name: str, trouble: str = "", logs: str = "") -> None:
        super().__init__(f"{name} was lost{_because(trouble or 'it was deleted from outside')}.")
        _append(self, shown_end(logs))


def failure_of(task: Task, ended: Ended, logs: str) -> Alert | Transient | None:
    """Return the error that an end amounts to, or None if the task did what it should.

    Parameters
    ----------
    task : Task
        Which was started.
    ended : Ended
        How it ended.
    logs : str
        Its output; the error shows the last lines.
    """
    if ended.failure is not None:
        return ended.failure
    name = _clean(task.name)
    match ended.reason:
        case "memory":
            return OutOfMemory(name, logs)
        case "processes" | "disk":
            return OverLimit(name, ended.reason, logs)
        case "time":
            return TimedOut(name, ended.seconds, logs)
        case "stopped":
            return Stopped(name, logs)
        case "lost":
            return DeletedFromOutside(name, ended.trouble, logs)
        case "exit":
            if ended.exit_code is None:
                return StartFailed(name, ended.trouble, logs)
            return None if ended.exit_code == 0 else ExitFailed(name, ended.exit_code, logs)


def shown_end(logs: str) -> str:
    """Return the last lines of an output as the end of an error's text, or nothing if there are none.

    Control characters and colours are left out: the text is shown on terminals and pages.
    """
    lines = [line for line in map(_clean, logs.splitlines()) if line][-LAST_LINES:]
    if not lines:
        return ""
    return "\nIt printed last:\n" + "\n".join(f"  {line}" for line in lines)


def _append(error: Alert | Transient, text: str) -> None:
    """Add to an error's text what is no part of what was wrong, nor of what to do."""
    error.args = (f"{error}{text}",)


def _clean(text: str) -> str:
    without_colour = _ESCAPES.sub("", text[: 4 * _LONGEST_LINE])
    line = "".join(c if c.isprintable() else " " for c in without_colour).rstrip()
    return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "…"


def _because(said: str) -> str:
    reason = _clean(said).strip().rstrip(".")
    return f": {reason}" if reason else ""


def _how(exit_code: int) -> str:
    # A shell, and whatever runs a container, say a signal so.
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number in set(signal.Signals):
        return f"with exit code {exit_code}, by the signal {signal.Signals(number).name}"
    return f"with exit code {exit_code}"
