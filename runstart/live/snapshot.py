"""Snapshots: the whole state of a live run at an offset, as one object.

The object is a NumPy archive without pickles: every array of the accumulation, and one JSON text with the
offsets, the ledger and the versions that made it. `FORMAT` rises whenever the meaning of the state changes;
a snapshot of any other format is refused with the reason, and the run goes on from an older one or from the topic,
so that an upgrade never ends a run. It is written under a name of its own, and exists for readers
only once the run's head names it; so a snapshot is there whole or not at all, and a run without the lease
cannot publish one.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

import runstart
from runstart.errors import Transient
from runstart.instruments import Instrument
from runstart.live.accumulation import Accumulation
from runstart.live.head import KEPT_SNAPSHOTS, Lease, LeaseLost
from runstart.storage import ObjectMissing, ObjectStore

FORMAT = 2
_DAMAGE = (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError)


class DamagedSnapshot(Exception):
    """A snapshot that is gone or cannot be read."""


class ForeignSnapshot(DamagedSnapshot):
    """A snapshot of a format that this version does not read; the run goes on without it too."""


def pack_snapshot(plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return a snapshot's bytes from what `Accumulation.state` gave."""
    text = json.dumps({"format": FORMAT, "code_version": runstart.__version__, "state": plain})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)
    return buffer.getvalue()


def unpack_snapshot(data: bytes, instrument: Instrument) -> Accumulation:
    """Return the accumulation of a snapshot.

    Raises
    ------
    Alert
        If the snapshot has other views than the instrument declares now.
    DamagedSnapshot
        If it cannot be read; `ForeignSnapshot` if it has another format.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            if header["format"] != FORMAT:
                raise ForeignSnapshot(
                    f"The snapshot has format {header['format']}, of Runstart {header.get('code_version', '?')}; "
                    f"this version ({runstart.__version__}) reads format {FORMAT}."
                )
            arrays = {name: archive[name] for name in archive.files if name != "header"}
        return Accumulation.from_state(instrument, header["state"], arrays)
    except _DAMAGE as error:
        raise DamagedSnapshot(f"The snapshot cannot be read: {error}") from error


class SnapshotWriter:
    """Writes snapshots beside the accumulation, one at a time.

    Parameters
    ----------
    store : ObjectStore
        Where snapshots go.
    folder : str
        Prefix of their keys.
    lease : Lease
        Publishes them.

    Attributes
    ----------
    written : int
        Snapshots that this writer has published.
    written_at : float or None
        When it published the last one, in seconds since 1970; None before the first.
    size : int or None
        Bytes of that one.
    failure : Transient or None
        Why the last one could not be written.
    """

    def __init__(self, store: ObjectStore, folder: str, lease: Lease) -> None:
        self.written = 0
        self.written_at: float | None = None
        self.size: int | None = None
        self.failure: Transient | None = None
        self._store = store
        self._folder = folder
        self._lease = lease
        self._thread: threading.Thread | None = None
        self._fatal: BaseException | None = None

    def start(self, accumulation: Accumulation) -> bool:
        """Copy the state and write it in the background; False if the last one is still being written."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self.finish()
        plain, arrays = accumulation.state()
        self._thread = threading.Thread(target=self._write, args=(plain, arrays), name="snapshot", daemon=True)
        self._thread.start()
        return True

    def finish(self) -> None:
        """Wait for the snapshot being written; raise what went wrong for good, such as LeaseLost."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._fatal is not None:
            raise self._fatal

    def _write(self, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        head = self._lease.head
        key = f"{self._folder}/snapshots/{head.epoch:06d}-{head.beat:09d}.npz"
        try:
            data = pack_snapshot(plain, arrays)
            self._store.put(key, data)
            kept = (*head.snapshots, key)[-KEPT_SNAPSHOTS:]
            self._lease.commit(snapshots=kept)
            with contextlib.suppress(Transient):  # swept when the run ends
                for dropped in set(head.snapshots) - set(kept):
                    self._store.delete(dropped)
        except Transient as error:
            self.failure = error  # the next interval tries again; the last good snapshot stays
        except LeaseLost as error:
            self._fatal = error
        except Exception as error:  # noqa: BLE001 - raised again in the run's own thread by finish()
            self._fatal = error
        else:
            self.written, self.written_at, self.size = self.written + 1, time.time(), len(data)
            self.failure = None


def load_snapshot(store: ObjectStore, key: str, instrument: Instrument) -> Accumulation:
    """Return the accumulation of a stored snapshot.

    Raises
    ------
    DamagedSnapshot
        If it is gone or cannot be read.
    Alert, Transient
        As `unpack_snapshot` and the store do.
    """
    try:
        data = store.get(key).data
    except ObjectMissing as error:
        raise DamagedSnapshot(f"The snapshot {key} is gone.") from error
    return unpack_snapshot(data, instrument)
