from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.live import name_partition
from runstart.upkeep import KnownRun, Limits, plan_pruning

DAY = 86_400.0
NOW = 1_800_000_000.0
DAGSTER_LIMIT = 100_000  # partitions of an asset


def key(days_ago: float, name: str = "run") -> str:
    return name_partition(name, int((NOW - days_ago * DAY) * 1000))


def run(run_id: str, partition_key: str | None, days_ago: float, **changes: bool) -> KnownRun:
    return KnownRun(run_id, "" if partition_key is None else "ALFA", partition_key, NOW - days_ago * DAY, **changes)


def plan(
    keys: Iterable[str], runs: Iterable[KnownRun], holders: Iterable[str] = (), **limits: int | None
) -> tuple[list[str], list[str], list[str]]:
    made = plan_pruning({"ALFA": keys}, runs, holders, replace(Limits(), **limits), NOW)
    return made.partitions.get("ALFA", []), made.delete_runs, made.thin_runs


def test_nothing_goes_while_everything_is_young_and_little() -> None:
    assert plan([key(20)], [run("a", key(20), 20)], ["a"]) == ([], [], [])


def test_partitions_beyond_the_number_go_the_oldest_first_with_their_runs() -> None:
    keys = [key(days, f"{days}") for days in range(10, 30)]
    runs = [run(f"{days}", key(days, f"{days}"), days) for days in range(10, 30)]
    gone, deleted, _ = plan(keys, runs, [r.run_id for r in runs], keep_partitions=17)
    assert gone == [key(days, f"{days}") for days in (29, 28, 27)]
    assert deleted == ["29", "28", "27"]


def test_partitions_go_by_age_only_when_it_is_asked_for() -> None:
    assert plan([key(4000)], [])[0] == []
    assert plan([key(4000), key(300)], [], keep_partition_days=365)[0] == [key(4000)]


def test_the_newest_week_stays_whatever_the_limits() -> None:
    keys = [key(day / 10, f"{day}") for day in range(70)]
    runs = [run(k, k, 1) for k in keys]
    assert plan(keys, runs, keep_partitions=1, keep_runs=1, keep_run_days=0, keep_log_days=0) == ([], [], [])


@pytest.mark.parametrize("finished", [True, False])
def test_a_partition_that_is_reduced_again_now_or_was_last_week_stays(finished: bool) -> None:
    runs = [run("old", key(400), 400), run("again", key(400), 3 if finished else 30, finished=finished)]
    gone, deleted, _ = plan([key(400)], runs, ["again"], keep_partition_days=100)
    assert gone == []
    assert deleted == ["old"]


def test_an_unfinished_run_is_never_touched_however_old() -> None:
    assert plan([key(400)], [run("stuck", key(400), 400, finished=False)], keep_partitions=0) == ([], [], [])


def test_the_run_that_holds_a_partitions_result_stays_with_a_thinner_log() -> None:
    runs = [run("failed", key(400), 400), run("replaced", key(400), 399), run("holder", key(400), 398)]
    assert plan([key(400)], runs, ["holder"]) == ([], ["failed", "replaced"], ["holder"])
    assert plan([key(400)], [replace(runs[2], thin=True)], ["holder"]) == ([], [], [])


def test_replaced_runs_beyond_the_number_go_before_their_time() -> None:
    keys = [key(days, f"{days}") for days in range(10, 20)]
    runs = [run(f"{days}", key(days, f"{days}"), days) for days in range(10, 20)]
    assert plan(keys, runs, keep_runs=7)[1] == ["19", "18", "17"]
    assert plan(keys, runs, [r.run_id for r in runs], keep_runs=0)[1] == []


def test_runs_of_partitions_that_are_gone_already_go_too() -> None:
    """As after a kill between the partition's end and the run's."""
    assert plan([], [run("left", key(20), 20)], ["left"])[1] == ["left"]


def test_runs_of_the_housekeeping_itself_go_by_age() -> None:
    assert plan([], [run("old", None, 91), run("young", None, 20)])[1] == ["old"]


def test_keys_without_a_time_are_never_removed() -> None:
    assert plan(["by-hand", key(400)], [], keep_partitions=0)[0] == [key(400)]


def test_keys_that_name_no_time_go_by_the_time_that_is_given() -> None:
    began = {f"scan {days}": NOW - days * DAY for days in (3, 9, 300, 400)}
    runs = [KnownRun("a", "DELTA", "scan 400", NOW - 400 * DAY), KnownRun("b", "DELTA", "scan 300", NOW - DAY)]
    keys = {"DELTA": [*began, "unknown"]}
    made = plan_pruning(keys, runs, ["a"], Limits(keep_partitions=0), NOW, began={"DELTA": began})
    assert made.partitions == {"DELTA": ["scan 400", "scan 9"]}, "not the newest week, nor what was processed in it"
    assert made.delete_runs == ["a"]
    older = plan_pruning(keys, [], [], Limits(keep_partition_days=350), NOW, began={"DELTA": began})
    assert older.partitions == {"DELTA": ["scan 400"]}


def test_a_hundred_thousand_scans_found_at_once_stay_within_the_limit() -> None:
    began = {f"scan{number:06d}": NOW - 30 * DAY + number for number in range(DAGSTER_LIMIT)}
    made = plan_pruning({"DELTA": began}, [], [], Limits(), NOW, began={"DELTA": began})
    kept = set(began).difference(made.partitions["DELTA"])
    assert kept == set(sorted(began)[-Limits().keep_partitions :])


places = st.integers(0, 200)
made_runs = st.builds(
    run,
    st.integers(0, 10**9).map(str),
    st.none() | places.map(key),
    st.floats(0, 200),
    finished=st.booleans(),
    thin=st.booleans(),
)


@given(
    st.sets(places).map(lambda days: {key(day) for day in days}),
    st.lists(made_runs, max_size=40, unique_by=lambda r: r.run_id),
    st.data(),
)
def test_planned_again_nothing_more_goes_and_every_kept_partition_keeps_its_holder(
    keys: set[str], runs: list[KnownRun], data: st.DataObject
) -> None:
    holders = data.draw(st.sets(st.sampled_from([r.run_id for r in runs]))) if runs else set()
    limits = {
        "keep_partitions": 20,
        "keep_runs": 5,
        "keep_partition_days": data.draw(st.none() | st.integers(7, 90)),
    }
    gone, deleted, thinned = plan(keys, runs, holders, **limits)
    kept = keys.difference(gone)
    assert not set(deleted) & set(thinned)
    assert not [r for r in runs if r.run_id in holders and r.partition_key in kept and r.run_id in deleted]
    left = [replace(r, thin=r.thin or r.run_id in thinned) for r in runs if r.run_id not in deleted]
    assert plan(kept, left, holders, **limits) == ([], [], [])


def test_five_years_of_a_hundred_runs_a_day_stay_within_the_limits() -> None:
    """182,500 runs of one instrument, with failures, retries and nightly reductions; pruned every fourth week only."""
    rng = random.Random(5)
    limits = Limits()
    keys: list[str] = []
    runs: dict[str, KnownRun] = {}
    holder: dict[str, str] = {}
    most_partitions = most_runs = most_bytes = 0
    partitions_after: list[int] = []
    thinned: set[str] = set()

    def launch(partition_key: str, at: float, succeeded: bool) -> None:
        run_id = f"{len(partitions_after)}-{at}-{rng.random()}"
        runs[run_id] = KnownRun(run_id, "ALFA", partition_key, at)
        if succeeded:
            holder[partition_key] = run_id

    for day in range(5 * 365):
        begin = NOW + day * DAY
        for number in range(100):
            at = begin + number * DAY / 100
            keys.append(name_partition(f"{number}", int(at * 1000)))
            if rng.random() < 0.1:
                launch(keys[-1], at, succeeded=False)
            launch(keys[-1], at + 1, succeeded=rng.random() < 0.98)
        for again in rng.sample(keys[-3000:], 10):
            launch(again, begin + DAY - 1, succeeded=True)
        most_partitions = max(most_partitions, len(keys))
        most_runs = max(most_runs, len(runs))
        if day % 28 or not day:
            continue
        now = begin + DAY
        made = plan_pruning({"ALFA": keys}, runs.values(), holder.values(), limits, now)
        newest = keys[-2800:]
        gone = made.partitions.get("ALFA", [])
        assert gone == keys[: len(gone)], "the oldest go first"
        del keys[: len(gone)]
        for partition_key in gone:
            holder.pop(partition_key, None)
        for run_id in made.delete_runs:
            del runs[run_id]
        for run_id in made.thin_runs:
            runs[run_id] = replace(runs[run_id], thin=True)
        thinned.difference_update(made.delete_runs)
        thinned.update(made.thin_runs)
        assert keys[-2800:] == newest
        assert runs.keys() >= set(holder.values()), "each partition that stays keeps the run that holds its result"
        most_bytes = max(most_bytes, len(thinned) * 20_000 + (len(runs) - len(thinned)) * 3_000_000)
        partitions_after.append(len(keys))
    assert most_partitions <= limits.keep_partitions + 2800 < DAGSTER_LIMIT
    assert set(partitions_after[-50:]) == {limits.keep_partitions}
    assert most_runs < 35_000
    assert most_bytes < 20_000_000_000  # of 600 GB that came: a month of whole logs, and thin ones
