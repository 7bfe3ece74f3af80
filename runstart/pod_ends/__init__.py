"""How the pods of a Kubernetes cluster end: each way has a name, a reason in words, and a rule."""

from runstart.pod_ends.ends import (
    LOST_NODE_TAINTS,
    NODE_SILENCE_SECONDS,
    EndName,
    PodEnd,
    end_of_job,
    end_of_pod,
)
from runstart.pod_ends.memory import MOST_DOUBLINGS, double_memory, parse_quantity, quantity
from runstart.pod_ends.patience import USUAL_PATIENCE, Patience, read_patience
from runstart.pod_ends.reading import (
    JobPods,
    Judgement,
    judge_job,
    read_events,
    read_jobs,
    read_last_lines,
    remove_job,
)
from runstart.pod_ends.waiting import Waiting, waits_for

__all__ = [
    "LOST_NODE_TAINTS",
    "MOST_DOUBLINGS",
    "NODE_SILENCE_SECONDS",
    "USUAL_PATIENCE",
    "EndName",
    "JobPods",
    "Judgement",
    "Patience",
    "PodEnd",
    "Waiting",
    "double_memory",
    "end_of_job",
    "end_of_pod",
    "judge_job",
    "parse_quantity",
    "quantity",
    "read_events",
    "read_jobs",
    "read_last_lines",
    "read_patience",
    "remove_job",
    "waits_for",
]
