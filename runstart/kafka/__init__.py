"""Reading topics: events at full speed (`EventLog`) and run announcements (`RunInfoLog`)."""

from runstart.kafka.event_log import Batch, EventLog, RawMessage
from runstart.kafka.run_info_log import Announcement, OffsetReset, RunInfoLog

__all__ = ["Announcement", "Batch", "EventLog", "OffsetReset", "RawMessage", "RunInfoLog"]
