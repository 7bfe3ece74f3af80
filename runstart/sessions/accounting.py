"""The account of a session that has ended: what became of each operator's messages, and how well that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runstart.sessions.ledger import Counts, Flow, bounds_of, flows_of
from runstart.sessions.outcome import Bound, OperatorTotals
from runstart.sessions.replicas import Life, Replica

if TYPE_CHECKING:
    from runstart.pipelines import Link, Stage


def account_of(
    stages: Mapping[str, Stage],
    links: Sequence[Link],
    replicas: Mapping[str, Sequence[Replica]],
    counts: Mapping[str, Counts],
) -> dict[str, OperatorTotals]:
    """Return what became of the messages of each stage, when nothing of it runs any more.

    Parameters
    ----------
    stages : mapping of str to Stage
        All of the plan, in topological order.
    links : sequence of Link
        All of the plan; the order of those out of a stage is that of its `Counts.sent`.
    replicas : mapping of str to sequence of Replica
        Of each stage.
    counts : mapping of str to Counts
        Of each stage, all its processes together.
    """
    flows = flows_of(links, counts)
    unsaid = {name for name in stages if any(replica.unsaid for replica in replicas[name])}
    unasked = {
        name
        for name, stage in stages.items()
        if stage.spec.triggers or any(replica.unsaid_at_finish for replica in replicas[name])
    }
    bounds = bounds_of(links, flows, unsaid, unasked)
    return {name: _totals_of(flows[name], replicas[name], bounds[name]) for name in stages}


def _totals_of(flow: Flow, replicas: Sequence[Replica], bound: Bound) -> OperatorTotals:
    return OperatorTotals(
        received=flow.received,
        finished=flow.finished,
        failed=flow.failed,
        emitted=flow.emitted,
        lost_before=flow.queue,
        lost_inside=flow.inside,
        forgotten=sum(replica.forgotten for replica in replicas),
        repeated=sum(replica.repeated for replica in replicas),
        unsaid=0 if bound == "exactly" else sum(replica.unsaid for replica in replicas),
        bound=bound,
        dead_letters=flow.failed,
        restarts=sum(replica.restarts for replica in replicas),
        gave_up=sum(replica.life is Life.GAVE_UP for replica in replicas),
        failed_at_end=sum(replica.failed_at_end for replica in replicas),
        peak_memory_bytes=max(replica.peak_memory_bytes for replica in replicas),
        troubles=tuple(trouble for replica in replicas for trouble in replica.troubles),
    )
