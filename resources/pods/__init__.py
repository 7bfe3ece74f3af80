"""Steps in pods of their own on Kubernetes; imported only where Dagster runs on a cluster."""

from resources.pods.executor import PodExecutor, define_pod_executor
from resources.pods.rules import PodSettings, with_pod_rules
from resources.pods.run_pods import RunPods
from resources.pods.step_handler import PodStepHandler

__all__ = ["PodExecutor", "PodSettings", "PodStepHandler", "RunPods", "define_pod_executor", "with_pod_rules"]
