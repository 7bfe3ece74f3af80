"""Live reduction: a run announced on Kafka becomes an exactly counted result."""

from runstart.live.follow import Sources
from runstart.live.head import Head, LeaseLost, read_head
from runstart.live.ledger import Ledger, imbalances
from runstart.live.live_run import Launch, reduce_run
from runstart.live.record import RunRecord, load_record, make_record, name_partition, refusal, save_record
from runstart.live.result import Result, load_result
from runstart.live.status import Reporter, Silent, Status
from runstart.live.verify import find_contradictions

__all__ = [
    "Head",
    "Launch",
    "LeaseLost",
    "Ledger",
    "Reporter",
    "Result",
    "RunRecord",
    "Silent",
    "Sources",
    "Status",
    "find_contradictions",
    "imbalances",
    "load_record",
    "load_result",
    "make_record",
    "name_partition",
    "read_head",
    "reduce_run",
    "refusal",
    "save_record",
]
