"""Tells Dagster of Runstart's two kinds of error: an alert fails the step for good, a transient one is retried."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import dagster as dg

from runstart.errors import Alert, Transient

MOST_RETRIES = 5  # of a step whose broker, source or store stays away
FIRST_RETRY_SECONDS = 5.0


@contextlib.contextmanager
def told_to_dagster(retry_number: int) -> Iterator[None]:
    """Turn alerts and transient errors of the block into what Dagster does about them.

    Parameters
    ----------
    retry_number : int
        Retries of the step so far; each waits twice as long as the one before.

    Raises
    ------
    dagster.Failure
        For an alert: shown to the user, not retried.
    dagster.RetryRequested
        For what passes by itself.
    """
    try:
        yield
    except Alert as error:
        metadata = {"what": error.what, "remedy": error.remedy or "-"}
        raise dg.Failure(str(error), metadata=metadata, allow_retries=False) from error
    except Transient as error:
        seconds = FIRST_RETRY_SECONDS * 2**retry_number
        raise dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=seconds) from error
