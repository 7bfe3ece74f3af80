import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alert_sinks import HttpSink, MailSink, http_sink, mail_sink
from dagster._core.definitions.sensor_definition import SensorExecutionData

from assets import INSTRUMENT_TAG
from resources import ObjectStoreResource
from runstart.alerts import AlertsState, read_known
from runstart.errors import Alert, Transient
from runstart.storage import FileStore
from sensors.alerts import define_alerts_sensor

CONFIGURATION = """
link = "http://ui.example:3000"
over_after_seconds = 0

[[webhooks]]
name = "chat"
url = "{url}"

[email]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "a@example.org"
recipients = ["b@example.org"]
"""
Tick = Callable[[], SensorExecutionData]


class Place:
    """A Dagster instance on SQLite, an object store, and a sensor whose ticks keep their cursor."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.store = FileStore(folder / "store")
        self.file = folder / "alerts.toml"
        self.cursor: str | None = None
        self._sensor = define_alerts_sensor([], self.file)
        self._resources = {"object_store": ObjectStoreResource(url=f"file:{folder / 'store'}")}

    def tick(self) -> SensorExecutionData:
        with dg.build_sensor_context(
            self.instance, self.cursor, resources=self._resources, instance_ref=self.instance.get_ref()
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def tell(self, **changes: Any) -> None:
        """Put the status of a live run into the store."""
        status = {
            "instrument": "SANS",
            "partition_key": "run1",
            "run_name": "SANS 1",
            "dagster_run_id": "",
            "written_at": time.time(),
            "lag_seconds": 0.0,
        } | changes
        self.store.put("live_status/SANS/run1.json", json.dumps(status).encode())


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, instance: dg.DagsterInstance) -> Place:
    return Place(tmp_path, instance)


@contextmanager
def told(place: Place, answers: list[int] | None = None, **replaced: str) -> Iterator[tuple[HttpSink, MailSink]]:
    """Run both servers, configure them, and make the first tick, which tells nothing."""
    with http_sink(answers or ()) as sink, mail_sink() as mails:
        text = CONFIGURATION.format(url=sink.url, port=mails.port)
        for old, new in replaced.items():
            text = text.replace(old, new)
        place.file.write_text(text)
        assert place.tick().skip_message is not None
        assert sink.bodies == []
        yield sink, mails


@dg.op(config_schema={"fails": bool})
def work(context: dg.OpExecutionContext) -> None:
    if context.op_config["fails"]:
        raise dg.Failure("The detector is\non fire.\r\nBcc: x@example.org", allow_retries=False)


@dg.job
def reduction() -> None:
    work()


CONFIG = {"ops": {"work": {"config": {"fails": False}}}}


def new_run(instance: dg.DagsterInstance, partition: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    tags = {"dagster/partition": partition, INSTRUMENT_TAG: "SANS"}
    return instance.create_run_for_job(reduction, run_config=CONFIG, tags=tags, status=status)


def execute(instance: dg.DagsterInstance, *, fails: bool, partition: str = "run1") -> str:
    return reduction.execute_in_process(
        run_config={"ops": {"work": {"config": {"fails": fails}}}},
        instance=instance,
        raise_on_error=False,
        tags={"dagster/partition": partition, INSTRUMENT_TAG: "SANS"},
    ).run_id


def test_a_failed_run_gives_exactly_one_post_and_one_mail_and_its_success_ends_it(place: Place) -> None:
    with told(place) as (sink, mails):
        run_id = execute(place.instance, fails=True)
        for _ in range(3):
            place.tick()
        [body] = sink.bodies
        assert (body["kind"], body["instrument"], body["run"], body["state"]) == (
            "failed_run",
            "SANS",
            "run1",
            "new",
        )
        assert body["link"] == f"http://ui.example:3000/runs/{run_id}"
        assert "The detector is on fire." in body["text"]
        [(_, mail)] = mails.mails
        assert mail["Bcc"] is None
        assert body["link"] in mail.get_payload()

        execute(place.instance, fails=False, partition="another")
        place.tick()
        assert len(sink.bodies) == 1
        execute(place.instance, fails=False)
        for _ in range(2):
            place.tick()
        assert [body["state"] for body in sink.bodies] == ["new", "over"]
        assert len(mails.mails) == 2


def test_what_failed_before_the_first_tick_is_not_told(place: Place) -> None:
    execute(place.instance, fails=True)
    with told(place) as (sink, _):
        place.tick()
        assert sink.bodies == []


def test_a_run_that_failed_and_succeeded_between_two_ticks_is_not_told(place: Place) -> None:
    with told(place) as (sink, _):
        execute(place.instance, fails=True)
        execute(place.instance, fails=False)
        place.tick()
        assert sink.bodies == []
        execute(place.instance, fails=False)
        execute(place.instance, fails=True)
        place.tick()
        assert [body["state"] for body in sink.bodies] == ["new"]


def test_a_delivery_that_fails_is_made_later_and_the_tick_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(place, [500]) as (sink, mails):
        execute(place.instance, fails=True)
        data = place.tick()
        assert "webhook chat: 1 notices were not delivered: it answers with HTTP status 500" in data.skip_message
        assert "secret-path" not in data.skip_message
        place.tick()
        assert (len(sink.bodies), len(mails.mails)) == (0, 1)
        later = time.time() + 31
        monkeypatch.setattr("sensors.alerts.time.time", lambda: later)
        place.tick()
        place.tick()
        assert (len(sink.bodies), len(mails.mails)) == (1, 1)


def test_a_failed_check_is_told_and_its_pass_ends_it(place: Place) -> None:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["run1"]))
    def live_run() -> None:
        """Do nothing."""

    def evaluate(*, passed: bool) -> None:
        @dg.asset_check(asset=live_run, name="complete")
        def complete() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(
                passed=passed, severity=dg.AssetCheckSeverity.WARN, description="3 ids are missing"
            )

        dg.materialize(
            [live_run, complete], instance=place.instance, partition_key="run1", tags={INSTRUMENT_TAG: "SANS"}
        )

    with told(place) as (sink, _):
        for passed in (False, False, True, True):
            evaluate(passed=passed)
            place.tick()
    assert [(body["kind"], body["state"]) for body in sink.bodies] == [
        ("failed_check", "new"),
        ("failed_check", "over"),
    ]
    assert "SANS run1: check complete failed: 3 ids are missing" in sink.bodies[0]["text"]
    assert sink.bodies[0]["link"] == "http://ui.example:3000/assets/live_run?view=checks"


def test_a_live_run_that_lags_is_told_and_told_to_be_well_again(place: Place) -> None:
    with told(place) as (sink, _):
        for lag in (10.0, 61.0, 70.0, 10.0):
            place.tell(lag_seconds=lag)
            place.tick()
        assert [(body["kind"], body["state"]) for body in sink.bodies] == [("lag", "new"), ("lag", "over")]


def test_a_silent_run_is_told_only_while_dagster_thinks_that_it_is_going(place: Place) -> None:
    going = new_run(place.instance, "run1", dg.DagsterRunStatus.STARTED)
    with told(place) as (sink, _):
        place.tell(written_at=time.time() - 300, dagster_run_id=execute(place.instance, fails=False))
        place.tick()
        assert sink.bodies == []
        place.tell(written_at=time.time() - 300, dagster_run_id=going.run_id)
        place.tick()
        assert [body["kind"] for body in sink.bodies] == ["silence"]


def test_a_status_that_cannot_be_understood_stops_nothing(place: Place) -> None:
    with told(place) as (sink, _):
        place.store.put("live_status/SANS/broken.json", b"{")
        place.tell(lag_seconds=61.0)
        place.tick()
        assert [body["kind"] for body in sink.bodies] == ["lag"]


def test_more_failures_than_a_tick_takes_are_told_in_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.run_outcomes.MOST_EVENTS", 4)
    with told(place) as (sink, _):
        for number in range(7):
            run = new_run(place.instance, f"run{number}", dg.DagsterRunStatus.STARTED)
            place.instance.report_run_failed(run, "gone")
        for _ in range(3):
            place.tick()
        assert [len(body["notices"]) for body in sink.bodies] == [4, 3]


def test_failures_after_the_event_log_was_wiped_are_told(place: Place) -> None:
    with told(place) as (sink, _):
        place.cursor = replace(AlertsState.from_json(place.cursor), read_up_to=10**9).to_json()
        place.tick()
        execute(place.instance, fails=True)
        place.tick()
        assert [body["kind"] for body in sink.bodies] == ["failed_run"]


def test_a_store_that_does_not_answer_ends_no_condition(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: FileStore, prefix: str = "") -> list[str]:
        raise Transient("no answer")

    with told(place) as (sink, _):
        place.tell(lag_seconds=61.0)
        place.tick()
        with monkeypatch.context() as patch:
            patch.setattr(FileStore, "list", unreachable)
            execute(place.instance, fails=True)
            place.tick()
        place.tick()
        assert [(body["kind"], body["state"]) for body in sink.bodies] == [("lag", "new"), ("failed_run", "new")]


@pytest.mark.parametrize(
    "cursor",
    ['{"version": 0}', "{", "[]", "{}", '{"version": 1, "memory": [{}], "outbox": [], "read_up_to": null}'],
)
def test_a_cursor_of_another_version_begins_anew(place: Place, cursor: str) -> None:
    with told(place):
        place.cursor = cursor
        place.tick()
    assert AlertsState.from_json(place.cursor).read_up_to is not None


@pytest.mark.parametrize(
    ("text", "said"), [(None, "does not exist"), ("[rules]\n", "names no webhook and no e-mail")]
)
def test_what_is_wrong_is_left_for_pages_though_nobody_is_told(place: Place, text: str | None, said: str) -> None:
    if text is not None:
        place.file.write_text(text)
    assert said in (place.tick().skip_message or "")
    execute(place.instance, fails=True)
    place.tell(lag_seconds=61.0)
    place.tick()
    shown = [known.condition for known in read_known(place.store)]
    assert {(each.kind, each.instrument, each.partition_key) for each in shown} == {
        ("failed_run", "SANS", "run1"),
        ("lag", "SANS", "run1"),
    }
    execute(place.instance, fails=False)
    place.tick()
    assert [known.condition.kind for known in read_known(place.store)] == ["lag"]


def test_a_mistake_in_the_file_fails_the_tick_with_file_and_line(place: Place) -> None:
    place.file.write_text("[rules]\nlag_second = 1\n")
    with pytest.raises(Alert, match=r"alerts\.toml:2: rules\.lag_second: .*did you mean 'lag_seconds'"):
        place.tick()


def test_quiet_hours_hold_a_notice_back_and_exceptions_pass(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = 'quiet_hours = { from = "00:00", to = "23:59", except = ["failed_run"] }'
    noon = 43_200.0 + 86_400.0 * (time.time() // 86_400.0)
    monkeypatch.setattr("sensors.alerts.time.time", lambda: noon)
    with told(place, over_after_seconds=f"{quiet}\nover_after_seconds") as (sink, _):
        place.tell(lag_seconds=61.0, written_at=noon)
        place.tick()
        assert sink.bodies == []
        execute(place.instance, fails=True)
        place.tick()
        assert [body["kind"] for body in sink.bodies] == ["failed_run"]
        place.file.write_text(place.file.read_text().replace(quiet, ""))
        place.tick()
        assert [body["kind"] for body in sink.bodies] == ["failed_run", "lag"]
