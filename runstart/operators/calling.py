"""Calls an operator's functions: everything that they need is set up before and torn down after, also when they fail."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from runstart.operators.loading import Program
    from runstart.operators.messages import BytesMessage


class Caller:
    """An operator that is set up; a context manager.

    Parameters
    ----------
    program : Program
        The operator.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._kernel, self._note = program.kernel, program.note
        self._needed = ExitStack()
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> Caller:
        """Set up its dependencies, in order; tear those down that are there if one fails."""
        try:
            for dependency in self._program.dependencies:
                self._needed.enter_context(contextmanager(dependency)())
        except BaseException:
            self._needed.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tear its dependencies down, in reverse order; an error of the operator is not theirs, and is not told to them."""
        self._needed.close()

    def call(self, message: BytesMessage | None, parameters: dict[str, Any], trigger: str | None = None) -> Any:
        """Return what the operator returns for a message, a trigger, or nothing."""
        if self._note.takes_trigger:
            result = self._kernel(message, parameters, trigger=trigger)
        else:
            result = self._kernel(message, parameters)
        return self._run(result) if self._note.is_async else result

    def finish(self, parameters: dict[str, Any]) -> Any:
        """Return what the operator still holds."""
        if self._program.on_finish is None:
            return None
        result = self._program.on_finish(parameters)
        return self._run(result) if inspect.iscoroutine(result) else result

    def _run(self, coroutine: Any) -> Any:
        # One event loop for all calls: what an operator opens in it can be used in the next.
        if self._runner is None:
            import asyncio

            self._runner = self._needed.enter_context(asyncio.Runner())
        return self._runner.run(coroutine)
