"""Time-series logs of a run: what collectors record, and where it is kept for replays."""

from runstart.logs.book import LogBook
from runstart.logs.model import LogSeries, Sample
from runstart.logs.store import LogStore

__all__ = ["LogBook", "LogSeries", "LogStore", "Sample"]
