"""What the pod of a live run takes, computed from its instrument's views.

A live run is one process in one pod. It holds its views, a copy of them while a snapshot is written, and another in the
file that it makes of them at its end. It asks for what a run of one period needs, and may take what the instrument's
declaration allows all periods.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ops.tags import LIVE_PRIORITY_CLASS, LIVE_SERVICE_ACCOUNT

if TYPE_CHECKING:
    from runstart.instruments import Instrument

BASE_BYTES = 2**30  # Python, its libraries, compiled kernels, and the messages that are read ahead
COPIES = 3
_MEGABYTE = 1_000_000
_EVENT_BYTES = 20
_MIB = 2**20


def live_pod(instrument: Instrument) -> dict[str, Any]:
    """Return the value of `dagster-k8s/config` of an instrument's live runs.

    Its pod has no rights on the cluster, unless it starts its script in a container.

    Parameters
    ----------
    instrument : Instrument
        Its views, `max_memory_mb` and script.
    """
    beside = BASE_BYTES + _script_bytes(instrument)
    asked = beside + COPIES * instrument.memory_bytes(1)
    allowed = beside + COPIES * instrument.max_memory_mb * _MEGABYTE
    place: dict[str, Any] = {"priority_class_name": LIVE_PRIORITY_CLASS}
    if instrument.script is None or instrument.script.container is None:
        place |= {"service_account_name": LIVE_SERVICE_ACCOUNT, "automount_service_account_token": False}
    return {
        "container_config": {
            "resources": {
                "requests": {"cpu": "500m", "memory": _quantity(asked)},
                "limits": {"cpu": "4", "memory": _quantity(allowed)},
            }
        },
        "pod_spec_config": place,
    }


def _script_bytes(instrument: Instrument) -> int:
    script = instrument.script
    if script is None:
        return 0
    own = 0 if script.container is not None else script.memory_mb * _MEGABYTE
    return own + 2 * script.keep_events * _EVENT_BYTES  # the window, and what is handed to the script


def _quantity(size: float) -> str:
    """Return bytes as Kubernetes writes them, rounded up."""
    return f"{math.ceil(size / _MIB)}Mi"
