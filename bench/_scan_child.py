"""Processes a file of frames, as a process of its own that gets no more memory than said: `python -m bench._scan_child`.

Arguments: path, limit of the address space in bytes, bytes of a batch, threads. Prints the seconds of one pass, the
frames, the peak of the whole process in bytes, and the sum of all pixels.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def process_in_child(path: Path, memory_limit: int, batch_bytes: int, threads: int) -> dict[str, float]:
    """Return `seconds`, `frames`, `peak_bytes` and `counts` of one pass over a file in a new process."""
    command = [sys.executable, "-m", "bench._scan_child", *map(str, (path, memory_limit, batch_bytes, threads))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"{path.name} in {memory_limit} bytes: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _main(path: str, memory_limit: str, batch_bytes: str, threads: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_limit), int(memory_limit)))
    from bench._scan_files import detectors
    from bench._stack_peak import peak_bytes
    from runstart.frame_files import open_frames, read_batches
    from runstart.frames import FramePass, merge_partials

    with open_frames(Path(path)) as source:
        shape = source.header.frame_shape
        one_pass = FramePass(shape, source.header.dtype, masks=detectors(shape[0]), threads=int(threads))
        one_pass.process(source.read(0, 8))  # compiles, or loads what is compiled
        began = time.perf_counter()
        merged = merge_partials(one_pass.process(batch) for batch in read_batches(source, int(batch_bytes)))
        seconds = time.perf_counter() - began
        assert merged.pattern is not None
        counts = int(merged.pattern.sum())
        found = {"seconds": seconds, "frames": source.frame_count, "peak_bytes": peak_bytes(), "counts": counts}
    print(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
