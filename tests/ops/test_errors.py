"""The two kinds of error reach Dagster as what it is to do about them."""

from __future__ import annotations

import dagster as dg
import pytest

from ops.errors import FIRST_RETRY_SECONDS, MOST_RETRIES, told_to_dagster
from runstart.errors import Alert, Transient


def test_an_alert_fails_for_good_and_says_what_to_do() -> None:
    with pytest.raises(dg.Failure, match=r"Too few\. Add some\.") as caught, told_to_dagster(0):
        raise Alert("Too few.", "Add some.")
    assert not caught.value.allow_retries
    assert caught.value.metadata["remedy"].value == "Add some."


@pytest.mark.parametrize("number", range(4))
def test_what_passes_by_itself_is_retried_after_a_wait_that_doubles(number: int) -> None:
    with pytest.raises(dg.RetryRequested) as caught, told_to_dagster(number):
        raise Transient("The store does not answer.")
    assert caught.value.seconds_to_wait == FIRST_RETRY_SECONDS * 2**number
    assert caught.value.max_retries == MOST_RETRIES


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), told_to_dagster(0):
        _ = 1 / 0
