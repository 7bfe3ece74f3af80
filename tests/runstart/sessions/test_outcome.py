from __future__ import annotations

import json

from runstart.sessions.outcome import OperatorTotals, SessionFailed, SessionOutcome


def outcome(**operators: OperatorTotals) -> SessionOutcome:
    return SessionOutcome("0123456789ABCDEF", "failed", 1.0, operators)


def test_session_without_loss_has_no_trouble_though_messages_were_dead_letters() -> None:
    assert outcome(a=OperatorTotals(received=5, finished=3, failed=2, dead_letters=2, restarts=1)).troubles() == []


def test_each_kind_of_loss_is_named_with_operator_and_number() -> None:
    lossy = outcome(
        work=OperatorTotals(lost_before=3, lost_inside=1, troubles=("work (replica 0) ended with exit code -9.",)),
        sums=OperatorTotals(forgotten=12),
        reader=OperatorTotals(repeated=4),
        show=OperatorTotals(gave_up=1, failed_at_end=1),
    )

    text = str(SessionFailed(lossy))

    assert "3 messages to work were lost on the way." in text
    assert "1 message was lost inside work." in text
    assert "The last trouble of work: work (replica 0) ended with exit code -9." in text
    assert "sums has died and forgotten 12 messages." in text
    assert "reader has died after 4 messages and begun anew" in text
    assert "show has died too often" in text
    assert "show failed when it was told to end." in text
    assert (lossy.lost, lossy.forgotten) == (4, 12)


def test_loss_that_is_not_known_exactly_is_told_as_what_it_is() -> None:
    lossy = outcome(
        source=OperatorTotals(repeated=4, unsaid=1, bound="at least"),
        work=OperatorTotals(lost_before=3, lost_inside=1, unsaid=1, bound="about"),
        sums=OperatorTotals(unsaid=2, bound="at most"),
        show=OperatorTotals(lost_before=1, bound="at least"),
    )

    assert lossy.troubles() == [
        "source has died after at least 4 messages and begun anew: what follows it may hold them twice.",
        "A process of work ended without telling the last counts: about 4 messages to work were lost.",
        "2 processes of sums ended without telling the last counts: whether what was sent last has arrived is not known.",
        "At least 1 message to show was lost on the way.",
    ]


def test_failed_trigger_is_a_trouble() -> None:
    assert SessionOutcome("0123456789ABCDEF", "failed", 1.0, {}, triggers=("no file",)).troubles() == ["no file."]


def test_outcome_goes_through_json() -> None:
    one = outcome(a=OperatorTotals(received=5, troubles=("x",)))

    assert json.loads(json.dumps(one.as_dict()))["operators"]["a"]["received"] == 5
