from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from runstart.errors import Alert
from runstart.host import Demand, HostResources, Reservations
from runstart.pipelines import Plan, Stage
from runstart.sessions import reserving
from runstart.sessions.order import Allowance, SessionSettings
from runstart.sessions.reserving import demand_of, wait_for_room
from runstart.specifications import OperatorSpec

HOST = HostResources("here", 2.0, 0.0, 8 << 30, 6 << 30, "/tmp", 100 << 30, 50 << 30)
OURS, OTHER = "0123456789ABCDEF", "FEDCBA9876543210"


def stage(name: str, parallelism: int = 1, *tags: str) -> Stage:
    spec = OperatorSpec.model_validate(
        {
            "id": str(uuid4()),
            "label": name,
            "description": "",
            "image": f"x/{name}",
            "tags": [{"value": tag} for tag in tags],
        }
    )
    return Stage(name, uuid4(), spec, parallelism=parallelism)


def test_own_allowances_are_reserved_in_full_and_others_by_their_share() -> None:
    plan = Plan("p", (stage("a"), stage("b", 4), stage("c", 2, "gpu")), ())
    settings = SessionSettings(
        allowances={"b": Allowance(cpus=0.25, memory_bytes=1 << 30)},
        reserved_cpus=0.1,
        reserved_memory_bytes=100,
        disk_bytes=7,
    )

    demand = demand_of(plan, settings, HOST)

    assert demand.cpus == pytest.approx(4 * 0.25 + 3 * 0.1)
    assert demand == replace(demand, memory_bytes=(4 << 30) + 300, disk_bytes=7, gpus=2)


def test_replicas_without_an_allowance_never_keep_a_session_off_a_machine_of_few_processors() -> None:
    plan = Plan("p", (stage("a", 128),), ())

    assert demand_of(plan, SessionSettings(reserved_cpus=0.1), HOST).cpus == 2.0


def test_session_waits_with_the_reason_until_another_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserving, "LOOK_S", 0.0)
    reservations = Reservations(tmp_path)
    held = reservations.reserve(OTHER, Demand(memory_bytes=5 << 30), HOST)
    assert not isinstance(held, str)
    reasons: list[str] = []

    def wait(reason: str) -> bool:
        reasons.append(reason)
        if len(reasons) == 2:
            held.release()
        return True

    got = wait_for_room(reservations, OURS, Demand(memory_bytes=4 << 30), lambda: HOST, wait)

    assert got is not None
    got.release()
    assert len(reasons) == 2
    assert OTHER in reasons[0]


def test_waiting_session_that_is_not_wanted_any_more_reserves_nothing(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    with reservations.reserve(OTHER, Demand(memory_bytes=5 << 30), HOST) as held:  # type: ignore[union-attr]
        assert (
            wait_for_room(reservations, OURS, Demand(memory_bytes=4 << 30), lambda: HOST, lambda _: False) is None
        )
        assert [one.session_id for one in reservations.living()] == [held.held.session_id]


def test_session_that_can_never_fit_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="never"):
        wait_for_room(Reservations(tmp_path), OURS, Demand(memory_bytes=9 << 30), lambda: HOST, lambda _: True)
