"""Dagster's daemon, but that it looks after backfills every five seconds: there is no setting for its half minute."""

from __future__ import annotations

import sys

from dagster._daemon import controller
from dagster._daemon.cli import main

controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 5

if __name__ == "__main__":
    sys.exit(main())
