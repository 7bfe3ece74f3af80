"""The steps in which a scan is processed in batches, each of which may run in a process of its own, and twice.

`plan_scan` says what the batches are, `process_batch` processes one, `finish_scan` merges and publishes. A step that was
killed is simply taken again: what is done stays done.
"""

from __future__ import annotations

from runstart.errors import Alert
from runstart.scans.model import Accounting, ScanResult
from runstart.scans.partials import merge_batches, process_batch
from runstart.scans.plan import Plan, load_plan, make_plan, partial_key, save_plan, sweep_work
from runstart.scans.publish import BROKEN_OFF, CLOSED, COMPLETE, load_current, make_product, publish
from runstart.scans.work import ScanWork

__all__ = ["find_plan", "finish_scan", "how_ended", "plan_scan"]


def plan_scan(work: ScanWork) -> Plan:
    """Return the plan of a scan as its file is now, and keep it for the steps that follow.

    Raises
    ------
    Alert
        If the file is gone, was replaced, is damaged or has no frame yet, or the vacuum scan is not done.
    Transient
        If disk or store do not answer.
    """
    with work.open() as source:
        plan = make_plan(work, source)
    save_plan(work, plan)
    return plan


def find_plan(work: ScanWork, key: str) -> Plan | None:
    """Return a plan that is kept and holds for this code; None if there is none, and another has to be made.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    try:
        return load_plan(work, key)
    except Alert:
        return None


def finish_scan(work: ScanWork, plan_key: str) -> ScanResult:
    """Merge the batches of a plan, publish what came of them, and return the result of the scan that counts.

    A batch whose partial result is gone is processed here. Partial results are removed once the result is published.

    Raises
    ------
    Alert
        If the plan is gone, a partial result is damaged, no frame is intact, or the scratch disk is full.
    Transient
        If disk or store do not answer.
    """
    published = load_current(work.store, work.microscope, work.record.scan)
    if published is not None and published.plan == plan_key and _is_swept(work, plan_key):
        work.tell("This result is published already: an earlier attempt ended while it cleaned up.")
        sweep_work(work)
        return published
    plan = load_plan(work, plan_key)
    for number in _lost_batches(work, plan):
        work.tell(f"The partial result of batch {number} is gone: it is processed again.")
        process_batch(work, plan, number)
    partial, accounting = merge_batches(work, plan)
    with work.open() as source:
        ended = how_ended(source.is_closed, accounting)
    result = publish(work, plan, make_product(work, plan, partial, accounting, ended))
    sweep_work(work)
    return result


def how_ended(is_closed: bool, accounting: Accounting) -> str:
    """Return how a scan has ended whose file nobody adds to any more.

    Parameters
    ----------
    is_closed : bool
        Whether the file itself says so.
    accounting : Accounting
        What became of the frames.
    """
    if not accounting.missing:
        return COMPLETE
    return CLOSED if is_closed else BROKEN_OFF


def _is_swept(work: ScanWork, plan_key: str) -> bool:
    plan = find_plan(work, plan_key)
    return plan is None or bool(_lost_batches(work, plan))


def _lost_batches(work: ScanWork, plan: Plan) -> list[int]:
    """Return the numbers of batches without a partial result."""
    keys = {partial_key(work, plan.key, batch.number): batch.number for batch in plan.batches}
    kept = set(work.store.list(next(iter(keys)).rpartition("-")[0]))
    return [number for key, number in keys.items() if key not in kept]
