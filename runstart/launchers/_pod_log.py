"""The end of what a pod's task prints, kept here, for the cluster forgets it with the pod.

A thread follows the output from the task's start to its end; a connection that breaks is made anew, and what was
printed before is then asked for again.
"""

from __future__ import annotations

import threading

from runstart.errors import Alert, Transient
from runstart.launchers._cluster_client import ClusterClient, NotThere, Stream
from runstart.launchers._job_manifest import CONTAINER

KEPT_OUTPUT = 64 * 1024
"""Bytes of output that are kept."""

MOST_LINES = KEPT_OUTPUT
"""Lines that hold as many bytes, however short they are."""

_PAUSE_S = 1.0


class PodLog:
    """The output of a task that has started.

    Parameters
    ----------
    client : ClusterClient
        Of its namespace.
    pod : str
        Its pod.
    """

    def __init__(self, client: ClusterClient, pod: str) -> None:
        self._client = client
        self._pod = pod
        self._kept = b""
        self._is_over = threading.Event()
        self._is_closed = False
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name="output of a pod", daemon=True)
        self._thread.start()

    def read(self) -> str:
        """Return the end of what has been printed."""
        return shown(self._kept)

    def end(self) -> None:
        """Say that the task has ended: nothing will be printed any more."""
        self._is_over.set()

    def wait_complete(self, timeout_s: float) -> None:
        """Wait until all is read of a task that has ended, or that long at most: its node may be lost."""
        self._thread.join(timeout_s)

    def close(self) -> None:
        """Follow it no longer."""
        self._is_closed = True
        self._is_over.set()
        if (stream := self._stream) is not None:
            stream.close()

    def _run(self) -> None:
        while not self._is_closed:
            was_over = self._is_over.is_set()
            try:
                self._follow()
            except NotThere:
                return  # the pod has gone
            except (Alert, Transient):
                # Its node does not answer, or has the container no longer: asked again, once more after its end.
                if was_over:
                    return
                self._is_over.wait(_PAUSE_S)
                continue
            # The output of a task that has ended is closed a moment before the pod's status tells.
            if was_over or self._is_over.wait(_PAUSE_S):
                return

    def _follow(self) -> None:
        with self._client.follow_log(self._pod, CONTAINER, MOST_LINES) as stream:
            self._stream = stream
            if self._is_closed:
                return
            kept, known = b"", len(self._kept)
            for chunk in stream.chunks():
                kept = (kept + chunk)[-KEPT_OUTPUT:]
                if len(kept) >= known:
                    self._kept = kept
        self._stream = None


def shown(printed: bytes) -> str:
    """Return the end of an output as text, at most 64 kB; a character that is cut in two is left out."""
    return printed.decode("utf-8", "replace").encode()[-KEPT_OUTPUT:].decode("utf-8", "ignore")
