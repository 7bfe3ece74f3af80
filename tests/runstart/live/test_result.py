from __future__ import annotations

from dataclasses import replace

import pytest

from runstart.live import Ledger, Result, load_result
from runstart.live.head import Frozen, Version
from runstart.live.membership import FOREVER_NS
from runstart.live.result import find_shortcomings
from runstart.storage import FileStore, ObjectMissing

FROZEN = Frozen(5, "RunStop", {0: 1}, {0: 9}, 7)
RESULT = Result(
    folder="live/SMALL/run/results/000001",
    files=("run.nxs", "overview.png"),
    digest="d",
    ledger=Ledger().as_dict(),
    proton_charge_uah=0.1,
    stop_time_ns=FOREVER_NS,
    stop_reason="given up",
    first_offsets={"0": 1},
    end_offsets={"0": 9},
    thumbnails={"tof": "data:image/png;base64,AA=="},
    lost={"0": [[1, 3]]},
    late_events=4,
    shortcomings=("a", "b"),
    code_version="0",
    run_id="r",
)


def test_a_result_survives_the_store(file_store: FileStore) -> None:
    file_store.put(f"{RESULT.folder}/result.json", RESULT.to_json())
    assert load_result(file_store, Version(1, RESULT.folder, "d", {}, "r", "r")) == RESULT


def test_a_result_whose_files_are_gone_is_missing(file_store: FileStore) -> None:
    with pytest.raises(ObjectMissing):
        load_result(file_store, Version(1, RESULT.folder, "d", {}, "r", "r"))


def test_a_run_of_which_nothing_is_missing_has_no_shortcoming() -> None:
    harmless = replace(
        Ledger(), messages_foreign=3, source_restarts=1, events_after_stop=5, messages_duplicate=2
    ).as_dict()
    assert find_shortcomings(harmless, {}, FROZEN, 0) == ()


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("missing_message_ids", "1,234 message ids are missing"),
        ("messages_malformed", "1,234 messages could not be decoded"),
        ("messages_unjudged", "1,234 messages were too old"),
    ],
)
def test_a_column_that_means_loss_is_a_shortcoming(column: str, sentence: str) -> None:
    (found,) = find_shortcomings(Ledger().as_dict() | {column: 1234}, {}, FROZEN, 0)
    assert sentence in found


def test_lost_offsets_late_events_and_a_run_given_up_are_shortcomings() -> None:
    given_up = replace(FROZEN, closed=False, reason="given up")
    found = " ".join(find_shortcomings(Ledger().as_dict(), {2: [(3, 1000)], 0: [(0, 5)]}, given_up, 7))
    assert "[3, 1,000) of partition 2" in found
    assert "[0, 5) of partition 0" in found
    assert "7 events came after" in found
    assert "did not close the run: given up" in found


def test_a_topic_that_never_existed_is_a_shortcoming() -> None:
    nowhere = replace(FROZEN, first_offsets={}, end_offsets={})
    (found,) = find_shortcomings(Ledger().as_dict(), {}, nowhere, 0)
    assert "did not exist" in found
