"""Small data operations for tests, and where they run: what they do beside their outputs can be counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from waiting import wait_until

from runstart.errors import Alert
from runstart.fits import InputSettings, open_inputs
from runstart.operation_kit import (
    ColorChannels,
    Fits,
    FitsFile,
    Float,
    Int,
    OutputImage,
    OutputPicture,
    Select,
    Source,
    TargetPositions,
    Text,
    Work,
    Workplace,
    find_output,
    operation,
)
from runstart.storage import ObjectStore

LOG, GATE = "TOY_LOG", "TOY_GATE"
MODES = ("plain", "several", "own", "picture", "alert", "crash", "nothing", "wrong", "alert_after_one")


@operation(name="Toy", version="1", description="Makes flat images.")
def toy(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Any files.", minimum=1, maximum=5)],
    level: Annotated[float, Float("Level", "Value of all pixels.", minimum=-10, maximum=10)] = 1.0,
    count: Annotated[int, Int("Count", "Number of images.", minimum=1, maximum=9)] = 2,
    mode: Annotated[str, Select("Mode", "What it does.", MODES)] = "plain",
    note: Annotated[str, Text("Note", "Any text.")] = "",
) -> Any:
    note_computation()
    (work.scratch / "something").write_bytes(b"left over")
    image = np.full((8, 10), level, np.float32)
    if mode in ("several", "alert_after_one"):
        return _several(work, image, count, mode)
    if mode == "alert":
        raise Alert("The toy does not like this.", "Choose another mode.")
    if mode == "crash":
        raise ZeroDivisionError
    if mode == "picture":
        return OutputPicture(np.zeros((8, 10, 3), np.uint8), label="picture")
    if mode == "own":
        return OutputImage(image + os.getpid(), label=str(os.getpid()))
    if mode == "nothing":
        return iter_nothing()
    return [image] if mode == "wrong" else OutputImage(image, label=input_files[0].name, figures={"level": level})


def _several(work: Work, image: Any, count: int, mode: str) -> Iterator[OutputImage]:
    for number in range(count):
        work.progress(number / count, f"image {number}")
        yield OutputImage(image + number, label=f"number {number}")
        if mode == "alert_after_one":
            raise Alert("The toy has had enough.")


def iter_nothing() -> Iterator[OutputImage]:
    yield from ()


@operation(name="Filtered Toy", version="1", description="Takes images of one filter.")
def filtered_toy(
    work: Work,
    input_files: Annotated[
        list[FitsFile],
        Fits("Input files", "Of one filter.", single_filter=True, filter_options=("rp", "gp")),
    ],
    others: Annotated[list[FitsFile], Fits("Others", "Of any filter.", minimum=0)] = (),  # type: ignore[assignment]
) -> OutputImage:
    told = ",".join(file.filter or "-" for file in [*input_files, *others])
    return OutputImage(np.zeros((4, 4), np.float32), label=told)


@operation(name="Every Kind", version="1", description="Takes one input of every kind.")
def every_kind(
    work: Work,
    images: Annotated[list[FitsFile], Fits("Images", "FITS images.", minimum=2, maximum=999)],
    channels: Annotated[list[Any], ColorChannels("Color Channel", "Image for a channel.")],
    target: Annotated[dict[str, Any], Source("Source", "The object.")],
    track: Annotated[list[Any], TargetPositions("Track", "Where it was.", minimum=1, maximum=3)],
    radius: Annotated[float, Float("Radius", "In arcseconds.", minimum=0.5)],
    order: Annotated[int, Int("Order", "Of the polynomial.", minimum=0, maximum=5)],
    title: Annotated[str, Text("Title", "Of the picture.", longest=20)],
    method: Annotated[str, Select("Method", "How.", ("simple", "reproject"))] = "simple",
) -> OutputImage:
    return OutputImage(np.zeros((4, 4), np.float32))


def note_computation() -> None:
    """Write a line to the log, and wait for the gate, if the environment names them."""
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a") as log:
            log.write(f"{os.getpid()}\n")
    if GATE in os.environ:
        wait_until(Path(os.environ[GATE]).exists, "the gate")


def make_workplace(folder: Path, store: ObjectStore, lease_seconds: float = 15.0) -> Workplace:
    """Return a workplace whose source `night` is a folder in `folder`."""
    night = folder / "night"
    night.mkdir(exist_ok=True)
    settings = InputSettings(folders={"night": str(night)}, cache_folder=str(folder / "cache"))
    inputs = open_inputs(settings, store, {}, find=lambda basename: find_output(store, basename))
    return Workplace(store, inputs, folder / "scratch", lease_seconds=lease_seconds)
