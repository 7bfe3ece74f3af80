"""Agreements: each has any number of jobs, of which at most one is unfinished at a time.

The list of an agreement's jobs is one object, changed under a condition: of two orders at once one gets it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from runstart.errors import Alert
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

FOLDER = "compute/agreements"

_CONTESTED_TRIES = 20


@dataclass(frozen=True)
class _Agreement:
    job_ids: tuple[str, ...]
    claimed_at: float
    etag: str | None


def claim_agreement(
    store: ObjectStore, agreement_id: str, job_id: str, is_unfinished: Callable[[str, float], bool]
) -> None:
    """Put a new job on the list of its agreement.

    Parameters
    ----------
    store : ObjectStore
        Keeps the lists.
    agreement_id, job_id : str
        The agreement, and the job.
    is_unfinished : callable
        Tells of a job, and of the Unix time at which it came on the list, whether it has not ended.

    Raises
    ------
    Alert
        The agreement has an unfinished job.
    """
    key = _key(agreement_id)
    for _ in range(_CONTESTED_TRIES):
        known = _read(store, agreement_id)
        if known.job_ids and is_unfinished(known.job_ids[-1], known.claimed_at):
            break
        claim = json.dumps({"jobs": [*known.job_ids, job_id], "at": time.time()}).encode()
        with contextlib.suppress(PreconditionFailed):
            if known.etag is None:
                store.put_if_absent(key, claim)
            else:
                store.put_if_match(key, claim, known.etag)
            return
    raise Alert("agreementId already used by an unfinished job", "Wait for its end, or stop it.")


def jobs_of_agreement(store: ObjectStore, agreement_id: str) -> tuple[str, ...]:
    """Return the jobs of an agreement, the oldest first."""
    return _read(store, agreement_id).job_ids


def _read(store: ObjectStore, agreement_id: str) -> _Agreement:
    try:
        stored = store.get(_key(agreement_id))
    except ObjectMissing:
        return _Agreement((), 0.0, None)
    table = json.loads(stored.data)
    return _Agreement(tuple(table["jobs"]), float(table["at"]), stored.etag)


def _key(agreement_id: str) -> str:
    return f"{FOLDER}/{hashlib.sha256(agreement_id.encode()).hexdigest()[:32]}.json"
