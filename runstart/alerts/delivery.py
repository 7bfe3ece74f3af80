"""Delivers what is due on all channels side by side, within a bounded time.

A channel that does not come back in time counts as failed and is tried again later; so a notice may come twice, and
never not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runstart.alerts.channels import Channel, Undelivered
from runstart.alerts.conditions import Notice
from runstart.alerts.outbox import Outbox, Owed, QuietHours, delivered, due, failed

DEADLINE_SECONDS = 20.0


@dataclass
class Deliveries:
    """What a round of deliveries did.

    Attributes
    ----------
    outbox : dict of str to Owed
        What is still owed.
    sent : dict of str to list of Notice
        What was delivered, by channel.
    troubles : list of str
        What went wrong, a sentence each, without secrets.
    """

    outbox: Outbox
    sent: dict[str, list[Notice]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def deliver(
    outbox: Mapping[str, Owed],
    channels: Iterable[Channel],
    now: float,
    quiet: QuietHours | None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Deliveries:
    """Deliver on each channel what is due.

    Parameters
    ----------
    outbox : mapping of str to Owed
        By channel name; not changed.
    channels : iterable of Channel
        The channels; each has its place in the outbox.
    now : float
        Time in s since 1970.
    quiet : QuietHours or None
        When to hold notices back.
    deadline_seconds : float, optional
        For all channels together.

    Returns
    -------
    Deliveries
    """
    attempts = []
    for channel in channels:
        notices = due(outbox[channel.name], now, quiet)
        if notices:
            attempts.append(_Attempt(channel, notices))
    finished = threading.Semaphore(0)
    for attempt in attempts:
        threading.Thread(target=attempt.run, args=(finished,), name=attempt.channel.name, daemon=True).start()
    _wait(finished, len(attempts), deadline_seconds)
    done = Deliveries(dict(outbox))
    for attempt in attempts:
        name = attempt.channel.name
        outcome = attempt.outcome
        if isinstance(outcome, list):
            done.outbox[name] = delivered(outbox[name], attempt.notices)
            done.sent[name] = list(attempt.notices)
            done.troubles += [f"{name}: {remark}." for remark in outcome]
            continue
        owed = failed(outbox[name], now)
        done.outbox[name] = owed
        reason = outcome or f"it was not done within {deadline_seconds:g} s"
        rest = owed.rests_until - now
        done.troubles.append(
            f"{name}: {len(attempt.notices)} notices were not delivered: {reason}. Next attempt in {rest:.0f} s."
        )
    return done


@dataclass
class _Attempt:
    """One delivery; its outcome is remarks, or a text that says why it failed, or None while it lasts."""

    channel: Channel
    notices: Sequence[Notice]
    outcome: list[str] | str | None = None

    def run(self, finished: threading.Semaphore) -> None:
        try:
            self.outcome = self.channel.deliver(self.notices)
        except Undelivered as error:
            self.outcome = str(error)
        except Exception as error:  # noqa: BLE001 - told in the tick; a bug in one channel must not cost the others
            self.outcome = f"it failed unexpectedly ({type(error).__name__})"
        finally:
            finished.release()


def _wait(finished: threading.Semaphore, count: int, seconds: float) -> None:
    """Wait until all attempts are finished or the time is over."""
    import time

    end = time.monotonic() + seconds
    for _ in range(count):
        if not finished.acquire(timeout=max(0.0, end - time.monotonic())):
            return
