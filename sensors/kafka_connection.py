"""The consumer that the ticks of a sensor share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstart.kafka import RunInfoLog


@dataclass
class KafkaConnection:
    """A consumer of announcements; it is closed and made anew after any failure.

    Attributes
    ----------
    lock : Lock
        Held by the tick that uses it.
    log : RunInfoLog or None
        None until a tick has connected.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    log: RunInfoLog | None = None

    def drop(self) -> None:
        """Close the consumer."""
        if self.log is not None:
            self.log.close()
            self.log = None
