"""The tables that a live run accumulates: TOF spectrum, counts per pixel, pixel x TOF, for each period.

Counts are exact: every event that is added is in exactly one column of the tally, and a counted event is in
every table. Tables of 32 bits become 64 bits wide before a cell could overflow. A `Views` belongs to one
thread: others get a `copy`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.views.kernels import LANES, count_events, count_tof, reciprocal

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.instruments import Instrument

__all__ = ["Tally", "Views", "warm_up"]

_MEGABYTE = 1_000_000
_UINT32_MAX = 2**32 - 1
_MAX_LOOKUP_IDS = 2**26  # 256 MB of lookup table: a larger span is a typing mistake in the declaration


class Tally(NamedTuple):
    """Where the events of one message went: each is in exactly one column.

    Parameters
    ----------
    counted : int
        In every table.
    without_pixel : int
        In the TOF spectrum only: the message has no detector ids.
    unknown_detector : int
        In no table: the id is in no bank. Takes precedence over the time of flight.
    out_of_tof_range : int
        In no table: the time of flight is off the axis `[start, stop)`.
    """

    counted: int = 0
    without_pixel: int = 0
    unknown_detector: int = 0
    out_of_tof_range: int = 0


class Views:
    """Tables of one run of one instrument.

    Pixels are the concatenation of the banks in the order of their declaration.

    Parameters
    ----------
    instrument : Instrument
        Its banks, TOF axis and views give the tables their shapes.
    n_periods : int
        Length of the leading dimension of every table.

    Raises
    ------
    Alert
        The tables need more than `instrument.max_memory_mb`, the detector ids are too widely scattered, or
        there is less than one period.
    """

    def __init__(self, instrument: Instrument, n_periods: int = 1) -> None:
        if n_periods < 1:
            raise Alert(f"A run of {n_periods} periods cannot be counted.", "Announce at least one period.")
        self.instrument = instrument
        self.n_periods = n_periods
        self._bins = instrument.tof.bins
        self._start_ns = instrument.tof.start_ns
        self._span_ns = instrument.tof.stop_ns - instrument.tof.start_ns
        self._multiplier, self._shift = reciprocal(instrument.tof.width_ns)
        self._pixels = sum(bank.size for bank in instrument.banks)
        self._first_id, self._n_ids = _id_interval(instrument)
        _check_memory(instrument, n_periods, self._n_ids)
        self._lookup: npt.NDArray[np.int32] | None = _pixel_lookup(instrument, self._first_id, self._n_ids)
        # Ids from int32 arrays are below 2**31; negative ones, read as unsigned, are not.
        self._n_signed_ids = min(self._n_ids, max(0, 2**31 - self._first_id))
        self._signed_lookup: npt.NDArray[np.int32] | None = self._lookup
        if self._lookup is not None and self._n_signed_ids < self._n_ids:
            self._signed_lookup = np.append(self._lookup[: self._n_signed_ids], np.int32(-1))
        self._tof: npt.NDArray[np.int64] = np.zeros((n_periods, self._bins), np.int64)
        self._lanes: npt.NDArray[np.uint32] = np.zeros((n_periods, LANES, self._bins + 1), np.uint32)
        self._pixel: npt.NDArray[Any] = np.zeros((n_periods, self._pixels + 1), np.uint32)
        self._cells: npt.NDArray[Any] | None = None
        if "pixel_tof" in instrument.views:
            self._cells = np.zeros((n_periods, self._pixels * self._bins + 1), np.uint32)
        self._room = _UINT32_MAX

    def add(
        self,
        time_of_flight_ns: npt.NDArray[np.uint32] | npt.NDArray[np.int32],
        detector_id: npt.NDArray[np.uint32] | npt.NDArray[np.int32] | None,
        period: int = 0,
    ) -> Tally:
        """Add events and return where they went.

        Parameters
        ----------
        time_of_flight_ns : uint32 or int32[n_events]
            In ns; may be read-only.
        detector_id : uint32 or int32[n_events] or None
            None: the events go to the TOF spectrum only.
        period : int
            Index of the period, from 0.

        Raises
        ------
        IndexError
            There is no such period.
        ValueError
            The arrays are of different lengths, or of another dtype or dimension.
        """
        if not 0 <= period < self.n_periods:
            message = f"period index {period} is outside 0 to {self.n_periods - 1}"
            raise IndexError(message)
        tof = _as_uint32(time_of_flight_ns)
        n_events = tof.size
        if n_events > self._room:
            self._make_room()
        self._room -= n_events
        axis = (self._start_ns, self._span_ns, self._multiplier, self._shift)
        if detector_id is None:
            inside = count_tof(tof, *axis, self._lanes, period)
            return Tally(without_pixel=inside, out_of_tof_range=n_events - inside)
        ids = _as_uint32(detector_id)
        if ids.size != n_events:
            message = f"{n_events} times of flight but {ids.size} detector ids"
            raise ValueError(message)
        signed = detector_id.dtype.kind == "i"
        n_ids = self._n_signed_ids if signed else self._n_ids
        lookup = self._signed_lookup if signed else self._lookup
        counted, known = count_events(
            tof, ids, *axis, self._first_id, n_ids, lookup, self._lanes, self._pixel, self._cells, period
        )
        return Tally(counted, 0, n_events - known, known - counted)

    @property
    def tof(self) -> npt.NDArray[np.int64]:
        """TOF spectra, int64[n_periods, bins]: counted events and those without pixel."""
        self._tof += self._lanes[:, :, : self._bins].sum(axis=1, dtype=np.int64)
        self._lanes[...] = 0
        return self._tof

    @property
    def pixel(self) -> npt.NDArray[Any]:
        """Counts per pixel, uint32 (uint64 once widened)[n_periods, pixels]."""
        return self._pixel[:, : self._pixels]

    @property
    def pixel_tof(self) -> npt.NDArray[Any] | None:
        """Counts, uint32 (uint64 once widened)[n_periods, pixels, bins], or None if not declared."""
        if self._cells is None:
            return None
        return self._cells[:, :-1].reshape(self.n_periods, self._pixels, self._bins)

    def bank_slice(self, bank_index: int) -> slice:
        """Return the place of a bank among the pixels.

        Parameters
        ----------
        bank_index : int
            Position among `instrument.banks`.
        """
        banks = self.instrument.banks
        first = sum(bank.size for bank in banks[:bank_index])
        return slice(first, first + banks[bank_index].size)

    def bank_image(self, bank_index: int) -> npt.NDArray[Any]:
        """Return a bank's counts as a view, `(n_periods, *bank.shape)`; the first row has the lowest ids.

        Parameters
        ----------
        bank_index : int
            Position among `instrument.banks`.
        """
        shape = self.instrument.banks[bank_index].shape
        return self._pixel[:, self.bank_slice(bank_index)].reshape(self.n_periods, *shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        cells = 0 if self._cells is None else self._cells.nbytes
        return self._tof.nbytes + self._lanes.nbytes + self._pixel.nbytes + cells

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the tables by name (`tof`, `pixel`, `pixel_tof` if declared), to be saved or loaded."""
        tables: dict[str, npt.NDArray[Any]] = {"tof": self.tof, "pixel": self.pixel}
        if self.pixel_tof is not None:
            tables["pixel_tof"] = self.pixel_tof
        return tables

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the tables by stored ones.

        Parameters
        ----------
        arrays : mapping of str to array
            As from `arrays`; other names are not looked at.

        Raises
        ------
        Alert
            A table is missing, or its shape or dtype is not what the instrument declares.
        """
        own = self.arrays()
        for name in ("tof", "pixel", "pixel_tof"):
            _check_table(name, own.get(name), arrays.get(name))
        self._tof = arrays["tof"].astype(np.int64)
        self._lanes[...] = 0
        self._pixel = _padded(arrays["pixel"].reshape(self.n_periods, -1))
        if self._cells is not None:
            self._cells = _padded(arrays["pixel_tof"].reshape(self.n_periods, -1))
        self._room = 0

    def copy(self) -> Views:
        """Return an independent copy, for a snapshot or a picture that another thread makes."""
        other = copy.copy(self)
        other._tof = self.tof.copy()
        other._lanes = np.zeros_like(self._lanes)
        other._pixel = self._pixel.copy()
        other._cells = None if self._cells is None else self._cells.copy()
        return other

    def copy_for_overview(self) -> Views:
        """Return a copy without the pixel x TOF table, which is large and not in the overview picture."""
        other = copy.copy(self)
        other._cells = None
        return other.copy()

    def merge(self, other: Views) -> None:
        """Add the counts of `other`.

        Parameters
        ----------
        other : Views
            Of the same banks, TOF axis, views and number of periods; stays as it is.

        Raises
        ------
        ValueError
            The tables mean something else.
        """
        mine, theirs = self.instrument, other.instrument
        same = (mine.banks, mine.tof, self.n_periods) == (theirs.banks, theirs.tof, other.n_periods)
        if not same or (self._cells is None) != (other._cells is None):
            message = "views of different banks, TOF axes, tables or periods cannot be merged"
            raise ValueError(message)
        self._tof = self.tof + other.tof
        self._pixel = _sum_tables(self._pixel, other._pixel)
        if self._cells is not None and other._cells is not None:
            self._cells = _sum_tables(self._cells, other._cells)
        self._room = 0

    def _make_room(self) -> None:
        """Make every cell able to take another 2**31 counts: fold the lanes, widen the fullest tables."""
        self._tof = self.tof
        self._pixel, room = _with_room(self._pixel)
        self._room = room
        if self._cells is not None:
            self._cells, room = _with_room(self._cells)
            self._room = min(self._room, room)


def warm_up(instrument: Instrument) -> None:
    """Compile the kernels that the instrument needs, or load them from the cache, before the first event.

    Parameters
    ----------
    instrument : Instrument
        Its banks and views decide which variants are needed, for both widths of the tables; one code serves
        signed and unsigned events.
    """
    nothing = _as_uint32(np.zeros(0, np.uint32))
    first_id, n_ids = _id_interval(instrument)
    lookup = None if _is_contiguous(instrument, n_ids) else np.full(2, -1, np.int32)
    lanes = np.zeros((1, LANES, 2), np.uint32)
    axis = (0, 1, *reciprocal(1))
    count_tof(nothing, *axis, lanes, 0)
    for dtype in (np.uint32, np.uint64):
        table = np.zeros((1, 2), dtype)
        cells = table if "pixel_tof" in instrument.views else None
        count_events(nothing, nothing, *axis, first_id, 1, lookup, lanes, table, cells, 0)


def _as_uint32(values: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return the values as read-only, aligned uint32[n]: one type, so that one kernel serves all messages."""
    if values.dtype.type not in (np.uint32, np.int32) or values.ndim != 1:
        message = f"events must be uint32[n] or int32[n], not {values.dtype}{list(values.shape)}"
        raise ValueError(message)
    if not (values.flags.c_contiguous and values.flags.aligned and values.dtype.isnative):
        values = np.array(values, values.dtype.newbyteorder("="))
    unsigned = values.view(np.uint32)
    unsigned.flags.writeable = False
    return unsigned


def _id_interval(instrument: Instrument) -> tuple[int, int]:
    """Return the lowest detector id and the number of ids up to the highest."""
    first = min(bank.first_detector_id for bank in instrument.banks)
    end = max(bank.first_detector_id + bank.size for bank in instrument.banks)
    return first, end - first


def _is_contiguous(instrument: Instrument, n_ids: int) -> bool:
    """Return whether the pixel is simply the id minus the first id."""
    firsts = [bank.first_detector_id for bank in instrument.banks]
    return firsts == sorted(firsts) and sum(bank.size for bank in instrument.banks) == n_ids


def _check_memory(instrument: Instrument, n_periods: int, n_ids: int) -> None:
    """Raise an Alert if the tables do not fit the declared memory, or the lookup table any sensible one."""
    if n_ids > _MAX_LOOKUP_IDS and not _is_contiguous(instrument, n_ids):
        what = (
            f"The detector ids of instrument {instrument.name} are scattered over {n_ids:,} numbers; "
            f"banks with gaps between them may span at most {_MAX_LOOKUP_IDS:,}."
        )
        raise Alert(what, "Correct first_detector_id of its banks.")
    needed = instrument.memory_bytes(n_periods)
    if needed > instrument.max_memory_mb * _MEGABYTE:
        what = (
            f"The views of instrument {instrument.name} need {-(-needed // _MEGABYTE):,} MB "
            f"for {n_periods:,} period{'' if n_periods == 1 else 's'}, "
            f"but max_memory_mb is {instrument.max_memory_mb:,}."
        )
        fewer = 'take "pixel_tof" out of its views, ' if "pixel_tof" in instrument.views else ""
        raise Alert(what, f"Declare fewer TOF bins, {fewer}or raise max_memory_mb in instruments.toml.")


def _pixel_lookup(instrument: Instrument, first_id: int, n_ids: int) -> npt.NDArray[np.int32] | None:
    """Return the pixel of each id of the interval (int32[n_ids + 1]), or None if subtraction does."""
    if _is_contiguous(instrument, n_ids):
        return None
    lookup = np.full(n_ids + 1, -1, np.int32)
    pixel = 0
    for bank in instrument.banks:
        place = bank.first_detector_id - first_id
        lookup[place : place + bank.size] = np.arange(pixel, pixel + bank.size, dtype=np.int32)
        pixel += bank.size
    return lookup


def _check_table(name: str, own: npt.NDArray[Any] | None, stored: npt.NDArray[Any] | None) -> None:
    """Raise an Alert if a stored table is not one that these views could have made."""
    if own is None and stored is None:
        return
    allowed = (np.int64,) if name == "tof" else (np.uint32, np.uint64)
    if own is None or stored is None or stored.shape != own.shape or stored.dtype.type not in allowed:
        is_stored = "missing" if stored is None else f"{stored.dtype}{list(stored.shape)}"
        is_declared = "not declared" if own is None else f"{own.dtype}{list(own.shape)}"
        raise Alert(
            f"The stored table {name!r} is {is_stored}, but the instrument's is {is_declared}.",
            "Restore the instrument's declaration that the run was started with, or start the run clean.",
        )


def _padded(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy with the kernels' spare cell behind each period."""
    return np.pad(table.astype(table.dtype.newbyteorder("=")), ((0, 0), (0, 1)))


def _with_room(table: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
    """Return the table, widened if a cell is half full, and the events that it can take from now on."""
    if table.dtype == np.uint64:
        return table, _UINT32_MAX
    fullest = int(table[:, :-1].max(initial=0))
    if fullest > _UINT32_MAX // 2:
        return table.astype(np.uint64), _UINT32_MAX
    return table, _UINT32_MAX - fullest


def _sum_tables(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the sum, in 64 bits if either is or if a cell could overflow 32."""
    could_overflow = int(one[:, :-1].max(initial=0)) + int(other[:, :-1].max(initial=0)) > _UINT32_MAX
    dtype = np.uint64 if could_overflow else np.result_type(one, other)
    total: npt.NDArray[Any] = np.add(one, other, dtype=dtype)
    return total
