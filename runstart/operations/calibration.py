"""Raw exposures in electrons: without overscan, bias and dark, divided by the flat, with uncertainty and mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from runstart.fits.camera_keywords import CameraKeywords
from runstart.operation_kit import Fits, FitsFile, OutputImage, Select, Work, operation
from runstart.operations._camera import KEYWORDS, to_electrons
from runstart.operations._frames import Frame, prepare_frame
from runstart.operations._kept_masters import Master, join_bad_pixels, read_master
from runstart.operations._naming import about

if TYPE_CHECKING:
    from runstart.images import Calibrated


@operation(
    name="Calibration",
    version="1",
    description="Turns raw exposures into electrons, as headers and masters say, with planes of uncertainty and mask.",
)
def calibration(
    work: Work,
    input_files: Annotated[list[FitsFile], Fits("Input files", "Raw exposures of one camera and binning.")],
    bias_file: Annotated[
        Sequence[FitsFile], Fits("Master bias", "What is subtracted from each.", minimum=0, maximum=1)
    ] = (),
    dark_file: Annotated[
        Sequence[FitsFile],
        Fits("Master dark", "What is subtracted from each, times its exposure time.", minimum=0, maximum=1),
    ] = (),
    flat_file: Annotated[
        Sequence[FitsFile], Fits("Master flat", "What each is divided by.", minimum=0, maximum=1)
    ] = (),
    cosmic_rays: Annotated[
        str,
        Select(
            "Cosmic rays",
            "reject: replaced by their neighbours, and flagged; flag: flagged only; keep: not looked for.",
            options=("reject", "flag", "keep"),
        ),
    ] = "reject",
    keywords: Annotated[str, KEYWORDS] = "",
) -> Iterator[OutputImage]:
    """Yield every exposure, calibrated."""
    named = CameraKeywords.parse(keywords)
    bias = read_master(work, bias_file, "bias")
    dark = read_master(work, dark_file, "dark")
    flat = read_master(work, flat_file, "flat")
    for file in work.each(input_files, "Calibrating"):
        frame = prepare_frame(file, named)
        with about(file.name):
            calibrated = _calibrate(frame, bias, dark, flat)
            yield _to_output(frame, calibrated, cosmic_rays)


def _calibrate(frame: Frame, bias: Master | None, dark: Master | None, flat: Master | None) -> Calibrated:
    from runstart.images import calibrate

    planes = [None if master is None else master.fitting(frame) for master in (bias, dark, flat)]
    return calibrate(
        frame.data,
        bias=planes[0],
        dark=planes[1],
        flat=planes[2],
        exposure_s=0.0 if dark is None else frame.exposure_s(),
        gain=frame.gain,
        read_noise=frame.read_noise,
        bad_pixels=join_bad_pixels(frame.data.shape, bias, dark, flat),
        flat_uncertainty=0.0 if flat is None else flat.relative_uncertainty,
    )


def _to_output(frame: Frame, calibrated: Calibrated, cosmic_rays: str) -> OutputImage:
    from runstart.images import MaskBit, reject_cosmic_rays

    data = calibrated.data
    mask = np.where(frame.saturated, calibrated.mask | int(MaskBit.SATURATED), calibrated.mask)
    if frame.mask is not None:
        mask = mask | frame.mask
    figures: dict[str, Any] = {
        "gain": frame.gain,
        "read_noise": round(frame.read_noise, 3),
        "overscan_adu": round(frame.overscan, 3),
    }
    if frame.taken_for_granted:
        figures["taken_for_granted"] = " and ".join(frame.taken_for_granted)
    history = list(frame.history)
    if cosmic_rays != "keep":
        cleaned = reject_cosmic_rays(
            data, read_noise=frame.read_noise, saturation=frame.saturation * frame.gain, mask=mask
        )
        mask = np.where(cleaned.mask, mask | int(MaskBit.COSMIC_RAY), mask).astype(np.uint16)
        data = cleaned.cleaned if cosmic_rays == "reject" else data
        figures["cosmic_ray_pixels"] = int(np.count_nonzero(cleaned.mask))
        history.append(f"cosmic rays: {figures['cosmic_ray_pixels']} pixels ({cosmic_rays})")
    for name, bit in (("bad", MaskBit.BAD), ("saturated", MaskBit.SATURATED)):
        figures[f"{name}_pixels"] = int(np.count_nonzero(mask & bit))
    finite = data[np.isfinite(data)]
    if finite.size:
        figures["median_electrons"] = round(float(np.median(finite)), 3)
    to_electrons(frame.header, frame.gain, frame.keywords)
    return OutputImage(
        data, frame.header, calibrated.uncertainty, mask, history=history, label=frame.name, figures=figures
    )
