from __future__ import annotations

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from exposure_files import NOW, header_only, image, make_site, put

from runstart.errors import Alert
from runstart.nights import Found, Listing, NightFiles, files_by_night, find_new, list_arrivals, night_of
from runstart.places import FolderPlace
from runstart.places import seen as seen_files
from runstart.storage import FileStore

EVENING, MORNING = "2026-03-01T22:00:00", "2026-03-02T04:00:00.5"
NIGHT = "2026-03-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    return path


def names(found: Found) -> dict[str, list[str]]:
    return {night: [arrival.name for arrival in arrivals] for night, arrivals in found.nights.items()}


def test_whole_files_are_handed_out_once_with_their_night(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only(EVENING))
    put(folder / "sub/b.fits.fz", header_only(MORNING))
    put(folder / "c.FIT", header_only("2026-03-05T22:00:00"))
    found = find_new(site, None, file_store, now=NOW)
    assert names(found) == {NIGHT: ["a.fits", "sub/b.fits.fz"], "2026-03-05": ["c.FIT"]}
    again = find_new(site, found.cursor, file_store, now=NOW)
    assert names(again) == {}
    assert (again.incomplete, again.refused) == ({}, {})


def test_a_tick_whose_cursor_was_not_kept_is_repeated(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only())
    first = find_new(site, "", file_store, now=NOW)
    put(folder / "b.fits", header_only())
    assert names(find_new(site, first.cursor, file_store, now=NOW)) == {NIGHT: ["b.fits"]}
    assert names(find_new(site, first.cursor, file_store, now=NOW)) == {NIGHT: ["b.fits"]}


def test_a_file_that_is_written_again_is_new_again(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only(EVENING))
    first = find_new(site, None, file_store, now=NOW)
    put(folder / "a.fits", header_only("2026-03-07T22:00:00"))
    second = find_new(site, first.cursor, file_store, now=NOW)
    assert names(second) == {"2026-03-07": ["a.fits"]}
    assert files_by_night(site, file_store, now=NOW).keys() == {"2026-03-07"}


def test_a_file_with_an_old_time_is_new(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only())
    first = find_new(site, None, file_store, now=NOW)
    put(folder / "copied.fits", header_only(), modified=NOW - dt.timedelta(days=4000))
    assert names(find_new(site, first.cursor, file_store, now=NOW)) == {NIGHT: ["copied.fits"]}


def test_a_disk_that_was_away_does_not_make_everything_new(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only())
    first = find_new(site, None, file_store, now=NOW)
    folder.rename(folder.with_name("away"))
    second = find_new(site, first.cursor, file_store, now=NOW)
    folder.with_name("away").rename(folder)
    assert names(find_new(site, second.cursor, file_store, now=NOW)) == {}


def test_a_folder_that_is_not_there_has_no_arrivals_but_no_night_can_be_made_of_it(
    tmp_path: Path, file_store: FileStore
) -> None:
    site = make_site(tmp_path / "none")
    assert names(find_new(site, None, file_store, now=NOW)) == {}
    with pytest.raises(Alert, match="is not there"):
        files_by_night(site, file_store)


def test_a_half_written_file_is_left_alone_until_it_is_whole(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    data = image(np.zeros((4, 4), np.uint16))
    put(folder / "a.fits", data[:3000], modified=NOW - dt.timedelta(seconds=60))
    first = find_new(site, None, file_store, now=NOW)
    assert names(first) == {}
    assert first.incomplete == {"a.fits": "it is not whole yet"}
    assert files_by_night(site, file_store, now=NOW) == {}
    put(folder / "a.fits", data, modified=NOW - dt.timedelta(seconds=2))
    second = find_new(site, first.cursor, file_store, now=NOW)
    assert names(second) == {}
    assert second.incomplete == {"a.fits": "it has just changed"}
    third = find_new(site, second.cursor, file_store, now=NOW + dt.timedelta(seconds=5))
    assert names(third) == {NIGHT: ["a.fits"]}


def test_a_file_that_stays_truncated_is_handed_out_after_an_hour_and_again_when_it_is_whole(
    folder: Path, file_store: FileStore
) -> None:
    site = make_site(folder)
    written = dt.datetime(2026, 3, 1, 22, tzinfo=dt.UTC)
    put(folder / "a.fits", b"SIMPLE  = ", modified=written)
    soon = find_new(site, None, file_store, now=written + dt.timedelta(minutes=59))
    assert names(soon) == {}
    late = find_new(site, soon.cursor, file_store, now=written + dt.timedelta(minutes=61))
    assert names(late) == {NIGHT: ["a.fits"]}
    put(folder / "a.fits", header_only("2026-03-05T22:00:00"))
    assert names(find_new(site, late.cursor, file_store, now=NOW)) == {"2026-03-05": ["a.fits"]}


def test_a_clock_that_goes_ahead_keeps_no_file_back(folder: Path, file_store: FileStore) -> None:
    put(folder / "a.fits", header_only(), modified=NOW + dt.timedelta(minutes=10))
    assert names(find_new(make_site(folder), None, file_store, now=NOW)) == {NIGHT: ["a.fits"]}


@pytest.mark.parametrize("time", [None, "2026-03-01", "tomorrow", "2026-13-01T00:00:00", "2026-03-01T25:00:00"])
def test_a_file_without_a_time_belongs_to_the_night_in_which_it_was_written(
    folder: Path, file_store: FileStore, time: str | None
) -> None:
    site = make_site(folder, time_zone="Pacific/Honolulu")
    written = dt.datetime(2026, 4, 2, 5, tzinfo=dt.UTC)
    put(folder / "a.fits", header_only(time), modified=written)
    found = find_new(site, None, file_store, now=NOW)
    assert names(found) == {night_of(written, site): ["a.fits"]}


def test_what_is_not_an_exposure_is_ignored(folder: Path, file_store: FileStore) -> None:
    for name in (
        ".a.fits",
        ".hidden/a.fits",
        "a.fits.part",
        "a.fits.tmp",
        "b.part/a.fits",
        "a.jpg",
        "fits",
        "log.txt",
    ):
        put(folder / name, header_only())
    (folder / "folder.fits").mkdir()
    found = find_new(make_site(folder), None, file_store, now=NOW)
    assert (names(found), found.incomplete, found.refused) == ({}, {}, {})


def test_what_cannot_be_used_is_told_once_with_the_reason(
    folder: Path, file_store: FileStore, tmp_path: Path
) -> None:
    site = make_site(folder)
    put(folder / "good.fits", header_only())
    put(folder / "M 31.fits", header_only())
    put(folder / "étoile.fits", header_only())
    put(Path(os.fsdecode(os.fsencode(folder) + b"/\xff.fits")), header_only())
    put(tmp_path / "outside.fits", header_only())
    (folder / "link.fits").symlink_to(tmp_path / "outside.fits")
    (folder / "nothing.fits").symlink_to(folder / "none.fits")
    (folder / "round.fits").symlink_to(folder / "round.fits")
    os.mkfifo(folder / "pipe.fits")
    found = find_new(site, None, file_store, now=NOW)
    assert names(found) == {NIGHT: ["good.fits"]}
    assert set(found.refused) == {
        "M 31.fits",
        "étoile.fits",
        "\udcff.fits",
        "link.fits",
        "nothing.fits",
        "round.fits",
        "pipe.fits",
    }
    assert "letters, digits" in found.refused["M 31.fits"]
    assert "leads out of the folder" in found.refused["link.fits"]
    assert find_new(site, found.cursor, file_store, now=NOW).refused == {}
    assert set(list_arrivals(site).refused) == set(found.refused)
    (folder / "M 31.fits").rename(folder / "M31.fits")
    assert names(find_new(site, found.cursor, file_store, now=NOW)) == {NIGHT: ["M31.fits"]}


@pytest.mark.parametrize(
    ("time", "told"),
    [("2025-12-30T22:00:00", "before the site's first night"), ("2026-06-02T22:00:00", "not begun")],
)
def test_a_night_that_cannot_be_is_told_once(folder: Path, file_store: FileStore, time: str, told: str) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only(time))
    found = find_new(site, None, file_store, now=NOW)
    assert names(found) == {}
    assert told in found.refused["a.fits"]
    again = find_new(site, found.cursor, file_store, now=NOW)
    assert (names(again), again.refused) == ({}, {})


def test_a_file_that_may_not_be_read_waits_for_the_right(
    folder: Path, file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only(), modified=NOW - dt.timedelta(minutes=5))
    with monkeypatch.context() as patch:

        def forbidden(path: Path, *_arguments: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        patch.setattr(Path, "open", forbidden)
        found = find_new(site, None, file_store, now=NOW)
    assert "may not be read" in found.incomplete["a.fits"]
    assert names(find_new(site, found.cursor, file_store, now=NOW)) == {NIGHT: ["a.fits"]}


def test_a_large_archive_is_handed_out_in_parts_the_oldest_file_first(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    for number in range(25):
        put(folder / f"{number:02d}.fits", header_only(), modified=NOW - dt.timedelta(days=90 + number))
    cursor, sizes, got = "", [], []
    for _ in range(4):
        found = find_new(site, cursor, file_store, now=NOW, most=10)
        sizes.append(sum(map(len, found.nights.values())))
        got += [arrival.name for arrivals in found.nights.values() for arrival in arrivals]
        cursor = found.cursor
    assert sizes == [10, 10, 5, 0]
    assert got == [f"{number:02d}.fits" for number in reversed(range(25))]


def test_some_files_are_handed_out_even_without_patience(folder: Path, file_store: FileStore) -> None:
    for number in range(20):
        put(folder / f"{number:02d}.fits", header_only())
    found = find_new(make_site(folder), None, file_store, now=NOW, patience_s=-1)
    assert 0 < sum(map(len, found.nights.values())) < 20


def test_the_cursor_stays_short_and_few_objects_are_kept(
    folder: Path, file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_files, "SMALL", 4)
    site = make_site(folder)
    cursor, got = "", []
    for number in range(20):
        put(folder / f"{number:02d}.fits", header_only())
        found = find_new(site, cursor, file_store, now=NOW)
        got += [arrival.name for arrivals in found.nights.values() for arrival in arrivals]
        cursor = found.cursor
        assert len(cursor) < 400
        assert len([key for key in file_store.list("nights/OBS/arrivals/") if "seen-" in key]) <= 4
    assert got == [f"{number:02d}.fits" for number in range(20)]
    assert names(find_new(site, cursor, file_store, now=NOW)) == {}


def test_a_cursor_whose_object_is_gone_is_an_alert_and_clearing_it_helps(
    folder: Path, file_store: FileStore
) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only())
    cursor = find_new(site, None, file_store, now=NOW).cursor
    for key in file_store.list("nights/OBS/arrivals/seen-"):
        file_store.delete(key)
    with pytest.raises(Alert, match="Clear the sensor's cursor"):
        find_new(site, cursor, file_store, now=NOW)
    assert names(find_new(site, None, file_store, now=NOW)) == {NIGHT: ["a.fits"]}


def test_a_night_is_known_with_or_without_a_sensor(folder: Path, file_store: FileStore) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only(EVENING))
    found = find_new(site, None, file_store, now=NOW)
    put(folder / "b.fits", header_only(MORNING))
    put(folder / "c.fits", header_only("2026-03-05T22:00:00"))
    by_night = files_by_night(site, file_store, now=NOW)
    assert {night: [a.name for a in files] for night, files in by_night.items()} == {
        NIGHT: ["a.fits", "b.fits"],
        "2026-03-05": ["c.fits"],
    }
    assert by_night[NIGHT][0] == found.nights[NIGHT][0]
    assert names(find_new(site, found.cursor, file_store, now=NOW)) == {NIGHT: ["b.fits"], "2026-03-05": ["c.fits"]}
    (folder / "a.fits").unlink()
    assert [a.name for a in files_by_night(site, file_store, now=NOW)[NIGHT]] == ["b.fits"]


def test_headers_are_read_once(folder: Path, file_store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(folder)
    put(folder / "a.fits", header_only())
    assert files_by_night(site, file_store, now=NOW).keys() == {NIGHT}
    with monkeypatch.context() as patch:
        patch.setattr("runstart.nights._places.find_time", None)
        assert files_by_night(site, file_store, now=NOW).keys() == {NIGHT}


def test_the_files_of_many_nights_are_listed_once(folder: Path, file_store: FileStore) -> None:
    put(folder / "a.fits", header_only())
    files = NightFiles(make_site(folder), file_store)
    assert [arrival.name for arrival in files(NIGHT)] == ["a.fits"]
    put(folder / "b.fits", header_only())
    assert [arrival.name for arrival in files(NIGHT)] == ["a.fits"]
    assert files("2026-03-02") == ()
    assert files.gone(["a.fits", "b.fits"]) == ["b.fits"]


def test_the_files_of_nights_are_listed_once_for_many_threads(
    folder: Path, file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder / "a.fits", header_only())
    put(folder / "no name.fits", header_only())
    files = NightFiles(make_site(folder), file_store)
    listings: list[Path] = []
    listing = FolderPlace.listing

    def counted(place: FolderPlace) -> Listing:
        listings.append(folder)
        return listing(place)

    monkeypatch.setattr(FolderPlace, "listing", counted)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [arrival.name for arrival in files(NIGHT)], range(30)))
    assert found == [["a.fits"]] * 30
    assert list(files.refused()) == ["no name.fits"]
    assert len(listings) == 1


def test_a_place_that_was_not_there_is_looked_at_again(tmp_path: Path, file_store: FileStore) -> None:
    folder = tmp_path / "mounted"
    files = NightFiles(make_site(folder), file_store)
    with pytest.raises(Alert, match="is not there"):
        files(NIGHT)
    put(folder / "a.fits", header_only())
    assert [arrival.name for arrival in files(NIGHT)] == ["a.fits"]


def test_a_file_of_another_night_or_one_that_is_being_written_has_not_gone(
    folder: Path, file_store: FileStore
) -> None:
    put(folder / "other.fits", header_only("2026-03-05T22:00:00"))
    put(folder / "half.fits", b"SIMPLE  = ", modified=dt.datetime.now(dt.UTC))
    files = NightFiles(make_site(folder), file_store)
    assert files.gone(["other.fits", "half.fits", "lost.fits"]) == ["lost.fits"]
