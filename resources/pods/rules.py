"""What holds for every pod that Dagster starts, under what the launcher's configuration and tags say.

A job never starts a second pod by itself, since what may be done again is decided by how the first one ended. It remembers
that its pod was evicted even when the pod is gone. A pod whose node does not answer is given up after half a minute, not
after the five minutes of Kubernetes. Jobs of runs that ended are removed by the sensor `run_pods`; the time to live is for
what is left behind when that sensor is off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig

from runstart.pod_ends import LOST_NODE_TAINTS, NODE_SILENCE_SECONDS, PENDING_SECONDS

PENDING_VARIABLE = "RUNSTART_POD_PENDING_S"
MEMORY_VARIABLE = "RUNSTART_POD_MEMORY_LIMIT"
LEFT_BEHIND_SECONDS = 3600


@dataclass(frozen=True)
class PodSettings:
    """What the environment says of pods.

    Attributes
    ----------
    pending_seconds : float
        How long a pod may wait for its place and its volumes (`RUNSTART_POD_PENDING_S`).
    most_memory : float
        Most memory, in bytes, that a pod gets when it is started again because it ran out
        (`RUNSTART_POD_MEMORY_LIMIT`).
    """

    pending_seconds: float = PENDING_SECONDS
    most_memory: float = math.inf

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> PodSettings:
        """Return the settings that the environment has.

        Parameters
        ----------
        environ : mapping of str to str
            The environment.

        Raises
        ------
        Alert
            If a setting does not have its form.
        """
        from runstart.errors import Alert
        from runstart.sizes import parse_size

        text = environ.get(PENDING_VARIABLE) or str(PENDING_SECONDS)
        try:
            pending_seconds = float(text)
        except ValueError:
            pending_seconds = math.nan
        if not 1 <= pending_seconds < math.inf:
            raise Alert(f"{PENDING_VARIABLE} is {text!r}.", "Give the seconds that a pod may wait, at least 1.")
        limit = environ.get(MEMORY_VARIABLE)
        return cls(pending_seconds, math.inf if not limit else parse_size(limit, MEMORY_VARIABLE))


def with_pod_rules(context: K8sContainerContext) -> K8sContainerContext:
    """Return a context that has, under its own, what holds for every pod.

    Parameters
    ----------
    context : K8sContainerContext
        Of a run or step.
    """
    rules = UserDefinedDagsterK8sConfig.from_dict(
        {
            "job_spec_config": {
                "ttl_seconds_after_finished": LEFT_BEHIND_SECONDS,
                "backoff_limit": 0,
                "pod_replacement_policy": "Failed",
                "pod_failure_policy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "on_pod_conditions": [{"type": "DisruptionTarget", "status": "True"}],
                        }
                    ]
                },
            },
            "pod_spec_config": {
                "tolerations": [
                    {
                        "key": taint,
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "toleration_seconds": NODE_SILENCE_SECONDS,
                    }
                    for taint in LOST_NODE_TAINTS
                ]
            },
        }
    )
    return K8sContainerContext(run_k8s_config=rules).merge(context)
