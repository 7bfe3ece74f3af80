"""Reads from the object store what runs tell of themselves: the same objects as metrics, alerts and pages read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runstart.live.finished import find_previous
from runstart.metrics.live_status import LiveStatus, read_live_statuses
from runstart.storage import ObjectStore

_AFTER_ALL = "~"  # partition keys begin with digits


@dataclass(frozen=True)
class Figures:
    """What is known of the runs of all instruments.

    Attributes
    ----------
    live : mapping of str to LiveStatus
        Of each instrument's newest run that is live, or whose process was killed.
    finished : mapping of str to str
        Key of each instrument's newest run that has a result.
    """

    live: Mapping[str, LiveStatus] = field(default_factory=dict)
    finished: Mapping[str, str] = field(default_factory=dict)


def read_figures(store: ObjectStore, instruments: Iterable[str]) -> Figures:
    """Return what is known of the runs of these instruments.

    Parameters
    ----------
    store : ObjectStore
        Where live runs write.
    instruments : iterable of str
        Their names.

    Returns
    -------
    Figures

    Raises
    ------
    Transient
        If the store does not answer.
    Alert
        If it must be set up differently.
    """
    wanted = set(instruments)
    live: dict[str, LiveStatus] = {}
    for status in read_live_statuses(store).statuses:  # sorted, so that the newest run comes last
        if status.instrument in wanted:
            live[status.instrument] = status
    found = {name: find_previous(store, name, _AFTER_ALL) for name in sorted(wanted)}
    return Figures(live, {name: key for name, key in found.items() if key is not None})
