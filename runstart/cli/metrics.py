"""`runstart metrics`: figures of live runs and of Dagster's daemon, for Prometheus."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.cli._signals import stop_on_signals

if TYPE_CHECKING:
    from runstart.storage import ObjectStore


def metrics_command(
    *,
    object_store: Annotated[
        str | None,
        typer.Option(
            envvar="RUNSTART_OBJECT_STORE",
            metavar="URL",
            help="Where live runs tell their figures: file:FOLDER or s3://BUCKET/PREFIX; by default "
            "file:.runstart/store.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9108,
    address: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines read.")
    ] = "127.0.0.1",
) -> None:
    """Serve metrics to Prometheus, until Ctrl-C.

    Each scrape of [cyan]/metrics[/cyan] reads the object store: events, lag, rates, ledger, snapshots, script and
    collectors of every live run, and the daemon's runs and sensors. [cyan]docs/grafana/runstart.json[/cyan] is a
    dashboard for them.

    [bold]Examples[/bold]

    For the store that the environment names, on port 9108 of this machine only:

        [green]runstart metrics[/green]

    For a store in S3, for a Prometheus on another machine:

        [green]runstart metrics --object-store s3://facility/runstart --address 0.0.0.0 --port 9108[/green]
    """
    from runstart.metrics.exporter import serve_metrics
    from runstart.storage import store_url

    url = store_url(os.environ) if object_store is None else object_store
    with stop_on_signals() as stop, serve_metrics(_open(url), address, port) as taken:
        typer.echo(f"Metrics of {url} at http://{address}:{taken}/metrics")
        stop.wait()


def _open(url: str) -> ObjectStore:
    """Return a store that answers, or fails, within the time that Prometheus gives a scrape."""
    from runstart.storage import make_s3_client, open_store

    if not url.startswith("s3:"):
        return open_store(url)
    from botocore.config import Config

    quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
    return open_store(url, make_s3_client(config=quick))
