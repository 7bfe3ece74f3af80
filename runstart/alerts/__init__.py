"""Tells people what is wrong: conditions become notices, and notices are delivered to webhooks and by mail."""

from __future__ import annotations

from runstart.alerts.channels import Channel, Undelivered, open_channels
from runstart.alerts.conditions import Condition, Notice, identify
from runstart.alerts.configuration import AlertsConfiguration, Rules
from runstart.alerts.delivery import Deliveries, deliver
from runstart.alerts.judging import Memory, Policy, Sighting, judge
from runstart.alerts.live_runs import LIVE_KINDS, STALE_SECONDS, find_live_conditions, run_link
from runstart.alerts.outbox import hold
from runstart.alerts.reading import alert_about_variables, missing_variables, read_alerts
from runstart.alerts.shown import read_known, show_known
from runstart.alerts.state import AlertsState

__all__ = [
    "LIVE_KINDS",
    "STALE_SECONDS",
    "AlertsConfiguration",
    "AlertsState",
    "Channel",
    "Condition",
    "Deliveries",
    "Memory",
    "Notice",
    "Policy",
    "Rules",
    "Sighting",
    "Undelivered",
    "alert_about_variables",
    "deliver",
    "find_live_conditions",
    "hold",
    "identify",
    "judge",
    "missing_variables",
    "open_channels",
    "read_alerts",
    "read_known",
    "run_link",
    "show_known",
]
