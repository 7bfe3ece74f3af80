"""Reading topics: events at full speed (`EventLog`) and run announcements (`RunInfoLog`), secured or not."""

from runstart.kafka.access import confluent_settings, kafka_python_settings
from runstart.kafka.announcement_search import AnnouncementSearch, SearchCursor, SearchFindings
from runstart.kafka.event_log import Batch, EventLog, RawMessage
from runstart.kafka.refusal import raise_refusal
from runstart.kafka.run_info_log import Announcement, OffsetReset, RunInfoLog

__all__ = [
    "Announcement",
    "AnnouncementSearch",
    "Batch",
    "EventLog",
    "OffsetReset",
    "RawMessage",
    "RunInfoLog",
    "SearchCursor",
    "SearchFindings",
    "confluent_settings",
    "kafka_python_settings",
    "raise_refusal",
]
