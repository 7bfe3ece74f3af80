"""The words by which kubelets and registries say why a pod does not run."""

from __future__ import annotations

# A kubelet ends a pod, or turns it away when it arrives, with one of these reasons.
EVICTED = frozenset(
    {"Evicted", "Preempting", "Shutdown", "NodeShutdown", "Terminated", "OutOfcpu", "OutOfmemory", "OutOfpods"}
)
IMAGE_PULL = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
# What a registry, or the way to it, says when it is away. Anything else is about the image's name or its rights.
OUTAGES = (
    "timeout",
    "connection refused",
    "connection reset",
    "too many requests",
    "unavailable",
    "misbehaving",
    "bad gateway",
    "eof",
)
FAILED_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
        "PreStartHookError",
        "PostStartHookError",
    }
)
