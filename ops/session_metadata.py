"""What Dagster's pages show of a session: its operators, its graph, its host, and what became of every message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.operator_outputs import show_svg
from runstart.host import size_text

if TYPE_CHECKING:
    from runstart.host import HostResources
    from runstart.sessions import OperatorStatus, OperatorTotals, SessionOutcome, SessionStatus

_MOST_IN_LINE = 12  # operators in a line of the log
_LONGEST_ERROR = 200  # characters
_MEGABYTE = 1e6


def describe_line(status: SessionStatus) -> str:
    """Return one line for the run's log: for each operator messages, megabytes, queue and latency."""
    parts = [_describe_operator(each, status) for each in status.operators[:_MOST_IN_LINE]]
    if len(status.operators) > _MOST_IN_LINE:
        parts.append(f"and {len(status.operators) - _MOST_IN_LINE} more")
    return f"{status.state}, {status.seconds:.0f} s: {'; '.join(parts)}"


def describe_status(status: SessionStatus, graph: str | None, host: HostResources | None) -> dict[str, Any]:
    """Return the metadata of an observation of a session that runs.

    Parameters
    ----------
    status : SessionStatus
        How it stands.
    graph : str or None
        An SVG, if one is to be shown.
    host : HostResources or None
        The machine, if it could be measured.
    """
    shown: dict[str, Any] = {
        "state": status.state,
        "operators": dg.MetadataValue.table([_status_row(each) for each in status.operators]),
    }
    if graph is not None:
        shown["graph"] = show_svg(graph, status.name)
    shown |= {
        "messages_per_s": round(sum(rate.messages_per_s for rate in status.rates.values()), 1),
        "MB_per_s": round(sum(rate.bytes_per_s for rate in status.rates.values()) / _MEGABYTE, 3),
        "queue": sum(each.queue for each in status.operators),
        "dead_letters": sum(each.dead_letters for each in status.operators),
        "restarts": sum(each.restarts for each in status.operators),
        "seconds": round(status.seconds, 1),
        "session": status.session_id,
    }
    if status.latency_ms:
        shown["latency"] = show_latency(status.latency_ms)
    return shown | ({} if host is None else {"host": show_host(host)})


def describe_operator_status(status: OperatorStatus) -> dict[str, Any]:
    """Return the figures of one operator, for its own page."""
    return {
        "state": status.state,
        "messages": status.received,
        "messages_per_s": round(status.messages_per_s, 1),
        "queue": status.queue,
        "dead_letters": status.dead_letters,
        "error": (status.error or "")[:_LONGEST_ERROR],
    }


def describe_outcome(outcome: SessionOutcome, last: SessionStatus | None, graph: str | None) -> dict[str, Any]:
    """Return the metadata of a session that has ended.

    Parameters
    ----------
    outcome : SessionOutcome
        What became of every message.
    last : SessionStatus or None
        How it stood at its end, which tells how many bytes went through it.
    graph : str or None
        An SVG, if one is to be shown.
    """
    shown: dict[str, Any] = {
        "outcome": outcome.state,
        "operators": dg.MetadataValue.table([_totals_row(n, t) for n, t in outcome.operators.items()]),
    }
    if last is not None:
        megabytes = sum(each.received_bytes for each in last.operators) / _MEGABYTE
        shown |= {
            "MB": round(megabytes, 3),
            "MB_per_s": round(megabytes / outcome.seconds, 3) if outcome.seconds else 0.0,
        }
    if graph is not None:
        shown["graph"] = show_svg(graph, outcome.session_id)
    shown |= {
        "messages": sum(totals.received for totals in outcome.operators.values()),
        "lost": outcome.lost,
        "forgotten": outcome.forgotten,
        "dead_letters": outcome.dead_letters,
        "restarts": outcome.restarts,
        "seconds": round(outcome.seconds, 3),
        "session": outcome.session_id,
        "folder": f"sessions/{outcome.session_id}",
    }
    if outcome.latency_ms:
        shown["latency"] = show_latency(outcome.latency_ms)
    if outcome.unwritten:
        shown["objects that the store did not take"] = outcome.unwritten
    return shown


def describe_totals(totals: OperatorTotals) -> dict[str, Any]:
    """Return what became of one operator's messages, for its own page."""
    return {
        "received": totals.received,
        "emitted": totals.emitted,
        "failed": totals.failed,
        "lost": totals.lost,
        "lost is known": totals.bound,
        "forgotten": totals.forgotten,
        "restarts": totals.restarts,
        "peak memory MB": round(totals.peak_memory_bytes / _MEGABYTE, 1),
    }


def show_latency(latency_ms: Mapping[str, float]) -> dg.TableMetadataValue:
    """Return how long tracked messages took, from operator to operator and inside each."""
    rows = [dg.TableRecord({"from and to": hop, "ms": f"{ms:.2f}"}) for hop, ms in latency_ms.items()]
    return dg.MetadataValue.table(rows)


def show_host(host: HostResources) -> dg.TableMetadataValue:
    """Return what a machine has and what is left of it."""
    rows = [
        {"resource": "processors", "in use or free": f"load {host.load:.2f}", "in all": f"{host.cpus:g}"},
        {
            "resource": "memory",
            "in use or free": f"{size_text(host.memory_available_bytes)} free",
            "in all": size_text(host.memory_bytes),
        },
        {
            "resource": "disk",
            "in use or free": f"{size_text(host.disk_free_bytes)} free",
            "in all": size_text(host.disk_bytes),
        },
        {"resource": "GPUs", "in use or free": "", "in all": str(len(host.gpus))},
    ]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])


def _describe_operator(operator: OperatorStatus, status: SessionStatus) -> str:
    counts = ", ".join(_counts_of(operator, status.latency_ms.get(operator.name)))
    return f"{_with_replicas(operator)} {operator.state}{counts and ': '}{counts}"


def _counts_of(operator: OperatorStatus, latency_ms: float | None) -> Iterator[str]:
    if operator.received:
        yield f"{operator.received:,} messages"
        yield f"{operator.received_bytes / _MEGABYTE:.1f} MB"
        yield f"queue {operator.queue}"
    elif operator.queue:
        yield f"queue {operator.queue}"
    elif operator.emitted:
        yield f"{operator.emitted:,} sent"
    if latency_ms is not None:
        yield f"{latency_ms:.1f} ms"
    if operator.failed:
        yield f"{operator.failed} failed"
    if operator.restarts:
        yield f"{operator.restarts} restarts"


def _with_replicas(operator: OperatorStatus) -> str:
    """Return an operator's name, with how many of its replicas are ready if not all are."""
    if operator.ready == operator.replicas or operator.state == "ended":
        return operator.name
    return f"{operator.name} {operator.ready}/{operator.replicas}"


def _status_row(operator: OperatorStatus) -> dg.TableRecord:
    # The pages cut off what is wider than about ten short columns.
    return dg.TableRecord(
        {
            "operator": _with_replicas(operator),
            "state": operator.state,
            "messages": f"{operator.received or operator.emitted:,}",
            "per s": f"{operator.messages_per_s:,.1f}",
            "MB per s": f"{operator.bytes_per_s / _MEGABYTE:,.2f}",
            "queue": f"{operator.queue:,}",
            "ms": f"{operator.kernel_ms:.2f}",
            "failed": operator.failed,
            "restarts": operator.restarts,
            "error": (operator.error or "")[:_LONGEST_ERROR],
        }
    )


def _totals_row(name: str, totals: OperatorTotals) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "operator": name,
            "received": f"{totals.received:,}",
            "emitted": f"{totals.emitted:,}",
            "failed": totals.failed,
            "lost before": totals.lost_before,
            "inside": totals.lost_inside,
            "known": totals.bound,
            "forgotten": totals.forgotten,
            "restarts": totals.restarts,
            "memory": size_text(totals.peak_memory_bytes) if totals.peak_memory_bytes else "",
            "trouble": totals.troubles[-1][:_LONGEST_ERROR] if totals.troubles else "",
        }
    )
