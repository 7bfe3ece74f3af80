"""Many files from elsewhere at once, in processes of their own whose limits are low."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

N_FILES = 120

WORKER = """
import resource, sys
from pathlib import Path
import numpy as np
from runstart.errors import Alert
from runstart.file_cache import FileCache
from runstart.fits import FolderSource, InputFiles, UriSource, write_image
from runstart.operation_kit import Workplace, execute, find_operation
from runstart.storage import FileStore

class Elsewhere(FolderSource):
    local_path = lambda self, located: None
    reads_in_place = lambda self, reference: False

folder, n_files, soft, hard = Path(sys.argv[1]), *map(int, sys.argv[2:])
(folder / "frames").mkdir()
for number in range(n_files):
    write_image(folder / f"frames/{number}.fits", np.full((4, 5), number, np.float32))
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
sources = {"far": Elsewhere("far", folder / "frames")}
inputs = InputFiles(sources, UriSource([], []), FileCache(folder / "cache", 10**8))
store = FileStore(folder / "store")
references = [f"far/{number}.fits" for number in range(n_files)]
try:
    execute(find_operation("median"), {"input_files": references}, Workplace(store, inputs, folder / "scratch"))
except Alert as alert:
    print(alert)
print("limit", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def work(folder: Path, soft: int, hard: int) -> str:
    command = [sys.executable, "-c", WORKER, str(folder), str(N_FILES), str(soft), str(hard)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_more_files_than_the_soft_limit_are_stacked(tmp_path: Path) -> None:
    assert work(tmp_path, 100, 1000) == "limit 1000\n"


def test_more_files_than_the_hard_limit_are_an_alert_that_says_so(tmp_path: Path) -> None:
    told = work(tmp_path, 100, 220)
    assert "120 files from elsewhere cannot be open at once: this process may open 220." in told
    assert "limit of open files to 248" in told
