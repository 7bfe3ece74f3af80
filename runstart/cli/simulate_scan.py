"""`runstart simulate scan`: writes the frames of simulated scans of an electron microscope."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.errors import Alert

if TYPE_CHECKING:
    import datetime as dt

    from runstart.simulators.scan_plan import ScanPlan


class FrameFormatName(StrEnum):
    """How frames are written: the values of `FrameFormat`, which is not imported for a help text."""

    FRAMES = "frames"
    BATCHES = "batches"
    NPY = "npy"
    HDF5 = "hdf5"


def simulate_scan_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the scans are written.")],
    *,
    scans: Annotated[int, typer.Option(min=1, max=10_000, help="Scans in a row.")] = 1,
    first: Annotated[
        int | None,
        typer.Option(min=0, help="Number of the first scan; by default the next free one.", show_default=False),
    ] = None,
    scan: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Scan positions.")] = "64x64",
    frame: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Pixels of a frame.")] = "128x128",
    frames_per_position: Annotated[int, typer.Option(min=1, max=64, help="Frames at each position.")] = 1,
    electrons: Annotated[float, typer.Option(min=0, help="Mean electrons in a frame.")] = 80.0,
    format: Annotated[  # noqa: A002 - the option's name
        FrameFormatName,
        typer.Option(help="frames: dense, with slots; batches: electron events; npy, hdf5: one dense array."),
    ] = FrameFormatName.FRAMES,
    vacuum: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the scan that is vacuum; 1 is a vacuum scan.")
    ] = 0.3,
    phase: Annotated[float, typer.Option(min=0, help="Radians of phase of a heavy atomic column.")] = 0.8,
    drift: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Pixels by which the beam drifts over the scan; by default 2.4 % of a frame.",
            show_default=False,
        ),
    ] = None,
    dead_pixels: Annotated[int, typer.Option(min=0, help="Pixels of the camera that read 0.")] = 12,
    xrays: Annotated[float, typer.Option(min=0, help="Mean x-ray hits in a frame.")] = 0.05,
    drop: Annotated[
        float, typer.Option(metavar="FRACTION", help="Part of the frames that is never written.")
    ] = 0.0,
    duplicates: Annotated[
        float, typer.Option(metavar="FRACTION", help="Part of the frames that is written twice.")
    ] = 0.0,
    break_off: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", help="Break off after this part of the scan, without an end.", show_default=False
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Frames a second; 0 writes as fast as it goes.")] = 0.0,
    gap: Annotated[float, typer.Option(min=0, help="Seconds between scans.")] = 0.0,
    started: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="When the first scan begins, in ISO 8601; by default each begins now.",
            show_default=False,
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed and start give the same files.")] = 0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Folder for the truth; by default .truth in FOLDER.", show_default=False),
    ] = None,
) -> None:
    """Write the frames of simulated scans of an electron microscope, and the truth about them.

    A crystal of heavy and light atomic columns, behind a slanted edge of
    vacuum. Each frame has a Poisson number of electrons in the disc of the
    beam, which drifts and is deflected by the phase, and in diffracted discs.
    The camera spreads an electron's charge, has dark noise, dead pixels and
    x-ray hits: thresholds of 28 and 2000 count the electrons.

    A file (scan_000001.frames, ...) has its name from the start and grows; its
    end says that it is whole. Only an .h5 file comes at once. Ctrl-C or SIGTERM
    breaks the scan off. The truth (beam, phase, dropped frames, dead pixels) is
    a JSON file and its arrays for each scan.

    [bold]Examples[/bold]

    A scan, the next in the folder:

        [green]runstart simulate scan scans[/green]

    Ten scans, as a camera of 400 frames a second takes them, five seconds apart:

        [green]runstart simulate scan scans --scans 10 --rate 400 --gap 5[/green]

    A vacuum scan, to compensate the beam's drift with:

        [green]runstart simulate scan scans --vacuum 1[/green]

    A bad day: frames lost and sent twice, and an end halfway:

        [green]runstart simulate scan scans --drop 0.01 --duplicates 0.005 --break-off 0.5[/green]

    Electron events of a large camera:

        [green]runstart simulate scan scans --format batches --frame 576x576 --electrons 400[/green]
    """
    from runstart.simulators.night_plan import parse_shape
    from runstart.simulators.scan_plan import FrameFormat, ScanPlan, next_scan_number, parse_started

    plan = ScanPlan(
        number=next_scan_number(folder, truth or folder / ".truth") if first is None else first,
        scan_shape=parse_shape(scan),
        frame_shape=parse_shape(frame),
        frames_per_position=frames_per_position,
        electrons=electrons,
        format=FrameFormat(format.value),
        vacuum=vacuum,
        phase_rad=phase,
        drift_px=drift,
        dead_pixels=dead_pixels,
        xrays=xrays,
        dropped=drop,
        duplicated=duplicates,
        break_off=break_off,
        rate=rate,
        seed=seed,
        started=parse_started(started) if started else _now(),
    )
    _write(folder, _in_a_row(plan, scans, gap), gap, truth, is_now=not started)


def _in_a_row(plan: ScanPlan, scans: int, gap: float) -> list[ScanPlan]:
    """Return the plans of successive scans, checked."""
    import dataclasses
    import datetime as dt

    try:
        apart = plan.duration + dt.timedelta(seconds=gap)
        starts = [plan.started + index * apart for index in range(scans)]
    except OverflowError as error:
        raise Alert(f"{scans} such scans do not end in any year.", "Ask for fewer, or a higher rate.") from error
    return [
        dataclasses.replace(plan, number=plan.number + index, started=start) for index, start in enumerate(starts)
    ]


def _write(folder: Path, plans: list[ScanPlan], gap: float, truth: Path | None, *, is_now: bool) -> None:
    """Simulate scans with a progress bar, and tell of each."""
    import dataclasses

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from runstart.cli._signals import stop_on_signals
    from runstart.simulators.scan import count_frames, scan_truth_path, simulate_scan

    # All scans are checked before the first file.
    counts = [count_frames(folder, plan) for plan in plans]
    progress = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    console = Console(soft_wrap=True, highlight=False)
    with stop_on_signals() as stop, progress:
        task = progress.add_task(f"Scans to {folder}", total=sum(counts))
        for index, planned in enumerate(plans):
            if stop.wait(gap if index else 0):
                break
            plan = dataclasses.replace(planned, started=_now()) if is_now else planned
            before = progress.tasks[0].completed
            simulate_scan(
                folder, plan, truth_folder=truth, on_frames=lambda new: progress.advance(task, new), stop=stop
            )
            written = round(progress.tasks[0].completed - before)
            path = scan_truth_path(folder, plan, truth)
            console.print(
                f"[bold]{plan.file_name}[/bold]: {written:,} of {counts[index]:,} frames, truth in {path}"
            )


def _now() -> dt.datetime:
    import datetime as dt

    return dt.datetime.now(dt.UTC).replace(microsecond=0)
