"""What the functions on all frames of a scan have in common: a pass of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._inputs import to_frames
from runstart.frames.frame_pass import FramePass
from runstart.frames.model import DenseFrames, Frames, Shape
from runstart.frames.partial import Partial


def analyze(
    frames: Frames | NDArray[Any],
    scan_shape: Shape | None = None,
    *,
    center_of_mass: bool = False,
    crop: NDArray[np.bool_] | None = None,
    masks: NDArray[Any] | None = None,
    sum_frames: bool = False,
    threads: int | None = None,
) -> Partial:
    """Return the sums over all frames; raise ValueError if shapes or types do not fit."""
    checked = to_frames(frames, scan_shape)
    dtype = checked.pixels.dtype if isinstance(checked, DenseFrames) else "sparse"
    frame_pass = FramePass(
        checked.frame_shape,
        dtype,
        center_of_mass=center_of_mass,
        crop=crop,
        masks=masks,
        sum_frames=sum_frames,
        threads=threads,
    )
    return frame_pass.process(checked)
