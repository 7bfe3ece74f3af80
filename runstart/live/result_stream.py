"""Publishes a live run's results as da00 messages, for those who subscribe.

They are a service, not a record: a broker that is away or a slow one costs messages of this stream, never a count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runstart.kafka.result_topic import ResultTopic

if TYPE_CHECKING:
    from runstart.events import DataArrayMessage
    from runstart.live.follow import Sources
    from runstart.live.script_run import ShownOutcome
    from runstart.product import RunProduct

CLOSE_SECONDS = 5.0


class ResultStream:
    """The results topic of one live run.

    Parameters
    ----------
    sources : Sources
        The run; its instrument names a results topic.
    """

    def __init__(self, sources: Sources) -> None:
        topic = sources.instrument.topics.results
        if topic is None:
            raise ValueError(f"instrument {sources.instrument.name} declares no results topic")
        self._instrument = sources.instrument.name
        self._run_key = sources.record.partition_key
        self._topic = ResultTopic(sources.bootstrap_servers, topic, sources.access)
        self._thread: threading.Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the last product has been handed on."""
        return self._thread is None or not self._thread.is_alive()

    @property
    def trouble(self) -> str | None:
        """Why messages do not arrive."""
        return self._topic.trouble

    def publish(self, product: RunProduct) -> None:
        """Publish the views of a product that nobody changes, in a thread of its own."""
        from runstart.product.data_arrays import views_as_data_arrays

        self._in_turn(lambda: views_as_data_arrays(product, time.time_ns()))

    def publish_script(self, shown: ShownOutcome) -> None:
        """Publish the named arrays that the reduction script returned."""
        from runstart.scripts.data_arrays import script_as_data_arrays

        arrays = shown.outcome.arrays
        self._in_turn(lambda: script_as_data_arrays(self._instrument, self._run_key, arrays, time.time_ns()))

    def close(self) -> None:
        """Wait a little for what is still on its way."""
        if self._thread is not None:
            self._thread.join()
        self._topic.close(CLOSE_SECONDS)

    def _in_turn(self, make: Callable[[], list[DataArrayMessage]]) -> None:
        """Make and publish messages in a thread of their own, after those before them."""
        before = self._thread

        def publish() -> None:
            if before is not None:
                before.join()
            self._topic.publish(make())

        self._thread = threading.Thread(target=publish, name="results", daemon=True)
        self._thread.start()
