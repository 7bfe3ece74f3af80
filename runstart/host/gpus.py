"""The GPUs of a machine, as NVIDIA's library NVML tells; a machine without that library has none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A GPU and what is left of it.

    Attributes
    ----------
    index : int
        Its number here, from 0.
    name : str
        Its product name.
    memory_bytes, memory_free_bytes : int
        Its memory, and how much nobody uses.
    busy_percent : int or None
        Part of the last second or so in which it worked; None if it does not tell.
    """

    index: int
    name: str
    memory_bytes: int
    memory_free_bytes: int
    busy_percent: int | None


def measure_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this machine; none where NVML or its driver is missing."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_measure(index) for index in range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()


def _measure(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        busy = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except pynvml.NVMLError:
        # A slice of a GPU has no utilization of its own.
        busy = None
    name = pynvml.nvmlDeviceGetName(handle)
    # Old versions of the library give bytes.
    text = name.decode() if isinstance(name, bytes) else str(name)
    return Gpu(index, text, int(memory.total), int(memory.free), busy)
