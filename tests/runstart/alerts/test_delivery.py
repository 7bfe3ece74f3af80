from __future__ import annotations

import threading
from collections.abc import Sequence

from alert_sinks import http_sink

from runstart.alerts import Condition, Notice, deliver, hold
from runstart.alerts.channels import Channel, WebhookChannel
from runstart.alerts.configuration import Webhook

NOTICE = Notice(Condition("lag", "SANS", "run1", "behind", 0.0), "new")


def webhook(name: str, url: str) -> WebhookChannel:
    return WebhookChannel(Webhook(name=name, url=url), {})


class Broken:
    name = "broken"

    def deliver(self, notices: Sequence[Notice]) -> list[str]:
        raise ZeroDivisionError("s3cret")


class Stuck:
    name = "stuck"

    def __init__(self) -> None:
        self.release = threading.Event()

    def deliver(self, notices: Sequence[Notice]) -> list[str]:
        self.release.wait(30)
        return []


def test_a_failed_delivery_is_tried_again_after_its_rest_until_it_succeeds() -> None:
    with http_sink([500, 500]) as sink:
        channels: list[Channel] = [webhook("chat", sink.url)]
        outbox = hold({}, [NOTICE], ["webhook chat"])
        now, rests = 0.0, []
        while outbox["webhook chat"].notices:
            done = deliver(outbox, channels, now, None)
            outbox = done.outbox
            rests.append(outbox["webhook chat"].rests_until - now)
            assert deliver(outbox, channels, now + 1, None).troubles == []
            now += 60.0
        assert rests == [30.0, 60.0, -120.0]
        assert [body["text"] for body in sink.bodies] == ["behind"]
        assert deliver(outbox, channels, now, None).sent == {}


def test_one_channel_that_fails_costs_the_others_nothing() -> None:
    stuck = Stuck()
    with http_sink() as sink:
        channels = [webhook("good", sink.url), Broken(), stuck]
        outbox = hold({}, [NOTICE], [channel.name for channel in channels])
        done = deliver(outbox, channels, 0.0, None, deadline_seconds=2.0)
        stuck.release.set()
    assert done.sent == {"webhook good": [NOTICE]}
    assert {name for name, owed in done.outbox.items() if owed.notices} == {"broken", "stuck"}
    assert any("failed unexpectedly (ZeroDivisionError)" in text for text in done.troubles)
    assert any("not done within 2 s" in text for text in done.troubles)
    assert "s3cret" not in str(done.troubles)
