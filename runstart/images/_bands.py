"""How many rows of all images are in memory at once.

A band is some rows of every image. It is as high as it takes to read pieces that are worth a reading, and no
higher: what a kernel works on is then still in the processor's cache, and memory does not grow with the files.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass

from runstart.errors import Alert

_CACHED_BYTES = 8 * 2**20
_LEAST_PIECE = 8 * 2**10
# astropy takes as long to begin a reading as to decompress 100 kB.
_LEAST_COMPRESSED_PIECE = 2**20


@dataclass(frozen=True)
class BandPlan:
    """How a stack is cut into bands.

    Attributes
    ----------
    rows : int
        Of all images.
    band_rows : int
        Rows of a band; the last one may have fewer.
    workers : int
        Bands at once.
    bytes_needed : int
        Most memory that result and bands take together.
    """

    rows: int
    band_rows: int
    workers: int
    bytes_needed: int

    @property
    def bands(self) -> list[tuple[int, int]]:
        """First row of each band, and the one behind its last."""
        return [(first, min(first + self.band_rows, self.rows)) for first in range(0, self.rows, self.band_rows)]


def plan_bands(
    rows: int,
    row_bytes: int,
    n: int,
    fixed_bytes: int,
    worker_bytes: Callable[[int], int],
    memory_limit: int,
    workers: int,
    tile_rows: int = 0,
) -> BandPlan:
    """Return the plan that reads best within the memory limit.

    Parameters
    ----------
    rows : int
        Of all images.
    row_bytes : int
        Of one image's row, decoded.
    n : int
        How many images.
    fixed_bytes : int
        Of the result.
    worker_bytes : callable
        From the rows of a band to what one worker needs besides the band itself, in bytes.
    memory_limit : int
        In bytes.
    workers : int
        Bands at once, if the limit allows.
    tile_rows : int
        Rows of the highest tile if images are compressed, else 0.

    Raises
    ------
    Alert
        Not even one row of each image fits.
    """

    def needed(band_rows: int, n_workers: int) -> int:
        return fixed_bytes + n_workers * (band_rows * row_bytes * n + worker_bytes(band_rows))

    piece = _LEAST_COMPRESSED_PIECE if tile_rows else _LEAST_PIECE
    wanted = max(-(-piece // row_bytes), _CACHED_BYTES // (workers * row_bytes * n), tile_rows)
    wanted = min(wanted, rows)
    if needed(1, workers) > memory_limit:
        workers = 1
    if needed(1, workers) > memory_limit:
        raise Alert(
            f"memory_limit is {memory_limit} bytes, too small for one row of {n} images.",
            f"Give at least {needed(1, 1)} bytes, or stack fewer images.",
        )
    wanted = bisect.bisect_right(range(1, wanted + 1), memory_limit, key=lambda height: needed(height, workers))
    if wanted > tile_rows > 1:
        # No tile is decompressed twice.
        wanted -= wanted % tile_rows
    return BandPlan(rows, wanted, workers, needed(wanted, workers))
