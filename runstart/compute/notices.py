"""Tells the operator's own addresses when a job starts and when it has ended, as Ocean's engine does.

A notice is one POST, which is not tried again: what becomes of it changes nothing of the job, and a failure is a line in
the run's log. The addresses come from the deployment, so they may be internal; they may hold secrets, and are never shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runstart.compute.job_record import JobRecord

START_VARIABLE, STOP_VARIABLE = "NOTIFY_START_URL", "NOTIFY_STOP_URL"

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Notices:
    """Where notices go.

    Attributes
    ----------
    start_url, stop_url : str
        Addresses; empty for no notice.
    """

    start_url: str = ""
    stop_url: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notices:
        """Return what `NOTIFY_START_URL` and `NOTIFY_STOP_URL` say."""
        return cls(environ.get(START_VARIABLE, "").strip(), environ.get(STOP_VARIABLE, "").strip())

    def started(self, record: JobRecord, tell: Callable[[str], None]) -> None:
        """Say that a job starts; `tell` gets a sentence if that fails."""
        _post(self.start_url, START_VARIABLE, record, tell)

    def ended(self, record: JobRecord, tell: Callable[[str], None]) -> None:
        """Say that a job has ended, however; `tell` gets a sentence if that fails."""
        _post(self.stop_url, STOP_VARIABLE, record, tell)


NOBODY = Notices()
"""No notices."""


def _post(url: str, variable: str, record: JobRecord, tell: Callable[[str], None]) -> None:
    if not url:
        return
    import requests

    body = {
        "algoDID": record.algorithm_did,
        "jobId": record.job_id,
        "secret": record.secret,
        "DID": list(record.input_dids),
    }
    try:
        with requests.Session() as session:
            session.trust_env = False  # a .netrc or a proxy is not what the deployment has named
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            with session.post(url, json=body, timeout=_TIMEOUT_S, allow_redirects=False, stream=True) as answer:
                status = answer.status_code
        trouble = "" if 200 <= status < 300 else f"answers with HTTP status {status}"
    except (OSError, ValueError) as error:  # all that requests raises
        trouble = f"cannot be reached ({type(error).__name__})"  # its text holds the address
    if trouble:
        tell(f"The address of {variable} {trouble}.")
