"""What the pods of heavy steps take, computed from a microscope's batch size and threads.

A step that processes a batch reads it in pieces, but keeps its electron events until its end, and they can be as large as
the frames; the step that merges holds the events of all batches, before and after.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ops.tags import BATCH_PRIORITY_CLASS, LIVE_PRIORITY_CLASS, LIVE_SERVICE_ACCOUNT

if TYPE_CHECKING:
    from runstart.microscopes import Microscope

BASE_BYTES = 2**30  # Python, its libraries, compiled kernels, and the pieces that are read ahead
MERGE_FACTOR = 4
_MIB = 2**20


def step_pod(microscope: Microscope) -> dict[str, Any]:
    """Return the value of `dagster-k8s/config` of a step that processes one batch.

    It asks for 1 GiB and the size of a batch, and for a CPU for each thread; it may take half as much memory again, and one
    CPU more, which reads ahead.

    Parameters
    ----------
    microscope : Microscope
        Its batch size, threads and `pods`.
    """
    return _pod(microscope, BASE_BYTES + microscope.batch_bytes)


def merge_pod(microscope: Microscope) -> dict[str, Any]:
    """Return the value of `dagster-k8s/config` of the step that merges: as `step_pod`, with room for four batches.

    Parameters
    ----------
    microscope : Microscope
        Its batch size, threads and `pods`.
    """
    return _pod(microscope, BASE_BYTES + MERGE_FACTOR * microscope.batch_bytes)


def following_pod(microscope: Microscope) -> dict[str, Any]:
    """Return the value of `dagster-k8s/config` of runs that follow a scan: as `merge_pod`, but live, and without rights.

    Parameters
    ----------
    microscope : Microscope
        Its batch size, threads and `pods`.
    """
    config = merge_pod(microscope)
    config["pod_spec_config"] |= {
        "priority_class_name": LIVE_PRIORITY_CLASS,
        "service_account_name": LIVE_SERVICE_ACCOUNT,
        "automount_service_account_token": False,
    }
    return config


def _pod(microscope: Microscope, memory: int) -> dict[str, Any]:
    placed: dict[str, Any] = {"priority_class_name": BATCH_PRIORITY_CLASS}
    if microscope.pods.node_selector:
        placed["node_selector"] = dict(microscope.pods.node_selector)
    if microscope.pods.tolerations:
        placed["tolerations"] = [each.model_dump(exclude_none=True) for each in microscope.pods.tolerations]
    return {
        "container_config": {
            "resources": {
                "requests": {"cpu": str(microscope.threads), "memory": _quantity(memory)},
                "limits": {"cpu": str(microscope.threads + 1), "memory": _quantity(memory + memory // 2)},
            }
        },
        "pod_spec_config": placed,
    }


def _quantity(size: int) -> str:
    """Return bytes as Kubernetes writes them, rounded up."""
    return f"{math.ceil(size / _MIB)}Mi"
