"""Proves that a stored result of a scan is what its account says, from the files alone."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from runstart.errors import Alert
from runstart.frame_files import FileBlob, open_frames
from runstart.frames import SparseFrames
from runstart.scans.digest import digest_product
from runstart.scans.model import ScanProduct, ScanResult
from runstart.scans.nexus import read_scan_nexus

__all__ = ["find_contradictions"]


def find_contradictions(
    result: ScanResult, nexus: bytes, counted: bytes | None = None, *, is_compensated: bool = False
) -> list[str]:
    """Return a sentence for each contradiction between the files of a result and what was published; empty if none.

    Parameters
    ----------
    result : ScanResult
        What was published.
    nexus : bytes
        The stored `scan.nxs`.
    counted : bytes, optional
        The stored `counted.h5` of a counted scan.
    is_compensated : bool, optional
        Whether frames were moved against the drift of the beam, so that electrons may have left the diffraction pattern.
    """
    try:
        product = read_scan_nexus(nexus)
        if counted is not None:
            product = replace(product, events=_read_events(counted))
    except Alert as error:
        return [str(error)]
    return [*result.accounting.contradictions(), *_disagreements(product, result, is_compensated)]


def _disagreements(product: ScanProduct, result: ScanResult, is_compensated: bool) -> list[str]:
    found = []
    if product.accounting != result.accounting:
        found.append("The stored account of frames is not the one that was published.")
    if (frames := int(product.frame_counts.sum())) != product.accounting.seen:
        found.append(f"The maps hold {frames:,} frames, but {product.accounting.seen:,} were seen.")
    if product.events is not None:
        found += _electron_disagreements(product, product.events, result, is_compensated)
    if (digest := digest_product(product)) != result.digest:
        found.append(f"The stored content has digest {digest}, but {result.digest} was published.")
    return found


def _electron_disagreements(
    product: ScanProduct, events: SparseFrames, result: ScanResult, is_compensated: bool
) -> list[str]:
    found = []
    electrons, total, analysed = len(events.events), int(product.pattern.sum()), _count_analysed(product, events)
    if len(events) != product.accounting.seen:
        found.append(f"{len(events):,} counted frames are stored, but {product.accounting.seen:,} were seen.")
    if electrons != result.figures.get("electrons"):
        found.append(f"{electrons:,} electrons are stored, but {result.figures.get('electrons')} were published.")
    if total > analysed or (total < analysed and not is_compensated):
        found.append(f"The diffraction pattern holds {total:,} electrons, but {analysed:,} were counted in it.")
    return found


def _count_analysed(product: ScanProduct, events: SparseFrames) -> int:
    """Return the number of electrons in the pixels that binning does not cut off."""
    rows, columns = (length * product.recipe.bin_by for length in product.pattern.shape)
    row, column = np.divmod(events.events, np.uint32(events.frame_shape[1]))
    return int(np.count_nonzero((row < rows) & (column < columns)))


def _read_events(counted: bytes) -> SparseFrames:
    with tempfile.TemporaryDirectory(prefix="runstart-scan-") as scratch:
        path = Path(scratch) / "counted.h5"
        path.write_bytes(counted)
        with open_frames(FileBlob(path)) as source:
            frames = source.read(0, source.frame_count)
    if not isinstance(frames, SparseFrames):
        raise Alert("The stored counted frames are not counted.", "Materialize the scan again.")
    return frames
