"""`runstart replay`: publishes a NeXus event file as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from runstart.errors import Alert


def replay_command(
    file: Annotated[Path, typer.Argument(metavar="FILE.nxs", help="A NeXus file with events.")],
    *,
    instrument: Annotated[
        str, typer.Option(help="Publish as this instrument; by default the one that the file names.")
    ] = "",
    run_name: Annotated[str, typer.Option(help="Name of the run; by default the file's run number.")] = "",
    speed: Annotated[float, typer.Option(min=0.001, help="Times faster than it was measured.")] = 1.0,
    at_once: Annotated[bool, typer.Option("--at-once", help="Publish without waiting.")] = False,
    keep_times: Annotated[
        bool, typer.Option("--keep-times", help="Keep the file's pulse times; by default the run starts now.")
    ] = False,
    schema: FormatOption = Format.EV42,
    pulses_per_message: Annotated[int, typer.Option(min=1, max=1000, help="Pulses in an ev44 message.")] = 1,
    partitions: Partitions = None,
    partition_weights: Annotated[
        str,
        typer.Option(
            metavar="W,W,...", help="Share of each partition of the event topic; one of weight 0 stays idle."
        ),
    ] = "",
    bootstrap_servers: BootstrapServers = None,
    instruments: InstrumentsFile = DEFAULT_INSTRUMENTS_FILE,
) -> None:
    """Publish a NeXus event file as a run on Kafka: RunStart, every event once, RunStop.

    Any file with NXevent_data groups will do, such as those of ISIS
    ([cyan]raw_data_1/detector_1_events[/cyan]) and SNS
    ([cyan]entry/bank1_events[/cyan]). Topics that are not there are made.
    Ctrl-C ends the run early, with a RunStop.

    [bold]Examples[/bold]

    As it was measured, starting now:

        [green]runstart replay SANS2D00034484.nxs[/green]

    Ten times faster, as a run of another instrument:

        [green]runstart replay SANS2D00034484.nxs --instrument SIMSANS --speed 10[/green]

    All at once over four partitions, of which one stays idle:

        [green]runstart replay EQSANS_1234.nxs.h5 --at-once --partition-weights 7,2,1,0[/green]

    Ten pulses a message, as ev44:

        [green]runstart replay EQSANS_1234.nxs.h5 --format ev44 --pulses-per-message 10[/green]
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from runstart.cli._signals import stop_on_signals
    from runstart.simulators import connect_publisher, read_nexus_events, replay

    weights = _parse_weights(partition_weights)
    if weights and partitions is not None and partitions < len(weights):
        raise Alert(
            f"{len(weights)} partition weights do not fit {partitions} partitions.", "Leave one option out."
        )
    event_file = read_nexus_events(file)
    name = instrument or event_file.instrument_name
    if not name:
        raise Alert(f"{file} does not name its instrument.", "Name it with --instrument.")
    declared, servers, access = find_instrument(instruments, name, bootstrap_servers)
    topics = {declared.topics.run_info: None, declared.topics.events: partitions or len(weights) or None}

    progress = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("events"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with stop_on_signals() as stop, connect_publisher(servers, topics, access) as publisher, progress:
        task = progress.add_task(f"{declared.name} to {servers}", total=event_file.n_events)
        summary = replay(
            event_file,
            publisher,
            declared,
            run_name=run_name,
            schema=schema.value,
            pulses_per_message=pulses_per_message,
            partition_weights=weights,
            keep_times=keep_times,
            speed=None if at_once else speed,
            stop=stop,
            on_message=lambda message: progress.advance(task, message.n_events),
        )
    console = Console()
    console.print(
        f"[bold]{summary.run_name}[/bold]: {summary.events:,} events of {summary.pulses:,} pulses "
        f"in {summary.messages:,} messages"
    )
    for (topic, partition), (begin, end) in sorted(summary.offsets.items()):
        console.print(f"  {topic} partition {partition}: offsets {begin} to {end - 1}")


def _parse_weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(weight) for weight in text.split(",")) if text else ()
    except ValueError as error:
        raise Alert(
            f"Partition weights {text!r} are not numbers.",
            "Write them like 0.7,0.2,0.1,0 with commas between.",
        ) from error
