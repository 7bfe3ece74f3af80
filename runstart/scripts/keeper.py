"""Keeps a script up to date beside a live run: looks at its source again and again, in a thread of its own.

While looking fails the last good text is kept, and `trouble` says what is wrong. A source that hangs is trouble
too: that look is left behind, and the next one goes on beside it. The texts of a refresh are whole: a script is
swapped between executions, never within one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient
from runstart.scripts.sources import FetchedScript, fetch

if TYPE_CHECKING:
    from runstart.instruments.script import Script

__all__ = ["ScriptKeeper"]

_HANGING_S = 60.0
_MOST_LEFT_BEHIND = 3
_JOIN_S = 1.0


class ScriptKeeper:
    """The newest text of a script.

    Parameters
    ----------
    script : Script
        Its declaration.
    environ : mapping of str to str
        Where its token is looked up, each time.
    """

    def __init__(self, script: Script, environ: Mapping[str, str]) -> None:
        self._script = script
        self._environ = environ
        self._ending = threading.Event()
        self._looked = threading.Event()
        self._thread: threading.Thread | None = None
        self._current: FetchedScript | None = None
        self._trouble: str | None = None
        self._changes = 0

    @property
    def current(self) -> FetchedScript | None:
        """The last text that was fetched; None if none was yet."""
        return self._current

    @property
    def trouble(self) -> str | None:
        """Why the newest look failed; None if it did not."""
        return self._trouble

    @property
    def changes(self) -> int:
        """How often another text was fetched than before, the first one included."""
        return self._changes

    def start(self) -> None:
        """Begin to look, now and every `refresh` seconds."""
        if self._thread is not None:
            raise RuntimeError("the keeper has been started already")
        # A daemon: a source that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._keep, name="script keeper", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the first look is over, or left behind, and return whether it is."""
        return self._looked.wait(timeout_s)

    def stop(self) -> None:
        """End looking; a look that hangs is left to itself."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def _keep(self) -> None:
        left_behind: list[threading.Thread] = []
        while not self._ending.is_set():
            began = time.monotonic()
            left_behind = [look for look in left_behind if look.is_alive()]
            if len(left_behind) < _MOST_LEFT_BEHIND:
                outcomes: list[FetchedScript | str] = []
                look = threading.Thread(target=self._look, args=(outcomes,), name="script look", daemon=True)
                look.start()
                look.join(_HANGING_S)
                if outcomes:
                    self._take(outcomes[0])
                else:
                    left_behind.append(look)
                    self._trouble = f"The script's source has not answered for more than {_HANGING_S:g} s."
            self._looked.set()
            self._ending.wait(max(0.0, self._script.refresh - (time.monotonic() - began)))

    def _look(self, outcomes: list[FetchedScript | str]) -> None:
        """Add what was fetched, or why nothing was; nobody takes what comes after the look was left behind."""
        try:
            outcomes.append(fetch(self._script, self._environ))
        except (Alert, Transient) as problem:
            outcomes.append(str(problem))
        except Exception as problem:  # noqa: BLE001 - a bug in fetching must not cost the run its script
            outcomes.append(f"Fetching the script failed: {type(problem).__name__}")

    def _take(self, outcome: FetchedScript | str) -> None:
        if isinstance(outcome, str):
            self._trouble = outcome
            return
        self._trouble = None
        if self._current is None or outcome.sha256 != self._current.sha256:
            self._current = outcome
            self._changes += 1
