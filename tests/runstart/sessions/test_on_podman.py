"""Sessions in containers of a real engine: the same results as in processes, and nothing lost without being counted."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from left_behind import pardon
from scan_messages import FRAME, SCAN, make_events
from session_kit import LAUNCHER, House, Remembering, line

from runstart.errors import Alert
from runstart.facility import HOST_IMAGE, host_mounts
from runstart.frame_files import write_counted
from runstart.frames import Crop, center_of_mass, crop_mask
from runstart.launchers import DockerLauncher, Launcher, Task
from runstart.pipelines import Link, Plan, Stage, make_plan, read_pipeline
from runstart.sessions import (
    Allowance,
    SessionFailed,
    SessionOrder,
    SessionOutcome,
    new_session_id,
    run_session,
)
from runstart.sessions.labels import OPERATOR_LABEL, REPLICA_LABEL, SESSION_LABEL
from runstart.sessions.wiring import ContainerWiring
from runstart.specifications import check_values, find_operators

if TYPE_CHECKING:
    from docker import APIClient

    from runstart.facility import Podman

pytestmark = [pytest.mark.real, pytest.mark.faults, pytest.mark.timeout(180)]

OPERATORS = Path(__file__).resolve().parents[3] / "operators"
CROP = {"crop_to_x": 6, "crop_to_y": 8, "init_center_x": 12, "init_center_y": 16}


class ContainerHouse(House):
    """Sessions of which each replica is a container."""

    def __init__(self, folder: Path, podman: Podman) -> None:
        super().__init__(folder)
        # What runs in a container is nobody's on this machine.
        for path in (folder, *folder.parents[:2]):
            path.chmod(path.stat().st_mode | 0o111)
        self.out.chmod(0o777)
        self.launcher = DockerLauncher(podman.environment)
        self.change(image=HOST_IMAGE, image_mounts=host_mounts(), ready_s=60.0, grace_s=10.0)

    def run(self, plan: Plan, **order: Any) -> SessionOutcome:
        """Run a plan; afterwards nothing is left, however it has ended."""
        asked = SessionOrder(self.session_id, plan, **order)
        try:
            return run_session(asked, self.launcher, self.store, self.settings, self.reporter)
        finally:
            self.assert_nothing_is_left()

    def assert_nothing_is_left(self) -> None:
        super().assert_nothing_is_left()
        assert self.launcher.list({}) == []
        assert self.launcher.list_networks({}) == []

    def task(self, operator: str, replica: int = 0) -> Task:
        """Return the container of a replica."""
        labels = {SESSION_LABEL: self.session_id, OPERATOR_LABEL: operator, REPLICA_LABEL: str(replica)}
        (listed,) = self.launcher.list(labels)
        return listed.task


@pytest.fixture
def house(tmp_path: Path, podman: Podman) -> ContainerHouse:
    return ContainerHouse(tmp_path, podman)


@pytest.fixture
def engine(podman: Podman) -> Iterator[APIClient]:
    """What acts on containers behind our back."""
    from docker import APIClient

    client = APIClient(podman.url, version="auto")
    yield client
    client.close()


def test_the_centres_of_mass_of_a_scan_are_those_of_the_kernel_and_of_a_session_of_processes(
    house: ContainerHouse,
) -> None:
    events = make_events(each=2)
    raw = house.folder / "raw"
    raw.mkdir()
    write_counted(raw / "scan.h5", events, SCAN, FRAME, 2)
    plan = _center_of_mass_plan(raw)
    house.change(operators={name: found.folder for name, found in find_operators([OPERATORS]).items()})
    maps = [_maps_of(house, launcher, plan) for launcher in (house.launcher, LAUNCHER)]
    mask = crop_mask(Crop(half_rows=6, half_columns=8), (12, 16), FRAME)
    assert np.array_equal(maps[0], center_of_mass(events, SCAN, crop=mask), equal_nan=True)
    assert np.array_equal(maps[0], maps[1], equal_nan=True)


def _center_of_mass_plan(raw: Path) -> Plan:
    """Return the plan of the pipeline that ships, with one stage more: it keeps the maps as they are."""
    found = find_operators([OPERATORS])
    reader = {"raw_data_dir": str(raw), "filename": "scan.h5", "batch_size_mb": 0.001}
    values = {"reader": reader, "partial": CROP, "reduce": {"emit_every": 0}}
    pipeline = read_pipeline(OPERATORS / "pipelines" / "center_of_mass.json")
    plan = make_plan(pipeline, "center_of_mass", found, values)
    spec = found["output-collector"].spec
    collector = Stage("collector", uuid.uuid4(), spec, "output-collector", 1, check_values(spec, {}, "collector"))
    reduced = next(link for link in plan.links if link.source == "reduce")
    link = Link("reduce", reduced.source_port, "collector", spec.inputs[0].name)
    return Plan(plan.name, (*plan.stages, collector), (*plan.links, link))


def _maps_of(house: ContainerHouse, launcher: Launcher, plan: Plan) -> np.ndarray:
    reporter = Remembering()
    order = SessionOrder(new_session_id(), plan, triggers=(("reader", "read_now"),))
    outcome = run_session(order, launcher, house.store, house.settings, reporter)
    assert outcome.state == "finished"
    house.assert_nothing_is_left()
    (kept,) = [output for output in reporter.outputs if output.operator == "collector" and output.keep]
    found: np.ndarray = np.load(io.BytesIO(kept.data))
    return found


def test_a_killed_replica_is_started_again_and_its_losses_are_counted(
    house: ContainerHouse, engine: APIClient
) -> None:
    plan = line(house.source(400), house.work(replicas=2, pause_ms=5), house.sink())
    house.once(lambda now: now["work"].finished > 10, lambda: engine.kill(house.task("work", 1).identifier))
    with pytest.raises(SessionFailed, match=r"messages? .*lost") as caught:
        house.run(plan)
    house.assert_all_counted(caught.value, 400)
    assert caught.value.outcome.operators["work"].restarts == 1
    assert "work (replica 1) is ready again" in house.reporter.text


def test_a_container_that_is_removed_from_outside_is_made_again_and_its_losses_are_counted(
    house: ContainerHouse, engine: APIClient
) -> None:
    plan = line(house.source(200, pause_ms=5), house.work(pause_ms=5), house.sink())
    house.once(
        lambda now: now["work"].finished > 10,
        lambda: engine.remove_container(house.task("work").identifier, force=True),
    )
    with pytest.raises(SessionFailed) as caught:
        house.run(plan)
    house.assert_all_counted(caught.value, 200)
    assert caught.value.outcome.operators["work"].restarts == 1
    assert "removed from outside" in house.reporter.text


def test_a_container_that_eats_memory_is_ended_at_its_limit_and_named(house: ContainerHouse) -> None:
    house.change(allowances={"work": Allowance(memory_bytes=150 << 20)})
    with pytest.raises(SessionFailed, match="work used more memory than its limit") as caught:
        house.run(line(house.source(20, pause_ms=20), house.work(at=3, does="eat"), house.sink()))
    house.assert_all_counted(caught.value, 20)


def test_an_engine_that_is_killed_and_started_again_costs_no_message(house: ContainerHouse, podman: Podman) -> None:
    def restart() -> None:
        podman.kill()
        podman.start()
        pardon(podman.pid)

    house.once(lambda now: now["sink"].finished > 10, restart)
    outcome = house.run(line(house.source(400, pause_ms=10), house.work(), house.sink()))
    assert outcome.state == "finished"
    assert house.numbers() == list(range(400))


def test_a_host_that_does_not_resolve_is_named(house: ContainerHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContainerWiring, "_reached_at", lambda *_: "tcp://no-such-host.invalid:47000")
    house.change(resolve_s=0.5)
    with pytest.raises(Alert, match=r"no-such-host\.invalid"):
        house.run(line(house.source(10), house.sink()))
