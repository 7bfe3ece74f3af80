"""The tags by which the run queue knows live runs from batch work, and what their pods are called on a cluster."""

KIND_TAG = "runstart/kind"
LIVE, BATCH = "live", "batch"

K8S_CONFIG_TAG = "dagster-k8s/config"
LIVE_PRIORITY_CLASS, BATCH_PRIORITY_CLASS = "runstart-live", "runstart-batch"
LIVE_SERVICE_ACCOUNT = "live-runs"  # without rights
COMPUTE_SERVICE_ACCOUNT = "compute-runs"  # may start what runs start, and no run or step

LAUNCH_TAG = "runstart/launch"
"""On runs that the gateway launched."""
