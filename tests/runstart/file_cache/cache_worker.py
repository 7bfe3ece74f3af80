"""A process of its own that opens a file through the cache: `cache_worker.py FOLDER BUDGET COUNTER MODE`.

Each download adds a line to COUNTER. In mode `hang` the download writes a part, says so and never ends.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from runstart.file_cache import FileCache

CONTENT = bytes(range(256)) * 400


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    folder, budget, counter, mode = sys.argv[1:]

    def fetch(path: Path) -> None:
        with Path(counter).open("a") as file:
            file.write(f"{os.getpid()}\n")
        with path.open("wb") as file:
            for start in range(0, len(CONTENT), 10_000):
                file.write(CONTENT[start : start + 10_000])
                file.flush()
                if mode == "hang" and start > 30_000:
                    say("half")
                    time.sleep(600)
                time.sleep(0.01)

    with FileCache(Path(folder), int(budget)).open("archive", "frame", "1", fetch) as path:
        assert path.read_bytes() == CONTENT
        say("whole")
        if mode == "use":
            sys.stdin.readline()


if __name__ == "__main__":
    main()
