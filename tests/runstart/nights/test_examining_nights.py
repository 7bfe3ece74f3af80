from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from night_kit import NIGHT, Observatory, open_observatory

import runstart
from runstart.errors import Alert
from runstart.nights.again import (
    ASSETS,
    Choice,
    Reason,
    choose_nights,
    examine_nights,
    note_attempts,
    with_followers,
)
from runstart.nights.record import Record

OTHER = "2026-03-27"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Observatory:
    """A night of calibration frames, whose masters were made; tests leave it as it is."""
    observatory = open_observatory(tmp_path_factory.mktemp("night"))
    observatory.simulate(shape=(48, 64), filters=("rp",), biases=2, darks=1, flats=1, exposures=0)
    observatory.make()
    return observatory


@pytest.fixture
def observatory(made: Observatory, tmp_path: Path) -> Observatory:
    import shutil

    observatory = open_observatory(tmp_path)
    for name in ("exposures", "store"):
        shutil.copytree(made.exposures.parent / name, tmp_path / name, dirs_exist_ok=True)
    # The copies of the files are files of another version; what they are made of is the same.
    observatory.make()
    return observatory


def records_of(observatory: Observatory) -> dict[str, Record]:
    work = observatory.work()
    return {asset: work.record(asset) for asset in ASSETS}


def choose(observatory: Observatory, nights: tuple[str, ...] = (NIGHT,), **known: set[str]) -> list[Choice]:
    return choose_nights(examine_nights(observatory.workplace, observatory.site, nights, **known))[0]


def test_a_night_that_was_made_is_left_alone(observatory: Observatory) -> None:
    assert choose(observatory) == []


def test_a_night_of_which_nothing_is_known_and_nothing_lies_there_is_left_alone(observatory: Observatory) -> None:
    assert choose(observatory, (NIGHT, OTHER)) == []


def test_what_dagster_knows_decides(observatory: Observatory) -> None:
    (choice,) = choose(observatory, failed={NIGHT})
    assert (choice.reason, choice.assets) == (Reason.FAILED, ASSETS)
    assert choose(observatory, failed={NIGHT}, unfinished={NIGHT}) == []


def test_a_night_with_exposures_and_no_records_was_never_made(observatory: Observatory) -> None:
    observatory.simulate(OTHER, shape=(48, 64), filters=("rp",), biases=1, darks=0, flats=0, exposures=0)
    (choice,) = choose(observatory, (NIGHT, OTHER))
    assert (choice.night, choice.reason, choice.assets) == (OTHER, Reason.NEVER_MADE, ASSETS)


def test_a_new_exposure_changes_the_inputs_of_its_night(observatory: Observatory) -> None:
    new = sorted(observatory.exposures.glob("*.fits"))[0]
    new.with_name("again.fits").write_bytes(new.read_bytes())
    (choice,) = choose(observatory)
    assert (choice.reason, choice.assets) == (Reason.INPUTS_CHANGED, ASSETS)


@pytest.mark.parametrize("how_many", [1, None])
def test_exposures_that_have_gone_leave_their_night_as_it_is(
    observatory: Observatory, monkeypatch: pytest.MonkeyPatch, how_many: int | None
) -> None:
    files = sorted(observatory.exposures.glob("*.fits"))
    kept = {path: path.read_bytes() for path in files[:how_many]}
    before = records_of(observatory)
    for path in kept:
        path.unlink()
    assert choose(observatory) == []
    with pytest.raises(Alert, match=rf"^{len(kept)} of {len(files)} exposures of {NIGHT} are no longer in file:"):
        observatory.make()
    assert records_of(observatory) == before
    with monkeypatch.context() as patch:
        patch.setattr(runstart, "__version__", "999.0")
        assert choose(observatory) == []
        assert choose(observatory, failed={NIGHT}) == []
    for path, data in kept.items():
        path.write_bytes(data)
    observatory.make()
    assert choose(observatory) == []


def test_a_new_exposure_in_place_of_one_that_has_gone_brings_the_night_up(observatory: Observatory) -> None:
    first = sorted(observatory.exposures.glob("*.fits"))[0]
    first.rename(first.with_name("renamed.fits"))
    assert [choice.reason for choice in choose(observatory)] == [Reason.INPUTS_CHANGED]
    with pytest.raises(Alert, match=r"exposures\.json in the object store") as raised:
        observatory.make()
    assert "1 of 4 exposures" in str(raised.value)
    observatory.workplace.store.delete(f"nights/{observatory.site.name}/{NIGHT}/exposures.json")
    assert [choice.reason for choice in choose(observatory)] == [Reason.NEVER_MADE]
    observatory.make()
    assert choose(observatory) == []


def test_a_damaged_file_may_be_removed(observatory: Observatory) -> None:
    damaged = observatory.exposures / "damaged.fits"
    damaged.write_bytes(b"SIMPLE  = ")
    evening = datetime.fromisoformat(f"{NIGHT}T22:00:00Z").timestamp()
    os.utime(damaged, (evening, evening))
    assert [e.name for e in observatory.make()["exposures"].exposures if e.trouble] == ["damaged.fits"]
    damaged.unlink()
    assert [choice.reason for choice in choose(observatory)] == [Reason.INPUTS_CHANGED]
    observatory.make()
    assert choose(observatory) == []


def test_a_night_whose_products_were_removed_is_made_again(observatory: Observatory) -> None:
    store = observatory.workplace.store
    (dark,) = records_of(observatory)["master_dark"].products
    store.delete(f"operations/{dark.key}/entry.json")
    (choice,) = choose(observatory)
    assert choice.reason is Reason.NEVER_MADE
    assert choice.assets == with_followers(["master_dark"])
    before = records_of(observatory)
    assert observatory.make() == before
    assert choose(observatory) == []


def test_another_limit_changes_what_depends_on_it(observatory: Observatory) -> None:
    limits = observatory.site.limits.model_copy(update={"flat_level": (100.0, 60_000.0)})
    observatory.site = observatory.site.model_copy(update={"limits": limits})
    (choice,) = choose(observatory)
    assert choice.reason is Reason.INPUTS_CHANGED
    assert choice.assets[0] == "master_flat"


def test_a_new_version_of_the_library_is_changed_code(
    observatory: Observatory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runstart, "__version__", "999.0")
    (choice,) = choose(observatory)
    assert (choice.reason, choice.assets) == (Reason.CODE_CHANGED, ASSETS)
    observatory.make()
    assert choose(observatory) == []


@pytest.mark.parametrize("asset", ["exposures", "master_dark"])
@pytest.mark.parametrize("damage", ["", "{", "removed"])
def test_a_record_that_is_lost_or_damaged_is_made_again(observatory: Observatory, damage: str, asset: str) -> None:
    store, key = observatory.workplace.store, f"nights/{observatory.site.name}/{NIGHT}/{asset}.json"
    if damage == "removed":
        store.delete(key)
    else:
        store.put(key, damage.encode())
    (choice,) = choose(observatory)
    assert choice.reason is Reason.NEVER_MADE
    assert choice.assets[0] == asset
    observatory.make()
    assert choose(observatory) == []


def test_a_failing_night_is_tried_three_times_and_again_when_its_inputs_change(observatory: Observatory) -> None:
    store = observatory.workplace.store
    for _ in range(3):
        choices = choose(observatory, failed={NIGHT})
        assert len(choices) == 1
        note_attempts(store, choices)
    assert choose(observatory, failed={NIGHT}) == []
    new = sorted(observatory.exposures.glob("*.fits"))[0]
    new.with_name("again.fits").write_bytes(new.read_bytes())
    assert len(choose(observatory, failed={NIGHT})) == 1


def test_an_attempt_that_got_some_way_counts_as_one(observatory: Observatory) -> None:
    from runstart.nights.steps import make_step

    observatory.simulate(OTHER, shape=(48, 64), filters=("rp",), biases=1, darks=0, flats=0, exposures=0)
    for step in range(3):
        (choice,) = choose(observatory, (OTHER,))
        note_attempts(observatory.workplace.store, [choice])
        make_step(observatory.work(OTHER), ASSETS[step])
    assert choose(observatory, (OTHER,)) == []


def test_masters_that_came_since_give_a_failing_night_new_attempts(observatory: Observatory) -> None:
    later = "2026-03-30"
    observatory.simulate(later, shape=(48, 64), filters=("rp",), biases=0, darks=0, flats=0, exposures=1)
    observatory.make(later)
    for _ in range(3):
        note_attempts(observatory.workplace.store, choose(observatory, (later,), failed={later}))
    assert choose(observatory, (later,), failed={later}) == []
    between = "2026-03-29"
    observatory.simulate(between, shape=(48, 64), filters=("rp",), biases=1, darks=1, flats=3, exposures=0)
    observatory.make(between)
    (choice,) = choose(observatory, (later,), failed={later})
    assert choice.reason is Reason.FAILED
    (choice,) = choose(observatory, (later,))
    assert choice.reason is Reason.INPUTS_CHANGED
    assert "master_flat" in choice.assets
