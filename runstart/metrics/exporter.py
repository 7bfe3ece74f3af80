"""Serves the figures of live runs and daemon to Prometheus; each scrape reads them anew from the object store.

What cannot be read is told by `runstart_exporter_scrape_failed`, and the rest is served all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from runstart.errors import Alert, Transient
from runstart.metrics.daemon import read_daemon_figures
from runstart.metrics.families import make_daemon_families, make_run_families
from runstart.metrics.live_status import read_live_statuses
from runstart.storage import ObjectStore

SOURCES = ("live_status", "daemon")

_log = logging.getLogger(__name__)


class StoreCollector(Collector):
    """Reads metrics from the object store.

    Parameters
    ----------
    store : ObjectStore
        Holds `live_status/` and `metrics/daemon.json`.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read and yield all metrics; what cannot be read is told by a metric."""
        began = time.monotonic()
        failed = GaugeMetricFamily(
            "runstart_exporter_scrape_failed",
            "1 if figures could not be read from the object store, else 0.",
            labels=("source",),
        )
        for source, read in (("live_status", self._read_runs), ("daemon", self._read_daemon)):
            families = _tried(source, read)
            failed.add_metric((source,), float(families is None))
            yield from families or ()
        yield failed
        duration = GaugeMetricFamily("runstart_exporter_scrape_duration_seconds", "How long this scrape took.")
        duration.add_metric((), time.monotonic() - began)
        yield duration

    def _read_runs(self) -> list[Metric]:
        found = read_live_statuses(self._store)
        unreadable = GaugeMetricFamily(
            "runstart_exporter_unreadable_statuses", "Status objects that are not those of a live run, or too many."
        )
        unreadable.add_metric((), len(found.unreadable) + found.left_out)
        return [*make_run_families(found.statuses, time.time()), unreadable]

    def _read_daemon(self) -> list[Metric]:
        return make_daemon_families(read_daemon_figures(self._store), time.time())


@contextmanager
def serve_metrics(store: ObjectStore, address: str, port: int) -> Iterator[int]:
    """Serve `/metrics` until the context ends.

    Parameters
    ----------
    store : ObjectStore
        Read at each scrape.
    address : str
        Where to listen, such as `127.0.0.1`.
    port : int
        TCP port; 0 takes a free one.

    Yields
    ------
    int
        The port.

    Raises
    ------
    Alert
        If it is not possible to listen there.
    """
    registry = CollectorRegistry()
    registry.register(StoreCollector(store))
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise Alert(f"Cannot listen on {address} port {port}: {error}.", "Choose another with --port.") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _tried(source: str, read: Callable[[], list[Metric]]) -> list[Metric] | None:
    try:
        return read()
    except (Alert, Transient, ValueError) as error:
        _log.warning("%s: %s", source, error)
    except Exception:  # noqa: BLE001 - a bug must show in the metrics and the log, not as no metrics
        _log.exception("%s", source)
    return None
