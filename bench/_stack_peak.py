"""Says, as a process of its own, how much memory a stack of files took: run as `python -m bench._stack_peak`.

Arguments: method, memory limit in bytes, paths. Prints the seconds, the peak of the whole process in bytes, and
what of it the stacking has added to the libraries and compiled kernels.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_STATUS = Path("/proc/self/status")


def measure_in_child(method: str, memory_limit: int, paths: Sequence[Path]) -> dict[str, float]:
    """Return `seconds`, `peak_bytes` and `added_bytes` of one stack in a new process."""
    command = [sys.executable, "-m", "bench._stack_peak", method, str(memory_limit), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def peak_bytes() -> int:
    """Return the most memory that this process has had resident."""
    # Unlike getrusage's, this begins anew with the program.
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main(method: str, memory_limit: str, *paths: str) -> None:
    from runstart.images import stack_files

    # Compiles, or loads what is compiled; one file takes next to no memory.
    stack_files(paths[:1], method, 48 * 2**20)
    before = peak_bytes()
    began = time.perf_counter()
    stack_files(paths, method, int(memory_limit))
    seconds = time.perf_counter() - began
    peak = peak_bytes()
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "added_bytes": peak - before}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
