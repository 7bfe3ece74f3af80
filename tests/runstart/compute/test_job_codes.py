"""A job comes into each state for its reason, and into no other; whatever it ends in, nothing of it is left here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compute_kit import DATA_KEY, Owners, environment, input_of, workflow_payload

from runstart.compute import FINAL, ComputeEnvironment, JobRecord, Status

WRITES = "import os; open(os.environ['OUTPUTS'] + '/out.txt', 'w').write('result')"
SLEEPS = "import time; print('began', flush=True); time.sleep(120)"
PASSES = ("python3", "-c", "import os; open(os.environ['OUTPUTS'] + '/seen', 'w').write('yes'); print('looked')")
REFUSES = ("python3", "-c", "raise SystemExit('this holds a name')")


def stop_before(phase: str) -> Callable[[Owners, str, JobRecord], None]:
    def act(owners: Owners, at: str, record: JobRecord) -> None:
        if at == phase:
            owners.book.request_stop(record.job_id)

    return act


Case = tuple[dict[str, Any], ComputeEnvironment, Callable[[Owners, str, JobRecord], None] | None, list[int]]

CASES: dict[str, Case] = {
    "it goes well": (workflow_payload(WRITES), environment(), None, [1, 10, 20, 30, 40, 60, 70]),
    "it passes the filter": (
        workflow_payload(WRITES),
        environment(filter_image="filter", filter_command=PASSES),
        None,
        [1, 10, 20, 30, 40, 50, 60, 70],
    ),
    "an input is missing": (
        workflow_payload(WRITES, input=[input_of("store:results/nothing")]),
        environment(),
        None,
        [1, 10, 20, 31],
    ),
    "an algorithm is missing": (
        workflow_payload(
            None, algorithm={"container": {"image": "a", "entrypoint": "$ALGO"}, "url": "http://127.0.0.1/x"}
        ),
        environment(),
        None,
        [1, 10, 20, 32],
    ),
    "it needs an image where none can be run": (
        workflow_payload(WRITES),
        environment(raw_code_without_image=False),
        None,
        [1, 10, 20, 32],
    ),
    "the algorithm fails": (workflow_payload("1/0 # fails"), environment(), None, [1, 10, 20, 30, 40, 41]),
    "the filter fails": (
        workflow_payload(WRITES),
        environment(filter_image="filter", filter_command=REFUSES),
        None,
        [1, 10, 20, 30, 40, 50, 51],
    ),
    "a result is too large": (
        workflow_payload(WRITES + "; open(os.environ['OUTPUTS'] + '/big', 'wb').write(bytes(200_000))"),
        environment(max_result_mb=0.1),
        None,
        [1, 10, 20, 30, 40, 60, 61],
    ),
    "it is stopped": (
        workflow_payload(SLEEPS),
        environment(),
        stop_before("run_algorithm"),
        [1, 10, 20, 30, 40, 71],
    ),
    "it runs out of time": (workflow_payload(SLEEPS), environment(max_job_s=1.5), None, [1, 10, 20, 30, 40, 72]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_job_comes_into_its_states_in_order_and_leaves_nothing(tmp_path: Path, case: Case) -> None:
    payload, place, act, expected = case
    owners = Owners(tmp_path, place)
    owners.store.put(DATA_KEY, b"data")
    record = owners.run(payload, None if act is None else lambda at, record: act(owners, at, record))
    assert owners.statuses(record) == expected
    assert record.status == expected[-1]
    assert record.finished_at is not None
    assert record.stopreq == {71: 1, 72: 2}.get(expected[-1], 0)
    assert bool(record.reason) == (record.status is not Status.FINISHED)
    assert ("out.txt" in owners.results(record)) == (record.status is Status.FINISHED)
    assert owners.left_on_machine(record) == []
    assert owners.book.open_ids() == []


def test_the_cases_reach_every_code() -> None:
    reached = {code for _, _, _, codes in CASES.values() for code in codes}
    assert reached == set(Status)
    assert {codes[-1] for _, _, _, codes in CASES.values()} == FINAL


def test_a_filter_changes_what_is_published_and_its_words_are_kept(tmp_path: Path) -> None:
    owners = Owners(tmp_path, environment(filter_image="filter", filter_command=PASSES))
    results = owners.results(owners.run(workflow_payload(WRITES)))
    assert results["seen"] == b"yes"
    assert results["filter.log"] == b"looked\n"


def test_nothing_the_algorithm_printed_gets_past_a_filter_that_has_not_passed_it(tmp_path: Path) -> None:
    owners = Owners(tmp_path, environment(filter_image="filter", filter_command=REFUSES))
    for code in ("print('the patient'); import sys; sys.exit(4)", "print('the patient')"):
        record = owners.run(workflow_payload(code))
        assert record.status in (Status.ALGORITHM_FAILED, Status.FILTER_FAILED)
        assert "patient" not in record.model_dump_json().replace(code, "")
        assert not any(b"the patient" in data for data in owners.results(record).values())


@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        ("import time; x = b'1' * 400_000_000; time.sleep(60)", {"ram_gb": 0.2}, "memory"),
        (
            "import os, time\nfor _ in range(30): os.fork() or time.sleep(60)\ntime.sleep(60)",
            {"processes": 20},
            "processes",
        ),
        (
            "import os\nwhile True: open(os.environ['OUTPUTS'] + '/x', 'ab').write(bytes(9999999))",
            {"disk_gb": 0.02},
            "",
        ),
    ],
    ids=["memory", "processes", "disk"],
)
def test_an_algorithm_that_goes_over_a_limit_fails_and_says_which(
    tmp_path: Path, code: str, limits: dict[str, Any], words: str
) -> None:
    owners = Owners(tmp_path, environment(**limits))
    record = owners.run(workflow_payload(code))
    assert record.status is Status.ALGORITHM_FAILED
    assert words in record.reason
    assert owners.left_on_machine(record) == []


def test_logs_of_a_failed_algorithm_are_published_unless_its_owner_wants_none(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    code = "print('why it failed'); raise SystemExit(1)"
    assert "why it failed" in owners.log(owners.run(workflow_payload(code)))
    quiet = owners.run(workflow_payload(code, output={"publishAlgorithmLog": False}))
    assert [each.type for each in quiet.results] == ["configrationLog"]


def test_an_owner_who_wants_no_outputs_gets_none(tmp_path: Path) -> None:
    record = Owners(tmp_path).run(workflow_payload(WRITES, output={"publishOutput": False}))
    assert record.status is Status.FINISHED
    assert {each.type for each in record.results} == {"algorithmLog", "configrationLog", "publishLog"}
