"""Scans of electron microscopes: how they are found, accounted for, processed in batches, followed live, and published."""

from runstart.scans.announcements import FoundAnnounced, ScanAnnouncement, find_announced
from runstart.scans.arrivals import FoundScan, FoundScans, find_scans
from runstart.scans.follow import ScanReporter, ScanStatus, follow_scan
from runstart.scans.model import Accounting, ScanProduct, ScanRecord, ScanResult
from runstart.scans.partials import merge_batches, process_batch, process_whole
from runstart.scans.plan import Batch, Plan, load_plan, make_plan, save_plan, sweep_work
from runstart.scans.publish import load_current, make_product, publish
from runstart.scans.record import load_record, run_key, save_record
from runstart.scans.steps import find_plan, finish_scan, how_ended, plan_scan
from runstart.scans.stream import StreamLedger, follow_stream
from runstart.scans.verify import find_contradictions
from runstart.scans.work import ScanWork

__all__ = [
    "Accounting",
    "Batch",
    "FoundAnnounced",
    "FoundScan",
    "FoundScans",
    "Plan",
    "ScanAnnouncement",
    "ScanProduct",
    "ScanRecord",
    "ScanReporter",
    "ScanResult",
    "ScanStatus",
    "ScanWork",
    "StreamLedger",
    "find_announced",
    "find_contradictions",
    "find_plan",
    "find_scans",
    "finish_scan",
    "follow_scan",
    "follow_stream",
    "how_ended",
    "load_current",
    "load_plan",
    "load_record",
    "make_plan",
    "make_product",
    "merge_batches",
    "plan_scan",
    "process_batch",
    "process_whole",
    "publish",
    "run_key",
    "save_plan",
    "save_record",
    "sweep_work",
]
