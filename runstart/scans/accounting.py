"""Accounts for the frames of a scan as they come: which count, and what the others are.

Of frames with the same slot the first counts. That a frame is damaged is seen only when its pixels are read: see
`runstart.scans.partials`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import ScanHeader
from runstart.scans.model import Accounting


class Accountant:
    """Keeps the account of one scan.

    Parameters
    ----------
    header : ScanHeader
        Says how many frames there are to be.
    """

    def __init__(self, header: ScanHeader) -> None:
        self._seen = np.zeros(header.expected, np.bool_)
        self._stored = self._duplicate = self._unplaced = 0

    def take(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Take stored frames, and return which of them count.

        Parameters
        ----------
        slots : ndarray of int64, shape (n,)
            Of the next stored frames, in their order.
        """
        counts = (slots >= 0) & (slots < len(self._seen))
        self._unplaced += int(np.count_nonzero(~counts))
        placed = np.flatnonzero(counts)
        _, first = np.unique(slots[placed], return_index=True)
        is_first = np.zeros(len(placed), np.bool_)
        is_first[first] = True
        is_new = is_first & ~self._seen[slots[placed]]
        counts[placed[~is_new]] = False
        self._duplicate += int(np.count_nonzero(~is_new))
        self._seen[slots[placed[is_new]]] = True
        self._stored += len(slots)
        return counts

    def account(self) -> Accounting:
        """Return the account so far."""
        return Accounting(
            expected=len(self._seen),
            stored=self._stored,
            seen=int(np.count_nonzero(self._seen)),
            duplicate=self._duplicate,
            unplaced=self._unplaced,
        )
