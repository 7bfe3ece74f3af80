"""Live runs on a deployment as a facility has it: each RunStart becomes a pod that counts exactly, whatever befalls it."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import httpx
import k8s_compute_kit
import numpy as np
import pytest
from astropy.io import fits
from compute_kit import ENVIRONMENT
from dagster_kit import small_instrument
from k8s_compute_kit import ClusterCompute
from k8s_facility_kit import ClusterFacility
from recorded_run import (
    N_EVENTS,
    RECORDED_TABLE,
    find_recorded_run,
    histogram_recorded_run,
    make_recorded_run,
)
from scripted_stream import PULSE_MS, Scripted, ScriptedRun, check_against, make_messages, publish, recount

from ops.live_pods import live_pod
from runstart.live import name_partition, read_head
from runstart.live.snapshot import DamagedSnapshot, load_snapshot
from runstart.simulators import ReplaySummary, connect_publisher, read_nexus_events, replay

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900)]

PLAYED, KILLED, ROLLED, LATE = "PLAYED", "KILLED", "ROLLED", "LATE"
POD_S = 10  # in which an algorithm's pod is made
SPEED = 3.0  # 30 s of pulses in 10 s
SETTINGS = {"RUNSTART_FITS_FOLDERS": "images=/archive", **k8s_compute_kit.SETTINGS}
FILES, HAS_GATEWAY = k8s_compute_kit.FILES, True
MEDIAN = {"input_files": [f"images/{value}.fits" for value in range(3)]}
PULSES = 160
STOP_MS = 150 * PULSE_MS
TABLES = RECORDED_TABLE.format(name=PLAYED) + "".join(
    small_instrument(name, snapshot_interval=1.0, grace=2.0) for name in (KILLED, ROLLED, LATE)
)
PASSED = {"ledger_adds_up": True, "complete": True}


@dataclass
class Live:
    """A run of scripted messages."""

    facility: ClusterFacility
    run: ScriptedRun
    sent: int = 0
    messages: list[Scripted] = field(init=False)

    def __post_init__(self) -> None:
        self.messages = make_messages(self.run, range(-5, PULSES - 5), partitions=(0, 0, 1))

    @property
    def instrument(self) -> str:
        return self.run.instrument.name

    @property
    def key(self) -> str:
        return name_partition(self.run.name, self.run.start_ms)

    def publish(self, upto: int) -> None:
        """Publish the messages before the given one."""
        part = [(message.payload, message.partition) for message in self.messages[self.sent : upto]]
        publish(self.facility.bootstrap_servers, self.run.instrument.topics.events, part, partitions=2)
        self.sent = upto

    def wait_for_snapshot(self) -> int:
        """Wait until a snapshot has all that was published; return how many events are in its views."""

        def counted() -> int | None:
            snapshots = read_head(self.facility.store, self.instrument, self.key).snapshots
            if not snapshots:
                return None
            try:
                newest = load_snapshot(self.facility.store, snapshots[-1], self.run.instrument)
            except DamagedSnapshot:
                return None  # newer ones have taken its place meanwhile
            return newest.events_in_views if sum(newest.next_offsets.values()) == self.sent else None

        events: int = self.facility.wait_for(
            counted, f"a snapshot of {self.sent} messages of {self.instrument}", 120
        )
        return events

    def finish(self) -> dg.DagsterRun:
        """Publish the rest and the RunStop; demand the exact result, and return the Dagster run that made it."""
        self.publish(PULSES)
        stop_ms = self.run.start_ms + STOP_MS
        self.facility.publish_stop(self.run, stop_ms)
        _, result = self.facility.wait_for_result(self.run, 180)
        check_against(recount(self.run, self.messages, stop_ms), result, self.facility.product(result))
        newest = self.facility.runs(self.instrument, self.key)[0]
        assert self.facility.checks(newest.run_id) == PASSED
        return newest


@dataclass
class Played:
    """The recorded run, published at an instrument."""

    file: Path
    summary: ReplaySummary
    run: ScriptedRun


@dataclass
class Begun:
    """What goes on at the same time: the recorded run, a scripted one, and the Dagster run of an operation."""

    played: Played
    live: Live
    median: str


@dataclass
class Ordered:
    """A job that was ordered through the gateway."""

    compute: ClusterCompute
    mean: str


@pytest.fixture(scope="module")
def begun(facility: ClusterFacility, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    live = Live(facility, facility.announce(KILLED))
    for value in range(3):
        image = fits.PrimaryHDU(np.full((32, 32), value, np.float32))
        image.writeto(facility.deployment.archive / f"{value}.fits")
    launched = facility.launch("median", MEDIAN)
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return Begun(_play(facility, tmp_path_factory.mktemp("recorded")), live, launched["run"]["runId"])


def _play(facility: ClusterFacility, folder: Path) -> Played:
    file = find_recorded_run() or make_recorded_run(folder / "made.nxs")
    instrument = facility.instruments[PLAYED]
    topics = {instrument.topics.run_info: 1, instrument.topics.events: 2}
    with connect_publisher(facility.bootstrap_servers, topics) as publisher:
        summary = replay(read_nexus_events(file), publisher, instrument, speed=SPEED)
    return Played(file, summary, ScriptedRun(instrument, summary.run_name, summary.start_time_ms))


def test_a_replayed_run_is_counted_in_a_pod_to_numpys_histograms(facility: ClusterFacility, begun: Begun) -> None:
    played = begun.played
    instrument = facility.instruments[PLAYED]
    key, result = facility.wait_for_result(played.run, timeout=180)

    tof, pixel, columns = histogram_recorded_run(played.file, instrument)
    assert {name: result.ledger[name] for name in columns} == columns
    assert columns["events_counted"] > 0.99 * N_EVENTS
    product = facility.product(result)
    np.testing.assert_array_equal(product.arrays["tof"], tof[np.newaxis])
    np.testing.assert_array_equal(product.arrays["pixel"], pixel[np.newaxis])

    (run,) = facility.runs(PLAYED, key)
    assert run.tags["dagster/sensor_name"] == "run_starts"
    assert (run.tags["runstart/kind"], run.tags["dagster/priority"]) == ("live", "100")
    assert facility.checks(run.run_id) == PASSED
    (line,) = (text for text in facility.said(run) if "s after the RunStart: " in text)
    assert re.search(r"[\d.]+ s until its process, or its pod, was started, [\d.]+ s until Python", line)
    assert facility.instance.get_materialized_partitions(dg.AssetKey([PLAYED, "live_run"])) == {key}
    facility.wait_for(
        lambda: (
            facility.status(PLAYED)["lastRun"]
            == {"name": run.tags["runstart/run_name"], "key": key, "state": "Finished"}
        ),
        f"the end of the run in the status of {PLAYED}",
        60,
    )


@pytest.fixture(scope="module")
def ordered(facility: ClusterFacility, begun: Begun) -> Ordered:
    """The mean spectrum of the recorded run, for somebody who never sees it."""
    compute = ClusterCompute(facility)
    facility.deployment.wait("gateway")
    _, result = facility.wait_for_result(begun.played.run, timeout=180)
    return Ordered(compute, compute.order_mean_spectrum(f"{result.folder}/run.nxs"))


def test_the_gateway_takes_a_signed_order_once(ordered: Ordered) -> None:
    compute, wallet = ordered.compute, ordered.compute.client.wallet
    (job,) = compute.client.follow(jobId=ordered.mean)

    assert job["owner"] == wallet.address
    assert list(compute.client.environments()) == [ENVIRONMENT]
    again = wallet.signed(wallet.address, ordered.mean)
    answers = [httpx.get(f"{compute.url}/api/v1/operator/compute", params=again, trust_env=False) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert httpx.get(f"{compute.url}/api/instruments/", trust_env=False).status_code == 401
    assert "<title>" in httpx.get(compute.url, headers={"Accept": "text/html"}, trust_env=False).text


def test_an_instrument_tells_of_the_run_that_its_pod_counts(facility: ClusterFacility, begun: Begun) -> None:
    live = begun.live
    live.publish(PULSES // 3)
    run = facility.wait_for_start(KILLED)
    live.wait_for_snapshot()

    spec = facility.pod(run)["spec"]
    wanted = live_pod(facility.instruments[KILLED])
    assert spec["containers"][0]["resources"] == wanted["container_config"]["resources"]
    assert spec["containers"][0]["image"] == "runstart/code-location:0.1.0"
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == ("live-runs", "runstart-live")

    def told() -> bool:
        status = facility.status(KILLED)
        state = status.get("lastRun", {}).get("state")
        return state == "Counting" and "lastSnapshot" in status and status.get("lag") is not None

    facility.wait_for(told, f"the live run in the status of {KILLED}", 60)
    assert facility.status(KILLED)["lastRun"]["key"] == live.key


def test_a_run_whose_pod_was_deleted_and_whose_process_was_killed_ends_with_exact_counts(
    facility: ClusterFacility, begun: Begun
) -> None:
    live = begun.live
    first = facility.wait_for_start(KILLED)
    before_deletion = live.wait_for_snapshot()
    facility.delete_pod(first)
    live.publish(2 * PULSES // 3)
    second = facility.wait_for_start(KILLED, number=2)
    before_kill = live.wait_for_snapshot()
    facility.kill_process(second)
    third = facility.wait_for_start(KILLED, number=3)

    assert live.finish().run_id == third.run_id
    assert len(facility.runs(KILLED)) == 3
    assert "The pod of this run ended: deleted." in facility.failure(first)
    assert "The pod of this run ended: exit." in facility.failure(second)
    assert "by the signal SIGKILL" in facility.failure(second)
    for run, events in ((second, before_deletion), (third, before_kill)):
        assert run.root_run_id == first.run_id
        assert any(f"Resumed from a snapshot with {events:,} events" in text for text in facility.said(run))


def test_a_strangers_algorithm_makes_numpys_mean_spectrum_in_a_pod_that_may_do_nothing_else(
    ordered: Ordered, begun: Begun
) -> None:
    job = ordered.compute.end_of(ordered.mean)
    assert (job["status"], job["reason"]) == (70, "")
    results = ordered.compute.client.results(job)

    tof, pixel, _ = histogram_recorded_run(begun.played.file, begun.played.run.instrument)
    table = np.loadtxt(io.BytesIO(results["mean_spectrum.csv"]), delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 2], tof / pixel.size, rtol=1e-12)
    look = json.loads(results["look.json"])
    none = "0" * 16
    assert look["rights"] == [none, none, "1", "2"]
    assert look["user"] == [10001, 10001]
    assert {place for place, how in look["written"].items() if how == "written"} == {"/data/outputs/x", "/tmp/x"}
    assert (look["secrets"], look["others"]) == (False, [])
    assert look["volume"] == ["ddos", "inputs", "logs", "outputs", "transformations"]
    assert not [name for name in look["variables"] if name.startswith(("AWS_", "DAGSTER_PG_", "RUNSTART_OBJECT"))]
    assert look["names"] == ["nameserver", "127.0.0.1"]


def test_a_strangers_algorithm_is_bounded_and_leaves_nothing_when_it_is_stopped_or_its_run_is_killed(
    facility: ClusterFacility, ordered: Ordered
) -> None:
    compute = ordered.compute
    stopped, killed = compute.order_sleep(), compute.order_sleep()
    pod = compute.pod(stopped)
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert (limits["cpu"], limits["memory"], limits["ephemeral-storage"]) == k8s_compute_kit.LIMITS
    assert spec["activeDeadlineSeconds"] <= k8s_compute_kit.MAX_S + POD_S
    assert (spec["automountServiceAccountToken"], spec["serviceAccountName"]) == (False, "default")
    assert pod["metadata"]["labels"]["runstart.science/has-network"] == "false"
    assert facility.pod(compute.run_of(stopped))["spec"]["serviceAccountName"] == "compute-runs"

    compute.client.stop(stopped)
    compute.pod(killed)
    facility.kill_process(compute.run_of(killed))

    job = compute.end_of(stopped)
    assert (job["status"], job["statusText"]) == (71, "Job stopped")
    facility.wait_for(lambda: compute.run_of(stopped).status is dg.DagsterRunStatus.CANCELED, "its run's end", 60)
    job = compute.end_of(killed)
    assert (job["status"], job["statusText"], job["results"]) == (41, "Algorithm failed", "")
    assert compute.run_of(killed).status is dg.DagsterRunStatus.FAILURE


def test_what_is_launched_from_the_page_is_computed_in_a_pod_of_its_own(
    facility: ClusterFacility, begun: Begun, tmp_path: Path
) -> None:
    def ended() -> dg.DagsterRun | None:
        run = facility.instance.get_run_by_id(begun.median)
        return run if run is not None and run.is_finished else None

    run: dg.DagsterRun = facility.wait_for(ended, "the end of the median", 180)
    said = facility.said(run)
    assert run.status is dg.DagsterRunStatus.SUCCESS, said
    assert any('Executing step "compute_median" in Kubernetes job dagster-step-' in text for text in said)
    (name,) = (name for name in facility.store.list("operations/") if name.endswith(".fits"))
    (tmp_path / "median.fits").write_bytes(facility.store.get(name).data)
    with fits.open(tmp_path / "median.fits") as hdus:
        assert (hdus["SCI"].data == 1).all()


def test_the_page_for_everybody_launches_nothing(facility: ClusterFacility, begun: Begun) -> None:
    assert facility.launch("median", MEDIAN, "webserver-read-only")["__typename"] == "UnauthorizedError"


def test_an_upgrade_of_everything_disturbs_no_live_run_and_misses_none(
    facility: ClusterFacility, begun: Begun
) -> None:
    rolled = Live(facility, facility.announce(ROLLED))
    rolled.publish(PULSES // 3)
    run = facility.wait_for_start(ROLLED)
    pod = facility.pod(run)
    image = facility.tag_image("0.1.1")
    facility.deployment.use_image(image)
    facility.deployment.apply()

    late = Live(facility, facility.announce(LATE))
    late.publish(PULSES)
    rolled.publish(2 * PULSES // 3)
    begun_late = facility.wait_for_start(LATE)
    facility.deployment.wait()
    now = facility.pod(run)
    assert now["metadata"]["uid"] == pod["metadata"]["uid"]
    assert now["status"]["containerStatuses"][0]["restartCount"] == 0
    assert rolled.finish().run_id == run.run_id
    assert late.finish().run_id == begun_late.run_id
    assert len(facility.runs(ROLLED)) == len(facility.runs(LATE)) == 1


def test_runs_leave_no_pod_job_or_config_map(facility: ClusterFacility, begun: Begun) -> None:
    facility.wait_for(lambda: not facility.left(), "the removal of what runs have left", 60)
