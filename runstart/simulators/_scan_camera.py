"""The camera: makes a frame of what hit it.

An electron leaves its charge in the pixel that it hit and in up to three beside it, so that the first has the most by
far. An x-ray leaves much more in one pixel. Dark noise is 24 at most. Dead pixels read 0. So an exact count with the
thresholds 28 and 2000 finds every electron that has no other hit and no dead pixel within two pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runstart.simulators._randomness import generator
from runstart.simulators._scan_electrons import Hits, block_slots
from runstart.simulators.scan_plan import ScanPlan

GAIN_MEAN, GAIN_SIGMA, GAIN_LEAST = 400.0, 60.0, 160.0
LARGEST_SHARE = 0.3  # of the charge that goes to the neighbouring row; likewise column
NOISE_SIGMA, NOISE_MOST = 6.0, 24
XRAY_LEAST, XRAY_MOST = 3000, 9000
_NOISE_FRAMES_APART = 2**16
_FULL = np.iinfo(np.uint16).max
_DEAD_SPREAD = 0.12  # of dead pixels about the middle, where the beam has worn the camera, in frames


def dead_pixels(plan: ScanPlan) -> NDArray[np.uint32]:
    """Return the pixels that read 0: flat, ascending, the same for all scans of a seed."""
    rng = generator("scan camera", plan.seed, *plan.frame_shape)
    found: set[int] = set()
    rows, columns = plan.frame_shape
    while len(found) < plan.dead_pixels:
        row = round(rng.normal((rows - 1) / 2, _DEAD_SPREAD * rows))
        column = round(rng.normal((columns - 1) / 2, _DEAD_SPREAD * columns))
        if 0 <= row < rows and 0 <= column < columns:
            found.add(row * columns + column)
    return np.array(sorted(found), np.uint32)


class Camera:
    """A camera of electrons.

    Parameters
    ----------
    plan : ScanPlan
    """

    def __init__(self, plan: ScanPlan) -> None:
        self._plan = plan
        self._dead = dead_pixels(plan)
        rng = generator("scan noise", plan.seed, plan.number)
        self._pixels = plan.frame_shape[0] * plan.frame_shape[1]
        noise = rng.normal(0, NOISE_SIGMA, self._pixels + _NOISE_FRAMES_APART)
        self._noise = np.clip(np.rint(noise), 0, NOISE_MOST).astype(np.int32)

    def take_frames(self, hits: Hits, block: int) -> Iterator[NDArray[np.uint16]]:
        """Yield the frames of a block."""
        rng = generator("scan frames", self._plan.seed, self._plan.number, block)
        pixels, charges = self._spread(hits.electrons, rng)
        xray_charges = rng.integers(XRAY_LEAST, XRAY_MOST, len(hits.xrays))
        noise_starts = rng.integers(0, _NOISE_FRAMES_APART, len(block_slots(self._plan, block)))
        for index, noise_start in enumerate(noise_starts):
            electrons = slice(*hits.electron_starts[index : index + 2])
            xrays = slice(*hits.xray_starts[index : index + 2])
            frame = self._noise[noise_start : noise_start + self._pixels].copy()
            np.add.at(frame, pixels[electrons].reshape(-1), charges[electrons].reshape(-1))
            np.add.at(frame, hits.xrays[xrays], xray_charges[xrays])
            np.minimum(frame, _FULL, out=frame)
            frame[self._dead] = 0
            yield frame.astype(np.uint16).reshape(self._plan.frame_shape)

    def _spread(
        self, electrons: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the four pixels of each electron and the charge that it leaves in each, as arrays (electrons, 4)."""
        n_electrons = len(electrons)
        rows, columns = self._plan.frame_shape
        gain = np.maximum(rng.normal(GAIN_MEAN, GAIN_SIGMA, n_electrons), GAIN_LEAST)
        shares = rng.uniform(0, LARGEST_SHARE, (2, n_electrons))
        row, column = np.divmod(electrons, columns)
        beside = np.stack([row, column]) + rng.choice([-1, 1], (2, n_electrons))
        is_inside = (beside >= 0) & (beside < [[rows], [columns]])
        shares = np.where(is_inside, shares, 0.0)
        other_row, other_column = np.where(is_inside, beside, [row, column])
        down, right = shares
        pixels = [row * columns + column, row * columns + other_column]
        pixels += [other_row * columns + column, other_row * columns + other_column]
        charges = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
        return np.stack(pixels, axis=1), np.rint(gain * np.stack(charges)).astype(np.int32).T
