"""The electrons and x-rays that reach the camera, drawn for a block of frames at a time from the plan alone.

So the events of any frame can be drawn again, in any order, without the frames before it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstart.simulators._randomness import generator
from runstart.simulators._scan_crystal import Crystal, make_crystal
from runstart.simulators.scan_plan import ScanPlan

BLOCK = 64  # frames


@dataclass(frozen=True)
class Hits:
    """What hits the camera in a block of frames.

    Attributes
    ----------
    electrons, xrays : ndarray of int64
        Flat pixel indices, those of electrons ascending within a frame; a pixel that is named twice was hit twice.
    electron_starts, xray_starts : ndarray of int64, shape (frames + 1,)
        The hits of frame `i` of the block are those from `starts[i]` up to `starts[i + 1]`.
    """

    electrons: NDArray[np.int64]
    electron_starts: NDArray[np.int64]
    xrays: NDArray[np.int64]
    xray_starts: NDArray[np.int64]

    def seen_events(self, dead_pixels: NDArray[np.uint32]) -> Iterator[NDArray[np.uint32]]:
        """Yield the electrons of each frame that a camera with some dead pixels can see."""
        is_seen = ~np.isin(self.electrons, dead_pixels)
        for start, stop in itertools.pairwise(self.electron_starts.tolist()):
            yield self.electrons[start:stop][is_seen[start:stop]].astype(np.uint32)


def block_count(plan: ScanPlan) -> int:
    """Return how many blocks of frames a scan has."""
    return -(-plan.slots // BLOCK)


def block_slots(plan: ScanPlan, block: int) -> NDArray[np.int64]:
    """Return the slots of a block."""
    return np.arange(block * BLOCK, min((block + 1) * BLOCK, plan.slots))


def count_electrons_sent(plan: ScanPlan) -> NDArray[np.uint32]:
    """Return how many electrons each slot gets."""
    counts = [_electron_counts(plan, block)[1] for block in range(block_count(plan))]
    return np.concatenate(counts).astype(np.uint32)


def draw_hits(plan: ScanPlan, crystal: Crystal, block: int) -> Hits:
    """Return what hits the camera in the frames of a block."""
    rng, counts = _electron_counts(plan, block)
    positions = np.repeat(block_slots(plan, block) // plan.frames_per_position, counts)
    places = crystal.center.reshape(2, -1)[:, positions] + _within_discs(crystal, positions, rng)
    rows, columns = np.rint(places).astype(np.int64)
    pixels = rows * plan.frame_shape[1] + columns
    frames = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((pixels, frames))
    xray_counts = rng.poisson(plan.xrays, len(counts))
    xrays = rng.integers(0, plan.frame_shape[0] * plan.frame_shape[1], int(xray_counts.sum()))
    return Hits(pixels[order], _starts(counts), xrays, _starts(xray_counts))


def true_events(plan: ScanPlan, slot: int) -> NDArray[np.uint32]:
    """Return the pixels that electrons hit in the frame of a slot: flat, ascending, twice if hit twice.

    Electrons on dead pixels are among them.

    Raises
    ------
    ValueError
        If the scan has no such slot.
    """
    hits, index = _hits_of_slot(plan, slot)
    return hits.electrons[hits.electron_starts[index] : hits.electron_starts[index + 1]].astype(np.uint32)


def true_xrays(plan: ScanPlan, slot: int) -> NDArray[np.uint32]:
    """Return the pixels that x-rays hit in the frame of a slot, flat.

    Raises
    ------
    ValueError
        If the scan has no such slot.
    """
    hits, index = _hits_of_slot(plan, slot)
    return hits.xrays[hits.xray_starts[index] : hits.xray_starts[index + 1]].astype(np.uint32)


def _hits_of_slot(plan: ScanPlan, slot: int) -> tuple[Hits, int]:
    if not 0 <= slot < plan.slots:
        raise ValueError(f"the scan has {plan.slots} slots, and no slot {slot}")
    return _kept_hits(plan, slot // BLOCK), slot % BLOCK


@functools.lru_cache(maxsize=2)
def _kept_crystal(plan: ScanPlan) -> Crystal:
    return make_crystal(plan)


@functools.lru_cache(maxsize=8)
def _kept_hits(plan: ScanPlan, block: int) -> Hits:
    return draw_hits(plan, _kept_crystal(plan), block)


def _electron_counts(plan: ScanPlan, block: int) -> tuple[np.random.Generator, NDArray[np.int64]]:
    rng = generator("scan electrons", plan.seed, plan.number, block)
    return rng, rng.poisson(plan.electrons, len(block_slots(plan, block)))


def _within_discs(crystal: Crystal, positions: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where electrons land, from the middle of the pattern: anywhere in the beam's disc or a diffracted one."""
    n_electrons = len(positions)
    is_diffracted = rng.random(n_electrons) < crystal.diffracted.reshape(-1)[positions]
    order = rng.integers(0, len(crystal.reflections), n_electrons)
    radius = crystal.disc_radius * np.sqrt(rng.random(n_electrons))
    angle = rng.uniform(0, 2 * math.pi, n_electrons)
    places = np.stack([radius * np.sin(angle), radius * np.cos(angle)])
    places += np.where(is_diffracted[:, None], crystal.reflections[order], 0.0).T
    return places


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)])
