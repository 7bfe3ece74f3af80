from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.nights.again import ASSETS, Choice, NightState, Reason, Rules, choose_nights, with_followers
from runstart.nights.steps import STEPS

STATE = NightState("hill", "2026-03-28", exposures=40, fingerprint="f")
SETS = st.sets(st.sampled_from(ASSETS)).map(tuple)
STATES = st.lists(
    st.builds(
        NightState,
        site=st.sampled_from(["hill", "vale"]),
        night=st.integers(1, 28).map("2026-03-{:02d}".format),
        exposures=st.integers(0, 2),
        missing=SETS,
        changed=SETS,
        older=SETS,
        failed=st.booleans(),
        unfinished=st.booleans(),
        attempts=st.integers(0, 4),
    ),
    unique_by=lambda state: (state.site, state.night),
    max_size=12,
)


def choice_of(state: NightState) -> Choice | None:
    chosen, left = choose_nights([state])
    assert left == 0
    return chosen[0] if chosen else None


def test_a_night_as_it_should_be_is_left_alone() -> None:
    assert choice_of(STATE) is None


@pytest.mark.parametrize(
    ("state", "reason", "first"),
    [
        (replace(STATE, failed=True), Reason.FAILED, "exposures"),
        (replace(STATE, failed=True, missing=("stacks",)), Reason.FAILED, "exposures"),
        (replace(STATE, missing=("stacks",)), Reason.NEVER_MADE, "stacks"),
        (replace(STATE, missing=("source_catalog",), changed=("stacks",)), Reason.NEVER_MADE, "stacks"),
        (replace(STATE, changed=("calibrated",), older=("stacks",)), Reason.INPUTS_CHANGED, "calibrated"),
        (replace(STATE, older=("color_images",)), Reason.CODE_CHANGED, "color_images"),
    ],
)
def test_each_shortcoming_has_its_reason_and_its_assets(state: NightState, reason: Reason, first: str) -> None:
    choice = choice_of(state)
    assert choice is not None
    assert choice.reason is reason
    assert choice.assets == with_followers([first])
    assert choice.fingerprint == "f"


def test_followers_are_all_that_is_made_of_an_asset() -> None:
    assert with_followers(["exposures"]) == ASSETS
    assert with_followers(["master_flat"]) == (
        "master_flat",
        "calibrated",
        "stacks",
        "color_images",
        "source_catalog",
    )
    assert with_followers(["source_catalog"]) == ("source_catalog",)
    assert with_followers([]) == ()


def test_a_night_without_exposures_is_not_made_for_the_first_time() -> None:
    assert choice_of(NightState("hill", "2026-03-28", exposures=0, missing=ASSETS)) is None


def test_a_night_whose_damaged_files_were_removed_is_made_again() -> None:
    choice = choice_of(NightState("hill", "2026-03-28", exposures=0, changed=("exposures",)))
    assert choice is not None
    assert choice.reason is Reason.INPUTS_CHANGED


def test_a_night_whose_exposures_are_away_is_left_alone() -> None:
    assert choice_of(replace(STATE, away=True, failed=True, missing=ASSETS, changed=ASSETS, older=ASSETS)) is None


def test_a_night_that_is_being_made_is_left_alone() -> None:
    assert choice_of(replace(STATE, unfinished=True, failed=True, missing=ASSETS)) is None


def test_a_night_that_keeps_failing_is_tried_three_times() -> None:
    tried = [choice_of(replace(STATE, failed=True, attempts=n)) is not None for n in range(5)]
    assert tried == [True, True, True, False, False]


def test_the_worst_go_first_and_the_newest_of_them() -> None:
    states = [
        replace(STATE, night="2026-03-01", older=("stacks",)),
        replace(STATE, night="2026-03-02", failed=True),
        replace(STATE, night="2026-03-03", older=("stacks",)),
        replace(STATE, night="2026-03-04", missing=("stacks",)),
        replace(STATE, night="2026-03-05", failed=True),
    ]
    chosen, left = choose_nights(states, Rules(most_nights=4))
    assert [choice.night[-1] for choice in chosen] == ["5", "2", "4", "3"]
    assert left == 1


def test_steps_are_in_an_order_in_which_they_can_be_made() -> None:
    made: set[str] = set()
    for step in STEPS:
        assert made.issuperset(step.needs)
        made.add(step.asset)
    assert len(made) == len(STEPS)


@given(STATES, st.integers(0, 10))
def test_a_choice_is_bounded_sorted_and_complete(states: list[NightState], most: int) -> None:
    chosen, left = choose_nights(states, Rules(most_nights=most))
    everything, _ = choose_nights(states)
    assert chosen == everything[:most]
    assert len(chosen) + left == len(everything)
    order = [choice.reason for choice in everything]
    assert order == sorted(order)
    by_night = {(choice.site, choice.night): choice for choice in everything}
    assert len(by_night) == len(everything)
    for state in states:
        choice = by_night.get((state.site, state.night))
        behind = state.failed or state.changed or state.older or (state.missing and state.exposures)
        assert (choice is not None) == (bool(behind) and not state.unfinished and state.attempts < 3)
        if choice is not None:
            assert choice.assets == with_followers(choice.assets)
            assert set(choice.assets).issuperset({*state.changed, *state.older})
