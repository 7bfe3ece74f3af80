from __future__ import annotations

import pytest

from gateway.audit import AuditLog
from runstart.errors import Alert
from runstart.storage import ObjectStore

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC


def test_changes_are_listed_by_day_in_order_of_time(store: ObjectStore) -> None:
    times = iter([NOON, NOON + 0.000001, NOON + 43_200])
    log = AuditLog(store, lambda: next(times))
    for number in range(3):
        log.write("maria", "compute.start", f"job{number}", environment="ocean-compute")
    assert [entry["subject"] for entry in log.list("2026-01-01")] == ["job0", "job1"]
    assert log.list("2026-01-02") == [
        {
            "at": "2026-01-02T00:00:00.000000+00:00",
            "who": "maria",
            "action": "compute.start",
            "subject": "job2",
            "environment": "ocean-compute",
        }
    ]


def test_two_changes_at_one_instant_are_both_kept(store: ObjectStore) -> None:
    log = AuditLog(store, lambda: NOON)
    for _ in range(5):
        log.write("maria", "token.new", "x")
    assert len(log.list("2026-01-01")) == 5


def test_long_texts_are_cut(store: ObjectStore) -> None:
    log = AuditLog(store, lambda: NOON)
    log.write("maria", "x", "s" * 10_000, detail="d" * 10_000)
    (entry,) = log.list("2026-01-01")
    assert (len(entry["subject"]), len(entry["detail"])) == (400, 400)


@pytest.mark.parametrize("day", ["", "..", "2026-1-1", "2026-01-01/../../tokens"])
def test_what_is_no_day_is_refused(store: ObjectStore, day: str) -> None:
    with pytest.raises(Alert, match="is no day"):
        AuditLog(store).list(day)
