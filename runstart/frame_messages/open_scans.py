"""Scans whose frames are still coming: what is summed of each, when it is shown, and when it is let go.

Each scan position is counted once: what would count one again is refused as a whole. Of more scans than may be open at
once, the one that got nothing for longest is given out as it is, and let go.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_messages.batches import ScanInfo
from runstart.operators import BytesMessage


class OfScan(Protocol):
    """A message that was read: a batch, or sums."""

    @property
    def scan(self) -> ScanInfo:
        """The scan that it belongs to."""


_Value = TypeVar("_Value", bound=OfScan)


class ScanSums(ABC, Generic[_Value]):
    """What is summed of a scan.

    Parameters
    ----------
    scan : ScanInfo
        As the first message tells it.
    """

    unit: Literal["messages", "frames"] = "messages"
    """What is counted between two results."""

    def __init__(self, scan: ScanInfo) -> None:
        self.scan = scan
        self._seen = np.zeros(scan.positions, np.bool_)
        self._frames = 0
        self.unshown = 0

    @property
    def missing(self) -> int:
        """Scan positions without a frame."""
        return int(len(self._seen) - np.count_nonzero(self._seen))

    @property
    def is_complete(self) -> bool:
        """Whether every position, or as many frames as were to be sent, have been counted."""
        return self._frames == self.scan.total_frames or not self.missing

    def add(self, value: _Value) -> None:
        """Count a message.

        Raises
        ------
        Alert
            If it is of a scan of another shape, or has a position that was counted before.
        """
        positions, frames = self.extent(value)
        self._check(value.scan, positions)
        self.sum(value)
        self._seen[positions] = True
        self._frames += frames
        self.unshown += 1 if self.unit == "messages" else frames

    @abstractmethod
    def extent(self, value: _Value) -> tuple[NDArray[np.int64], int]:
        """Return the positions and the number of frames of a message."""

    @abstractmethod
    def sum(self, value: _Value) -> None:
        """Add a message up, which was found good."""

    @abstractmethod
    def result(self, parameters: Mapping[str, Any]) -> BytesMessage:
        """Return what there is as a message."""

    def about(self, content: str) -> dict[str, Any]:
        """Return what a result's meta says of its scan."""
        return {
            "content": content,
            "scan_number": self.scan.scan_number,
            "scan_shape": list(self.scan.scan_shape),
            "frame_shape": list(self.scan.frame_shape),
            "frames": self._frames,
            "missing_positions": self.missing,
            "complete": self.is_complete,
        }

    def _check(self, scan: ScanInfo, positions: NDArray[np.int64]) -> None:
        name = f"scan {self.scan.scan_number}"
        for words, mine, its in (
            ("positions", self.scan.scan_shape, scan.scan_shape),
            ("pixels", self.scan.frame_shape, scan.frame_shape),
        ):
            if mine != its:
                what = (
                    f"A message of {name} is of {its[0]} x {its[1]} {words}; those before of {mine[0]} x {mine[1]}."
                )
                raise Alert(what, "Give each scan a number of its own.")
        if positions.size and not 0 <= positions.min() <= positions.max() < len(self._seen):
            raise Alert(f"A message has a position outside {name} of {self.scan.scan_shape}.", "Mend its sender.")
        again = np.unique(positions[self._seen[positions]])
        if again.size:
            more = f" and {again.size - 1} more" if again.size > 1 else ""
            what = f"Position {again[0]}{more} of {name} came before; the message is not counted."
            raise Alert(what, "Send all frames of a position in one batch, each once, and number every scan.")


class OpenScans(Generic[_Value]):
    """All scans that are open.

    Parameters
    ----------
    make : callable
        Returns the sums of a new scan.
    """

    def __init__(self, make: Callable[[ScanInfo], ScanSums[_Value]]) -> None:
        self._make = make
        self._scans: OrderedDict[int, ScanSums[_Value]] = OrderedDict()

    def take(self, value: _Value, parameters: Mapping[str, Any], every: int, most: int) -> list[BytesMessage]:
        """Count a message, and return what is to be sent.

        Parameters
        ----------
        value : Batch or ScanPartial
            Of any scan.
        parameters : mapping of str to Any
            The operator's, for results.
        every : int
            Messages or frames from one result to the next; at 0 or below there is one only at the end.
        most : int
            Scans that may be open at once, at least one.

        Raises
        ------
        Alert
            If the message cannot be counted.
        """
        number = value.scan.scan_number
        sums = self._scans.get(number) or self._make(value.scan)
        sums.add(value)
        self._scans[number] = sums
        self._scans.move_to_end(number)
        results = []
        if sums.is_complete:
            results.append(self._give_out(number, parameters))
        elif 0 < every <= sums.unshown:
            results.append(sums.result(parameters))
            sums.unshown = 0
        too_many = list(self._scans)[: -max(most, 1)]
        return [*(self._give_out(oldest, parameters) for oldest in too_many), *results]

    def finish(self, parameters: Mapping[str, Any]) -> list[BytesMessage]:
        """Return what there is of scans that are not complete, and let them go."""
        return [self._give_out(number, parameters) for number in list(self._scans)]

    def _give_out(self, number: int, parameters: Mapping[str, Any]) -> BytesMessage:
        """Return the result of a scan, and let it go: not before there is one."""
        result = self._scans[number].result(parameters)
        del self._scans[number]
        return result
