"""What a collector is: a small class with three methods, called in one thread of its own, that may raise.

A collector that raises is given up, reported, and made anew after a while: nothing that it does reaches the
run's counting. It learns nothing of Dagster and of the object store; all that it needs is its `RunContext`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from runstart.collectors.context import RunContext

__all__ = ["Collector", "NoOptions"]


class NoOptions(BaseModel):
    """The options of a collector that has none, and the base of all others: frozen, and with no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Collector:
    """Base class of collectors.

    Parameters
    ----------
    options : pydantic model
        An instance of `Options`: what the declaration in `instruments.toml` says besides `use`.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """The options that a declaration may have; derive it from `NoOptions`."""

    interval: float = 1.0
    """Seconds from the beginning of one `collect` to that of the next; 0 calls it again at once."""

    replayable: ClassVar[bool] = False
    """Whether its samples can be read again after the run; other collectors do not run when a run is replayed."""

    drain_seconds: ClassVar[float] = 0.0
    """How long `on_run_end` may still record once the run has ended, because its samples come late."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def on_run_start(self, run: RunContext) -> None:
        """Prepare; called once, before the first `collect`."""

    def collect(self, run: RunContext) -> None:
        """Read and record; called at each interval until the run ends.

        A collector that monitors subscribes in `on_run_start` and waits here for what comes, a second or so at a time.
        """

    def on_run_end(self, run: RunContext) -> None:
        """Let go of what was opened; called once, also after `collect` or `on_run_start` has raised."""
