"""Histograms with numpy, each the fastest way that was found, into tables that stay, as ours do."""

from __future__ import annotations

import numpy as np

from bench._events import FIRST_DETECTOR_ID, PIXELS, TOF_STOP_NS, Events


class NumpyHistograms:
    """TOF spectrum, counts per pixel, and pixel x TOF, with numpy.

    Parameters
    ----------
    bins : int
        Of the TOF axis.
    with_cells : bool
        Have a table of pixel x TOF.
    """

    def __init__(self, bins: int, *, with_cells: bool = False) -> None:
        self.tof = np.zeros(bins, np.int64)
        self.pixel = np.zeros(PIXELS + FIRST_DETECTOR_ID, np.int64)
        self.cells = np.zeros(PIXELS * bins if with_cells else 0, np.uint32)
        self._bins = bins
        self._width_ns = np.int32(TOF_STOP_NS // bins)

    def add_tof(self, events: Events) -> None:
        """Add to the TOF spectrum; `range` instead of edges lets numpy use its quick way for equal bins."""
        self.tof += np.histogram(events[0], bins=self._bins, range=(0, TOF_STOP_NS))[0]

    def add_tof_by_division(self, events: Events) -> None:
        """Add to the TOF spectrum without `numpy.histogram`: only right while no event is off the axis."""
        self.tof += np.bincount(events[0] // self._width_ns, minlength=self._bins)

    def add_pixel(self, events: Events) -> None:
        """Add to the counts per pixel; `bincount` makes and adds a whole table each time."""
        self.pixel += np.bincount(events[1], minlength=self.pixel.size)

    def add_pixel_at(self, events: Events) -> None:
        """Add to the counts per pixel in place, which is quicker while events are much fewer than pixels."""
        np.add.at(self.pixel, events[1], np.int64(1))

    def add_cells(self, events: Events) -> None:
        """Add to pixel x TOF in place: `bincount` would make 80 MB to 400 MB for each message."""
        cell = events[1].astype(np.int64)
        cell -= FIRST_DETECTOR_ID
        cell *= self._bins
        cell += events[0] // self._width_ns
        np.add.at(self.cells, cell, np.uint32(1))
