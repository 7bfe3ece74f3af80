"""Simulates a night of a telescope: exposures as an observatory takes them, and the truth to check results against.

The truth is written first, then the exposures in the order of their times. A night that is stopped or killed has
whole files only; taken again, it has the same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from runstart.simulators._camera import Camera
from runstart.simulators._night_files import write_exposure, write_truth
from runstart.simulators._night_frames import draw_truth, take_frame
from runstart.simulators._night_schedule import plan_exposures
from runstart.simulators.night_plan import NightPlan, Scenario, last_night, parse_shape
from runstart.simulators.night_truth import NightTruth, read_truth, truth_path

__all__ = [
    "NightPlan",
    "NightTruth",
    "Scenario",
    "count_exposures",
    "last_night",
    "parse_shape",
    "read_truth",
    "simulate_night",
    "truth_path",
]


def count_exposures(plan: NightPlan) -> int:
    """Return how many exposures a night has.

    Raises
    ------
    Alert
        They do not fit into a night.
    """
    return len(plan_exposures(plan))


def simulate_night(
    folder: Path,
    plan: NightPlan,
    *,
    truth_folder: Path | None = None,
    on_exposure: Callable[[Path], None] | None = None,
    stop: threading.Event | None = None,
) -> NightTruth:
    """Take a night's exposures.

    Parameters
    ----------
    folder : Path
        Where they are written; made if it is not there.
    plan : NightPlan
    truth_folder : Path, optional
        For the truth; by default `.truth` in the folder. `truth_path` tells the file.
    on_exposure : callable, optional
        Called with the path of each exposure as soon as it is whole.
    stop : threading.Event, optional
        Ends the night after the present exposure.

    Returns
    -------
    NightTruth
        Of the whole night, even if it was stopped.

    Raises
    ------
    Alert
        The exposures do not fit into a night, or cannot be written.
    """
    stop = stop or threading.Event()
    camera = Camera(plan.site, plan.shape, plan.date)
    truth = draw_truth(plan, camera)
    write_truth(truth_path(folder, plan, truth_folder), truth)
    for index, exposure in enumerate(truth.exposures):
        if stop.wait(plan.pace_s if index else 0):
            break
        path = write_exposure(folder, plan, truth, exposure, take_frame(plan, camera, truth, exposure))
        if on_exposure is not None:
            on_exposure(path)
    return truth
