"""`runstart kubernetes`: instruments as custom resources of a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from runstart.cli._options import DEFAULT_INSTRUMENTS_FILE
from runstart.cli._signals import stop_on_signals
from runstart.cli._stores import open_quick_store

kubernetes_app = typer.Typer(
    help="Declare instruments as custom resources of Kubernetes.", no_args_is_help=True, rich_markup_mode="rich"
)


@kubernetes_app.callback()
def _group() -> None:
    """Declare instruments as custom resources of Kubernetes."""


@kubernetes_app.command("crd")
def crd_command() -> None:
    """Print the definition of the custom resource [cyan]Instrument[/cyan].

    [bold]Examples[/bold]

    Let a cluster know it:

        [green]runstart kubernetes crd | kubectl apply --server-side -f -[/green]

    Look at a field afterwards:

        [green]kubectl explain instruments.spec.tof[/green]
    """
    from runstart.instrument_resources import print_crd

    typer.echo(print_crd(), nl=False)


@kubernetes_app.command("resources")
def resources_command(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The file that declares the instruments.")
    ] = DEFAULT_INSTRUMENTS_FILE,
) -> None:
    """Print the instruments of a file as custom resources.

    The Kafka clusters of the file stay in a file: the config map [cyan]instruments-base[/cyan] holds it.

    [bold]Examples[/bold]

    Move the instruments of this folder's file to a cluster:

        [green]runstart kubernetes resources | kubectl apply --server-side -n runstart -f -[/green]

    Look at what another file would become:

        [green]runstart kubernetes resources beamlines.toml[/green]
    """
    import yaml

    from runstart.instrument_resources import make_objects

    objects = make_objects(file)
    typer.echo(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True), nl=False)


@kubernetes_app.command("instruments")
def instruments_command(
    *,
    namespace: Annotated[str, typer.Option(help="Where the resources are.")] = "runstart",
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file like instruments.toml with what is no resource: mostly the Kafka clusters.",
            show_default=False,
        ),
    ] = None,
    object_store: Annotated[
        str | None,
        typer.Option(
            envvar="RUNSTART_OBJECT_STORE",
            metavar="URL",
            help="Where live runs tell their figures; without it, nothing is told of runs.",
        ),
    ] = None,
    dagster: Annotated[
        str,
        typer.Option(
            envvar="RUNSTART_DAGSTER_URL",
            metavar="URL",
            help="A webserver of Dagster, a read-only one is enough; without it, sensors are Unknown.",
        ),
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /healthz; 0 takes a free one.")] = 8080,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - a pod's probe
) -> None:
    """Run the controller of the Instrument resources, until SIGTERM.

    It writes the config map [cyan]instruments[/cyan] that the code location reads, lets Kubernetes replace the code
    location when that has changed, and reports in the status of each resource.

    [bold]Examples[/bold]

    In a pod of the cluster:

        [green]runstart kubernetes instruments --base /etc/runstart/instruments-base/instruments.toml[/green]

    From elsewhere, as KUBECONFIG says:

        [green]runstart kubernetes instruments --namespace runstart --dagster http://localhost:3000[/green]
    """
    import logging

    from runstart.instrument_resources.api import ClusterApi
    from runstart.instrument_resources.controller import Controller, Surroundings
    from runstart.instrument_resources.pulse import Pulse, serve_health

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    store = open_quick_store(object_store) if object_store else None
    surroundings = Surroundings(base, dict(os.environ), store, dagster)
    pulse = Pulse()
    controller = Controller(ClusterApi(namespace), surroundings, pulse)
    with stop_on_signals() as stop, serve_health(pulse, address, port) as taken:
        typer.echo(f"Instruments of the namespace {namespace}; http://{address}:{taken}/healthz tells how it is.")
        controller.run(stop)
