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

from runstart.pod_ends import LOST_NODE_TAINTS, NODE_SILENCE_SECONDS, USUAL_PATIENCE, Patience, read_patience

MEMORY_VARIABLE = "RUNSTART_POD_MEMORY_LIMIT"
LEFT_BEHIND_SECONDS = 3600


@dataclass(frozen=True)
class PodSettings:
    """What the environment says of pods.

    Attributes
    ----------
    patience : Patience
        How long a pod may wait.
    most_memory : float
        Most memory, in bytes, that a pod gets when it is started again because it ran out
        (`RUNSTART_POD_MEMORY_LIMIT`).
    """

    patience: Patience = USUAL_PATIENCE
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
        from runstart.sizes import parse_size

        limit = environ.get(MEMORY_VARIABLE)
        return cls(
            patience=read_patience(environ),
            most_memory=math.inf if not limit else parse_size(limit, MEMORY_VARIABLE),
        )


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
