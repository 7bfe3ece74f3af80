"""Compiles what the operators need, so that their first message does not wait: `python -m runstart.frame_messages.warming`.

It is run when an image is built; what was compiled is found in numba's cache.
"""

from __future__ import annotations

import numpy as np

from runstart.frame_messages.batches import Batch, ScanInfo, batch_message, read_batch
from runstart.frame_messages.counting import count_message
from runstart.frame_messages.moments import sum_moments
from runstart.frame_messages.scan_sums import PatternSums, VirtualImageSums
from runstart.frames import Crop, DenseFrames

_SIDE = 8
_PARAMETERS = {"inner_radius": 0.0, "outer_radius": 2.0, "subsample_step_center": 1}


def warm() -> None:
    """Call each kernel on a few pixels."""
    scan, crop, center = ScanInfo(1, (1, 1), (_SIDE, _SIDE), 1), Crop(half_rows=2, half_columns=2), (4.0, 4.0)
    for dtype in (np.uint8, np.uint16, np.float32):
        pixels = np.zeros((1, _SIDE, _SIDE), dtype)
        pixels[0, 4, 4] = 100
        dense = batch_message(Batch(scan, DenseFrames(np.zeros(1, np.int64), pixels)))
        for message in (dense, count_message(dense, 28.0, 2000.0)):
            batch = read_batch(message)
            sum_moments(batch, crop, center)
            PatternSums(scan).add(batch)
    image = VirtualImageSums(scan)
    image.add(batch)
    image.result(_PARAMETERS)


if __name__ == "__main__":
    warm()
