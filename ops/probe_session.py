"""Probe sessions as a Dagster job: a probe, a stream, and perhaps a segmentation, through which numbered messages go."""

import time
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ops.live_display import LINE_BYTES, EventLogBudget, GrowingInterval
from ops.session_metadata import describe_line, describe_status
from ops.session_reporting import EVENT_LOG_BUDGET, FIGURES_BYTES, FIRST_INTERVAL, SteadyLines
from ops.session_running import SESSION, at_session
from ops.tags import KIND_TAG
from resources import LauncherResource, ObjectStoreResource, SessionsResource

if TYPE_CHECKING:
    from runstart.probe_sessions import ProbeOutcome
    from runstart.sessions import Published, SessionStatus

PROBE_JOB = "probe_session"
PROBE_KEY = dg.AssetKey(["sessions", "probe"])
_COUNTS = ("sent", "received", "forwarded")


class ProbeConfig(dg.Config):
    """What goes through a probe session."""

    count: int = Field(description="How many messages the probe sends, 1 to 10 000 000.")
    plain_stream: bool = Field(
        default=True, description="Whether the stream is their end; else it forwards them to a segmentation."
    )


def define_probe_job() -> dg.JobDefinition:
    """Return the job of probe sessions; its config is count and form, flat."""

    @dg.job(
        name=PROBE_JOB,
        description="Runs a probe session: a probe sends numbered messages to a stream, which may forward them to a "
        "segmentation. All must arrive; where some are lost is told. Terminate the run to stop it.",
        config=dg.ConfigMapping(
            config_fn=lambda config: {"ops": {"run_probe": {"config": config}}},
            config_schema=ProbeConfig.to_config_schema(),
        ),
        executor_def=dg.in_process_executor,
        tags={KIND_TAG: SESSION},
    )
    def job() -> None:
        run_probe()

    return job


@dg.op(
    description="Starts the programs in the order in which they connect, each in a process or container of its own, counts "
    "what goes through them, and removes everything at the end.",
    out=dg.Out(dg.String, description="The session: its record lies under sessions/ID/ in the object store."),
    tags={"dagster/compute_kind": "python"},
)
def run_probe(
    context: dg.OpExecutionContext,
    config: ProbeConfig,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    sessions: SessionsResource,
) -> str:
    """Run a probe session, and return its name."""
    from runstart.probe_sessions import ProbeOrder, ProbeSessionFailed, run_probe_session

    with at_session(context, object_store) as (session_id, store):
        order = ProbeOrder(config.count, config.plain_stream, session_id)
        reporter = _ProbeReporter(context)
        settings = sessions.open()
        try:
            outcome = run_probe_session(order, launcher.open(), store, settings, reporter, context.run_id)
        except ProbeSessionFailed as failure:
            context.log_event(dg.AssetObservation(PROBE_KEY, metadata=_describe(failure.outcome)))
            raise
    metadata = _describe(outcome)
    context.log_event(dg.AssetMaterialization(PROBE_KEY, metadata=metadata))
    context.add_output_metadata(metadata)
    return session_id


class _ProbeReporter:
    """Tells Dagster how a probe session goes: in lines, and in observations at growing intervals."""

    def __init__(self, context: dg.OpExecutionContext) -> None:
        self._context = context
        self._lines = SteadyLines()
        self._observations = GrowingInterval(FIRST_INTERVAL)
        self._budget = EventLogBudget(EVENT_LOG_BUDGET, 0)

    def log(self, text: str) -> None:
        """Write a sentence to the run's log."""
        if self._budget.spend(LINE_BYTES + len(text)):
            self._context.log.info(text)

    def status(self, status: "SessionStatus") -> None:
        """Log and observe when it is time."""
        now = time.monotonic()
        if self._lines.is_time(now):
            self.log(describe_line(status))
        if self._observations.is_over(now) and self._budget.spend(FIGURES_BYTES):
            self._observations.begin(now)
            metadata = describe_status(status, None, None)
            self._context.log_event(dg.AssetObservation(PROBE_KEY, metadata=metadata))

    def published(self, published: "Published") -> None:
        """Take nothing: the programs of a probe session show no outputs."""


def _describe(outcome: "ProbeOutcome") -> dict[str, Any]:
    rows = [
        dg.TableRecord({"program": program, **{name: f"{counts.get(name, 0):,}" for name in _COUNTS}})
        for program, counts in outcome.counts.items()
    ]
    return {
        "outcome": outcome.state,
        "arrived": outcome.arrived,
        "count": outcome.count,
        "programs": dg.MetadataValue.table(rows),
        "form": outcome.stream_type,
        "seconds": round(outcome.seconds, 3),
        "messages_per_s": round(outcome.arrived / outcome.seconds, 1) if outcome.seconds else 0.0,
        "troubles": dg.MetadataValue.md("\n".join(f"- {text}" for text in outcome.troubles) or "none"),
        "session": outcome.session_id,
    }
