"""`runstart metrics`: figures of live runs and of Dagster's daemon, for Prometheus."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from runstart.cli._signals import stop_on_signals
from runstart.cli._stores import open_quick_store


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
    with stop_on_signals() as stop, serve_metrics(open_quick_store(url), address, port) as taken:
        typer.echo(f"Metrics of {url} at http://{address}:{taken}/metrics")
        stop.wait()
