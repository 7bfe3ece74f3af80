"""Histograms with scipp, each the fastest way that was found.

scipp makes a new histogram of each message and adds it to the sum, which is how it is used for live data; it spreads
over all cores by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipp as sc
from numpy.typing import NDArray

from bench._events import FIRST_DETECTOR_ID, PIXELS, TOF_STOP_NS, Events


class ScippHistograms:
    """TOF spectrum, counts per pixel, and pixel x TOF, with scipp's `hist` on float32 counts.

    Parameters
    ----------
    bins : int
        Of the TOF axis.
    n_events : int
        Of each message, so that the unit weights are made once.
    with_cells : bool
        Have a table of pixel x TOF.
    """

    def __init__(self, bins: int, n_events: int, *, with_cells: bool = False) -> None:
        # Whole-number edges are the quickest for whole-number events.
        self._edges = sc.arange("tof", 0, TOF_STOP_NS + 1, TOF_STOP_NS // bins, unit="ns")
        first = FIRST_DETECTOR_ID
        self._id_edges = sc.arange("detector_id", first, first + PIXELS + 1, unit=None)
        self._weights = sc.ones(dims=["event"], shape=[n_events], unit="counts", dtype="float32")
        self.tof = sc.zeros(dims=["tof"], shape=[bins], unit="counts", dtype="float64")
        self.pixel = sc.zeros(dims=["detector_id"], shape=[PIXELS], unit="counts", dtype="float64")
        cells = [PIXELS, bins] if with_cells else [0, 0]
        self.cells = sc.zeros(dims=["detector_id", "tof"], shape=cells, unit="counts", dtype="float32")

    def add_tof(self, events: Events) -> None:
        """Add to the TOF spectrum."""
        self._add_tof(self._table(events))

    def add_pixel(self, events: Events) -> None:
        """Add to the counts per pixel."""
        self._add_pixel(self._table(events))

    def add_tof_and_pixel(self, events: Events) -> None:
        """Add to both, from one table."""
        table = self._table(events)
        self._add_tof(table)
        self._add_pixel(table)

    def add_all(self, events: Events) -> None:
        """Add to pixel x TOF, and what it sums up to, to the other two."""
        cells = self._table(events).hist(detector_id=self._id_edges, tof=self._edges).data
        self.cells += cells
        self.tof += cells.sum("detector_id")
        self.pixel += cells.sum("tof")

    def _table(self, events: Events) -> Any:
        coords = {
            "tof": sc.array(dims=["event"], values=events[0], unit="ns"),
            "detector_id": sc.array(dims=["event"], values=events[1], unit=None),
        }
        return sc.DataArray(self._weights, coords=coords)

    def _add_tof(self, table: Any) -> None:
        self.tof += table.hist(tof=self._edges).data

    def _add_pixel(self, table: Any) -> None:
        self.pixel += table.hist(detector_id=self._id_edges).data


def counts(variable: Any) -> NDArray[np.int64]:
    """Return a scipp sum as whole numbers."""
    return np.asarray(variable.values).astype(np.int64)
