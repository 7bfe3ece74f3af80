"""`runstart simulate`: publishes the runs of a simulated instrument; its commands write exposures and scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from runstart.cli._options import (
    DEFAULT_INSTRUMENTS_FILE,
    BootstrapServers,
    Format,
    FormatOption,
    InstrumentsFile,
    Partitions,
    find_instrument,
)
from runstart.cli.simulate_night import simulate_night_command
from runstart.cli.simulate_scan import simulate_scan_command
from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.simulators.simulate import SimulatedRun

simulate_app = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")
simulate_app.command("night")(simulate_night_command)
simulate_app.command("scan")(simulate_scan_command)


@simulate_app.callback()
def simulate_command(
    context: typer.Context,
    *,
    instrument: Annotated[str, typer.Option(help="The declared instrument to stand in for.")] = "SIMSANS",
    rate: Annotated[float, typer.Option(min=0, help="Mean events a second.")] = 20_000,
    pulse_rate: Annotated[float, typer.Option(min=0.01, max=1000, help="Pulses a second (Hz).")] = 10,
    run_duration: Annotated[float, typer.Option(min=0.001, help="Seconds that a run takes.")] = 60,
    gap: Annotated[float, typer.Option(min=0, help="Seconds between runs.")] = 5,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Number of runs; by default no end.", show_default=False)
    ] = None,
    first_run: Annotated[int, typer.Option(min=0, help="Number of the first run.")] = 1,
    periods: Annotated[int, typer.Option(min=1, help="Periods of a run; pulses go round them.")] = 1,
    schema: FormatOption = Format.EV42,
    partitions: Partitions = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same events.")] = 0,
    bootstrap_servers: BootstrapServers = None,
    instruments: InstrumentsFile = DEFAULT_INSTRUMENTS_FILE,
) -> None:
    """Publish a simulated small-angle scattering instrument on Kafka, run after run; or simulate a night or scans.

    Cold neutrons scatter from silver behenate, spheres or stretched collagen
    in turn: rings that grow with the time of flight, around a beam stop. From
    run to run the sample changes and moves. Pulses carry the present time.
    Ctrl-C or SIGTERM ends the run with a RunStop.

    [bold]Examples[/bold]

    Runs of a minute, five seconds apart, for ever:

        [green]runstart simulate[/green]

    Three short runs at a million events a second:

        [green]runstart simulate --runs 3 --run-duration 10 --rate 1e6[/green]

    Two periods, in place of a declared instrument, on another broker:

        [green]runstart simulate --instrument SANS2D --periods 2 --bootstrap-servers kafka:9094[/green]

    A night of a telescope, as FITS files in a folder:

        [green]runstart simulate night exposures[/green]

    A scan of an electron microscope, as frames in a folder:

        [green]runstart simulate scan scans[/green]
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    from rich.console import Console

    from runstart.cli._signals import stop_on_signals
    from runstart.simulators import Simulation, connect_publisher, simulate

    simulation = Simulation(
        rate=rate,
        pulse_rate=pulse_rate,
        run_duration=run_duration,
        gap=gap,
        runs=runs,
        first_run=first_run,
        n_periods=periods,
        schema=schema.value,
        seed=seed,
    )
    declared, servers, access = find_instrument(instruments, instrument, bootstrap_servers)
    topics = {
        declared.topics.run_info: None,
        declared.topics.events: partitions,
        declared.topics.sample_env: None,
    }
    console = Console()

    def tell(run: SimulatedRun) -> None:
        if run.stop_time_ms:
            console.print(f"{run.run_name} ended: {run.events:,} events of {run.pulses:,} pulses")
        elif run.pulses == 1:
            console.print(f"{run.run_name} started: {run.title}")
        status.update(f"{run.run_name}: {run.events:,} events")

    with (
        stop_on_signals() as stop,
        connect_publisher(servers, topics, access) as publisher,
        console.status(f"{declared.name} to {servers}") as status,
    ):
        simulate(declared, simulation, publisher, stop=stop, on_pulse=tell)


def _refuse_options(context: typer.Context, command: str) -> None:
    """Refuse options of the instrument's simulation before another command, which would not hear of them."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise Alert(f"{parameter.opts[0]} is no option of `runstart simulate {command}`.", "Leave it out.")
