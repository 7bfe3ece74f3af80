"""Runs a session in a step of Dagster: what jobs of operators, of pipelines, and of probes have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.errors import told_to_dagster
from ops.run_beats import beating
from ops.session_metadata import describe_outcome
from ops.session_reporting import DagsterSessionReporter, KeyOf
from runstart.errors import Alert

if TYPE_CHECKING:
    from resources import LauncherResource, ObjectStoreResource, SessionsResource
    from runstart.pipelines import Plan
    from runstart.storage import ObjectStore

SESSION_TAG = "runstart/session"
SESSION = "session"  # a value of KIND_TAG: the queue lets a number of them run at once
OWNERS = ["team:data-systems"]

TIME_LIMIT: dict[str, Any] = {
    "type": "number",
    "title": "Time limit",
    "description": "Seconds after which the session is stopped and the run fails; without it there is no limit. "
    "Waiting for room on the machine does not count.",
}


@contextmanager
def at_session(
    context: dg.OpExecutionContext, object_store: ObjectStoreResource
) -> Iterator[tuple[str, ObjectStore]]:
    """Give a session's name, and the store; meanwhile the run shows that it lives, and carries the name as a tag.

    Who launches the run may have chosen the name by that tag; a retry is a session of its own all the same.

    Raises
    ------
    dagster.Failure
        For an alert; not retried.
    dagster.RetryRequested
        For what passes by itself; the next try is a session of its own.
    """
    from runstart.sessions import new_session_id

    with told_to_dagster(context.retry_number):
        store = object_store.open()
        session_id = _asked_for(context, store) or new_session_id()
        context.instance.add_run_tags(context.run_id, {SESSION_TAG: session_id})
        context.log.info(f"This is session {session_id}.")
        with beating(store, context.run_id):
            yield session_id, store


def run_plan(
    context: dg.OpExecutionContext,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    sessions: SessionsResource,
    make_plan: Callable[[], Plan],
    *,
    session_key: dg.AssetKey,
    key_of: KeyOf,
    triggers: Sequence[str] = (),
    keep_running: bool = False,
    time_limit_s: float | None = None,
) -> str:
    """Run a plan as a session, and return the session's name.

    Parameters
    ----------
    context : dagster.OpExecutionContext
        The step.
    object_store, launcher, sessions : resources
        Keep what is shown, start operators, and say how.
    make_plan : callable
        Returns what is run; its alerts are told as those of the session.
    session_key : dagster.AssetKey
        The asset of the session as a whole.
    key_of : callable
        Returns the asset of an operator.
    triggers : sequence of str, optional
        What operators are asked to do, in this order, each as `operator:trigger`.
    keep_running : bool, optional
        Whether it goes on when its sources have ended.
    time_limit_s : float, optional
        After so many seconds it fails.
    """
    from runstart.sessions import SessionOrder
    from runstart.sessions.outcome import SessionFailed
    from runstart.sessions.runner import run_session

    with at_session(context, object_store) as (session_id, store):
        plan = make_plan()
        pairs = tuple(_read_trigger(text) for text in triggers)
        order = SessionOrder(session_id, plan, context.run_id, pairs, keep_running)
        reporter = DagsterSessionReporter(context, session_id, plan, session_key, key_of, time_limit_s)
        with reporter:
            try:
                outcome = run_session(order, launcher.open(), store, sessions.open(), reporter)
            except SessionFailed as failure:
                reporter.fail(failure.outcome)
                raise
            reporter.finish(outcome)
    context.add_output_metadata(describe_outcome(outcome, None, None))
    return session_id


def _asked_for(context: dg.OpExecutionContext, store: ObjectStore) -> str | None:
    """Return the name that the run's tag asks for, unless a session has it already."""
    from runstart.sessions.records import is_session_id, session_key

    asked = context.run.tags.get(SESSION_TAG, "")
    if not is_session_id(asked) or store.head(session_key(asked, "record.json")) is not None:
        return None
    return asked


def _read_trigger(text: str) -> tuple[str, str]:
    stage, colon, trigger = text.partition(":")
    if not colon:
        raise Alert(f"{text!r} is no trigger.", "Write operator:trigger.")
    return stage, trigger
