"""Kernels are compiled before they are needed."""

from __future__ import annotations

import subprocess
import sys


def test_all_kernels_are_called() -> None:
    code = (
        "from runstart.frame_messages import warming; warming.warm();"
        "from runstart.frame_messages._moment_kernel import sum_moments;"
        "from runstart.frames import _sparse_kernels, _dense_kernels, _counting_kernels;"
        "kernels = [sum_moments, _sparse_kernels.sum_events, _dense_kernels.sum_dense,"
        " _counting_kernels.count_until_full];"
        "assert all(kernel.signatures for kernel in kernels), kernels"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
