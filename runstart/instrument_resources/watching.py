"""Keeps what the API server has of the Instrument resources: a list, and the changes since.

A watch lasts a minute and is resumed where it ended. If the API server does not remember that version, the list is read
anew; what is gone since is then missing from it, so a deletion is never overlooked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from runstart.instrument_resources.api import ClusterApi, VersionGone
from runstart.instrument_resources.resource import Resource


class Resources:
    """All resources as they are now; safe among threads.

    Parameters
    ----------
    api : ClusterApi
        Where they are.
    changed : callable
        Called after each change.
    """

    def __init__(self, api: ClusterApi, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self._lock = threading.Lock()
        self._known: dict[str, Resource] | None = None
        self._version: str | None = None

    def snapshot(self) -> list[Resource] | None:
        """Return the resources; None before they were ever listed."""
        with self._lock:
            return None if self._known is None else list(self._known.values())

    def follow(self) -> None:
        """List if that is needed, and follow changes for a minute.

        Raises
        ------
        Transient, Alert
            As `ClusterApi.list_resources`; call it again later.
        """
        if self._version is None:
            known, self._version = self._api.list_resources()
            with self._lock:
                self._known = known
            self._changed()
        try:
            for change in self._api.watch_resources(self._version):
                self._version = change.version
                if change.resource is not None:
                    self._note(change.resource, gone=change.kind == "DELETED")
        except VersionGone:
            self._version = None

    def _note(self, resource: Resource, *, gone: bool) -> None:
        """Take in a change; one of the status alone, which the controller makes itself, is no news."""
        with self._lock:
            assert self._known is not None  # noqa: S101 - it was listed before it was watched
            before = self._known.pop(resource.uid, None)
            if not gone:
                self._known[resource.uid] = resource
        if gone or before is None or before.generation != resource.generation:
            self._changed()
