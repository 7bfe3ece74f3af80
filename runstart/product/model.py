"""A live run's product: all that its file and its pictures show, and the digest that proves products equal.

The digest covers what was counted, not how: integers are hashed as 64-bit, so that a widened table, a replay
or another machine gives the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.events import DetectorSpectrumMap
    from runstart.instruments import Instrument
    from runstart.logs import LogSeries
    from runstart.views import Series, Views

__all__ = ["RunProduct", "content_digest", "digest_arrays"]

_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class RunProduct:
    """What a run has yielded, at its end or so far.

    Attributes
    ----------
    instrument : Instrument
        As declared when the run was reduced.
    partition_key : str
        The run's key in Dagster.
    run_name : str
        As announced: any text.
    start_time_ns : int
        Unix time in ns.
    stop_time_ns : int or None
        Unix time in ns; None while the run goes on, or if it never stopped.
    n_periods : int
        Periods of the views.
    views : Views
        Its tables.
    series : Series
        Event rate and proton charge.
    ledger : dict of str to int
        Columns by name.
    provenance : dict of str to str
        What made it: texts, or JSON objects and lists.
    detector_spectrum_map : DetectorSpectrumMap or None
        As announced.
    logs : mapping of str to LogSeries
        Time series of the sample environment by name; no part of the digest.
    """

    instrument: Instrument
    partition_key: str
    run_name: str
    start_time_ns: int
    stop_time_ns: int | None
    n_periods: int
    views: Views
    series: Series
    ledger: dict[str, int]
    provenance: dict[str, str]
    detector_spectrum_map: DetectorSpectrumMap | None = None
    logs: Mapping[str, LogSeries] = field(default_factory=dict)


def content_digest(views: Views, series: Series, ledger: Mapping[str, int]) -> str:
    """Return the SHA-256 of a run's counts as 64 hexadecimal digits.

    Parameters
    ----------
    views, series, ledger
        As in `RunProduct`.
    """
    return digest_arrays({**views.arrays(), **series.arrays()}, ledger)


def digest_arrays(arrays: Mapping[str, npt.NDArray[Any]], ledger: Mapping[str, int]) -> str:
    """Return the SHA-256 of named integer arrays and a ledger; the order of the names does not matter.

    Parameters
    ----------
    arrays : mapping of str to integer array
        Hashed by name, shape and value.
    ledger : mapping of str to int
        Columns by name.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype.kind not in "iu":
            message = f"{name} is {array.dtype}: only integers are counts"
            raise TypeError(message)
        wide = f"<{array.dtype.kind}8"
        digest.update(json.dumps([name, wide, array.shape]).encode())
        flat = array.reshape(-1)
        for first in range(0, flat.size, _HASHED_AT_ONCE):
            digest.update(np.ascontiguousarray(flat[first : first + _HASHED_AT_ONCE], wide).data)
    digest.update(json.dumps(sorted(ledger.items())).encode())
    return digest.hexdigest()
