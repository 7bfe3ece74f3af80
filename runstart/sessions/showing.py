"""Makes the status of a session from what is known of its operators: totals, and rates since the last status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runstart.pipelines import Link, Rate
from runstart.sessions.draining import Phase
from runstart.sessions.ledger import Counts, flows_of, sent_on
from runstart.sessions.replicas import Life, Replica, state_of
from runstart.sessions.status import OperatorStatus

if TYPE_CHECKING:
    from runstart.sessions.ledger import Flow

_SHORTEST_S = 1e-3


class Meter:
    """Measures what goes through a session.

    Parameters
    ----------
    links : sequence of Link
        All of the plan, in the order in which operators count.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._last: tuple[float, Mapping[str, Counts]] | None = None

    def measure(
        self,
        stages: Mapping[str, Sequence[Replica]],
        counts: Mapping[str, Counts],
        phases: Mapping[str, Phase],
        now: float,
    ) -> tuple[tuple[OperatorStatus, ...], dict[Link, Rate]]:
        """Return how the operators stand, and what goes over the links.

        Parameters
        ----------
        stages : mapping of str to sequence of Replica
            All operators with their replicas.
        counts : mapping of str to Counts
            What each has counted.
        phases : mapping of str to Phase
            How far each is.
        now : float
            Monotonic seconds.
        """
        before_at, before = self._last or (now, counts)
        seconds = max(now - before_at, _SHORTEST_S)
        flows = flows_of(self._links, counts)
        operators = tuple(
            _operator_status(name, replicas, counts[name], before[name], flows[name], phases[name], seconds)
            for name, replicas in stages.items()
        )
        earlier = {link: (sent, size) for link, sent, size in sent_on(self._links, before)}
        rates = {}
        for link, sent, size in sent_on(self._links, counts):
            sent_before, size_before = earlier[link]
            rates[link] = Rate(
                messages_per_s=(sent - sent_before) / seconds,
                bytes_per_s=(size - size_before) / seconds,
                messages=sent,
                queue=flows[link.target].queue,
            )
        self._last = (now, counts)
        return operators, rates


def _operator_status(
    name: str,
    replicas: Sequence[Replica],
    counts: Counts,
    before: Counts,
    flow: Flow,
    phase: Phase,
    seconds: float,
) -> OperatorStatus:
    is_source = all(replica.is_source for replica in replicas)
    messages = sum(counts.sent) - sum(before.sent) if is_source else counts.received - before.received
    size = (
        sum(counts.sent_bytes) - sum(before.sent_bytes)
        if is_source
        else counts.received_bytes - before.received_bytes
    )
    state = state_of(replicas)
    worked_on = counts.finished + counts.failed
    return OperatorStatus(
        name=name,
        state="ended" if phase is Phase.ENDED and state != "given up" else state,
        replicas=len(replicas),
        ready=sum(replica.life in {Life.READY, Life.FINISHED} for replica in replicas),
        received=counts.received,
        received_bytes=counts.received_bytes,
        finished=counts.finished,
        failed=counts.failed,
        emitted=counts.emitted,
        messages_per_s=messages / seconds,
        bytes_per_s=size / seconds,
        queue=flow.queue,
        kernel_ms=counts.kernel_ns / worked_on / 1e6 if worked_on else 0.0,
        dead_letters=counts.failed,
        restarts=sum(replica.restarts for replica in replicas),
        error=next((replica.error for replica in replicas if replica.error), None),
    )
