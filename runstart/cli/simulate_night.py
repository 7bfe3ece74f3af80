"""`runstart simulate night`: writes the exposures of a simulated telescope."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.errors import Alert

if TYPE_CHECKING:
    import datetime as dt

    from runstart.simulators.night_plan import NightPlan


class ScenarioName(StrEnum):
    """What goes wrong: the values of `runstart.simulators.Scenario`, which is not imported for a help text."""

    GOOD = "good"
    FEW_FLATS = "few-flats"
    CLOUDS = "clouds"
    NO_WCS = "no-wcs"
    SATURATED = "saturated"
    NOISY_BIAS = "noisy-bias"
    NO_SCIENCE = "no-science"


def simulate_night_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the exposures are written.")],
    *,
    site: Annotated[str, typer.Option(help="The site; its name decides about the camera's flaws.")] = "SIMOBS",
    date: Annotated[
        str,
        typer.Option(metavar="YYYY-MM-DD", help="Date of the evening; by default of the last night that ended."),
    ] = "",
    nights: Annotated[int, typer.Option(min=1, max=3660, help="Nights in a row, of which --date is the last.")] = 1,
    time_zone: Annotated[str, typer.Option(help="The site's, such as America/Santiago.")] = "UTC",
    size: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Pixels; overscan comes on top.")] = "512x512",
    filters: Annotated[str, typer.Option(metavar="F,F,...", help="Filters.")] = "gp,rp,ip",
    objects: Annotated[int, typer.Option(min=1, help="Fields of the sky in a night.")] = 2,
    exposures: Annotated[int, typer.Option(min=0, help="Exposures of each field in each filter.")] = 3,
    biases: Annotated[int, typer.Option(min=0, help="Bias frames.")] = 7,
    darks: Annotated[int, typer.Option(min=0, help="Dark frames, each twice as long as an exposure.")] = 5,
    flats: Annotated[int, typer.Option(min=0, help="Flats in each filter.")] = 5,
    exposure_time: Annotated[float, typer.Option(min=0.01, help="Seconds of a science exposure.")] = 60.0,
    seeing: Annotated[float, typer.Option(min=0.5, max=10, help="Width of a star in arcseconds.")] = 1.5,
    scenario: Annotated[ScenarioName, typer.Option(help="What goes wrong in these nights.")] = ScenarioName.GOOD,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    compress: Annotated[bool, typer.Option("--compress", help="Write fpacked .fits.fz files.")] = False,
    pace: Annotated[float, typer.Option(min=0, help="Seconds from file to file; 0 writes at once.")] = 0.0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Folder for the truth; by default .truth in FOLDER.", show_default=False),
    ] = None,
) -> None:
    """Write the exposures of simulated nights as FITS, and the truth about them.

    Bias, dark and twilight flat frames, and fields of stars under a dark sky,
    as a CCD camera takes them: uint16, with overscan, noise, dust, vignetting,
    hot pixels, three bad columns, cosmic rays and a WCS. A site has the same
    camera and the same stars every night. A file is whole when it has its name.
    The truth (stars, bad columns, pointing) is a JSON file for each night.

    [bold]Examples[/bold]

    Last night:

        [green]runstart simulate night exposures[/green]

    A month of small nights of another site:

        [green]runstart simulate night exposures --site SIMSOUTH --nights 30 --size 256x256 --compress[/green]

    A cloudy night, a file every two seconds, as if it was taken now:

        [green]runstart simulate night exposures --scenario clouds --pace 2[/green]
    """
    import dataclasses
    import datetime as dt

    from runstart.simulators.night_plan import NightPlan, Scenario, last_night, parse_shape

    last = _parse_date(date) if date else last_night(dt.datetime.now(dt.UTC), time_zone)
    plan = NightPlan(
        date=last,
        site=site,
        time_zone=time_zone,
        shape=parse_shape(size),
        filters=tuple(name.strip() for name in filters.split(",") if name.strip()),
        objects=objects,
        exposures=exposures,
        biases=biases,
        darks=darks,
        flats=flats,
        exposure_time_s=exposure_time,
        seeing_arcsec=seeing,
        seed=seed,
        compress=compress,
        pace_s=pace,
        scenario=Scenario(scenario.value),
    )
    _write(folder, [dataclasses.replace(plan, date=day) for day in _days_until(last, nights)], truth)


def _write(folder: Path, plans: list[NightPlan], truth: Path | None) -> None:
    """Simulate nights with a progress bar, and tell of each."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from runstart.cli._signals import stop_on_signals
    from runstart.simulators.night import count_exposures, simulate_night, truth_path

    # All nights are checked before the first file.
    counts = [count_exposures(plan) for plan in plans]
    progress = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("exposures"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    console = Console(soft_wrap=True, highlight=False)
    with stop_on_signals() as stop, progress:
        task = progress.add_task(f"{plans[0].site} to {folder}", total=sum(counts))
        for index, (plan, count) in enumerate(zip(plans, counts, strict=True)):
            if stop.wait(plan.pace_s if index else 0):
                break
            before = progress.tasks[0].completed
            simulate_night(
                folder, plan, truth_folder=truth, on_exposure=lambda _path: progress.advance(task), stop=stop
            )
            written = round(progress.tasks[0].completed - before)
            path = truth_path(folder, plan, truth)
            console.print(f"[bold]{plan.site} {plan.date}[/bold]: {written} of {count} exposures, truth in {path}")


def _parse_date(text: str) -> dt.date:
    import datetime as dt

    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise Alert(f"{text!r} is no date.", "Write it like 2026-07-19.") from error


def _days_until(last: dt.date, n_days: int) -> list[dt.date]:
    import datetime as dt

    first = last.toordinal() - n_days + 1
    if first < 1:
        raise Alert(f"There are no {n_days} nights until {last}.", "Ask for fewer.")
    return [dt.date.fromordinal(day) for day in range(first, last.toordinal() + 1)]
