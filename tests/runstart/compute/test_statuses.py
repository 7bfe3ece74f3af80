"""The codes of jobs: Ocean's with Ocean's texts, ours beside them."""

from __future__ import annotations

import pytest

from runstart.compute import FINAL, Status
from runstart.compute.statuses import failure_of

OCEAN = {
    1: "Warming up",
    10: "Job started",
    20: "Configuring volumes",
    30: "Provisioning success",
    31: "Data provisioning failed",
    32: "Algorithm provisioning failed",
    40: "Running algorithm",
    50: "Filtering results",
    60: "Publishing results",
    70: "Job finished",
}
OURS = {
    41: "Algorithm failed",
    51: "Filter failed",
    61: "Publishing failed",
    71: "Job stopped",
    72: "Job timed out",
}


def test_codes_and_texts_are_those_that_clients_know_and_ours() -> None:
    assert {int(status): status.text for status in Status} == OCEAN | OURS


def test_a_final_state_has_no_state_after_it_and_every_other_has_a_way_to_fail() -> None:
    assert {31, 32, 41, 51, 61, 70, 71, 72} == FINAL
    for status in Status:
        assert status.is_final == (status in FINAL)
        if status.is_final:
            with pytest.raises(KeyError):
                failure_of(status)
        else:
            assert failure_of(status).is_final
            assert failure_of(status) > status
