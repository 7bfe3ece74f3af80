from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from facility_kit import WrappedStore, failing
from hypothesis import given
from hypothesis import strategies as st
from scan_arrival_kit import GIVE_UP_S, SETTLE_S, Eye, launched, names, only
from scan_work_kit import draw_frames

from runstart.errors import Alert, Transient
from runstart.frame_files import BatchWriter, batch_header
from runstart.frames import SparseFrames
from runstart.places import seen as seen_files
from runstart.scans import load_record, run_key
from runstart.scans._places import ScanFolder, explain_name, scan_key
from runstart.storage import FileStore
from runstart.storage.object_store import is_key


@pytest.fixture
def eye(tmp_path: Path, file_store: FileStore) -> Eye:
    folder = tmp_path / "scans"
    folder.mkdir()
    return Eye(folder, file_store)


@pytest.fixture
def watching(eye: Eye) -> Eye:
    """Has looked at the empty folder before."""
    assert eye.look().scans == ()
    return eye


def test_a_scan_is_handed_out_once_with_its_record(watching: Eye) -> None:
    watching.put_array("day/a.npy")
    scan = only(watching.look())
    assert (scan.record.microscope, scan.record.scan, scan.record.name) == ("SIMSTEM", "day@a.npy", "day/a.npy")
    assert (scan.launch, scan.growing) == (True, False)
    assert scan.bytes == (watching.folder / "day/a.npy").stat().st_size
    assert load_record(watching.store, "SIMSTEM", "day@a.npy") == scan.record
    again = watching.look()
    assert (again.scans, again.left_alone, again.refused) == ((), {}, {})


def test_a_look_whose_cursor_was_not_kept_is_repeated_with_the_same_records(watching: Eye) -> None:
    watching.put_array("a.npy")
    writer = watching.begin("b.frames")
    first = watching.look(is_kept=False)
    watching.wait(2)
    second = watching.look()
    writer.abandon()
    assert [scan.record for scan in first.scans] == [scan.record for scan in second.scans]
    assert launched(second) == ["a.npy", "b.frames"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", ["1.npy/record.json", "seen-"])
def test_a_store_that_fails_in_the_middle_of_a_look_loses_nothing(watching: Eye, key: str, when: str) -> None:
    for number in range(3):
        watching.put_array(f"{number}.npy")
    good = watching.store
    watching.store = WrappedStore(good, **{when: failing(1, "put", key=key)})
    with pytest.raises(Transient):
        watching.look()
    watching.wait(5)
    assert launched(watching.look()) == ["0.npy", "1.npy", "2.npy"]
    assert load_record(good, "SIMSTEM", "2.npy").name == "2.npy"


def test_what_lies_there_at_the_first_look_becomes_known_and_only_the_newest_is_launched(eye: Eye) -> None:
    for number in range(4):
        eye.put_array(f"{number}.npy", age_s=1000 - number)
    eye.put_frames("old.frames", age_s=3000)
    found = eye.look()
    assert names(found) == ["old.frames", "0.npy", "1.npy", "2.npy", "3.npy"]
    assert launched(found) == ["3.npy"]
    eye.put_array("copied.npy", age_s=100_000)
    assert launched(eye.look()) == ["copied.npy"]


def test_a_large_backlog_comes_in_parts_and_waits_for_what_is_new(eye: Eye) -> None:
    for number in range(7):
        eye.put_array(f"{number}.npy", age_s=1000 - number)
    first = eye.look(most=3)
    assert (names(first), launched(first)) == (["4.npy", "5.npy", "6.npy"], ["6.npy"])
    eye.put_array("new.npy", age_s=50_000)
    second = eye.look(most=3)
    assert (set(names(second)), launched(second)) == ({"new.npy", "3.npy", "2.npy"}, ["new.npy"])
    third = eye.look()
    assert (names(third), launched(third)) == (["0.npy", "1.npy"], [])
    assert eye.look().scans == ()


def test_a_backlog_is_handed_out_even_without_patience(eye: Eye) -> None:
    for number in range(20):
        eye.put_array(f"{number:02d}.npy", age_s=1000 - number)
    got: list[str] = []
    for _ in range(5):
        got += names(eye.look(patience_s=-1))
    assert sorted(got) == [f"{number:02d}.npy" for number in range(20)]


def test_a_scan_of_the_backlog_that_is_replaced_meanwhile_is_launched(eye: Eye) -> None:
    eye.put_array("a.npy", age_s=2000)
    eye.put_array("b.npy")
    eye.look(most=1)
    eye.put_array("a.npy", seed=1)
    assert launched(eye.look()) == ["a.npy"]


def test_a_folder_that_is_not_mounted_at_the_first_look_has_a_backlog_later(
    tmp_path: Path, file_store: FileStore
) -> None:
    eye = Eye(tmp_path / "mounted", file_store)
    assert eye.look().cursor == ""
    eye.put_array("a.npy", age_s=500)
    eye.put_array("b.npy", age_s=100)
    assert launched(eye.look()) == ["b.npy"]


def test_a_disk_that_was_away_does_not_make_everything_new(watching: Eye) -> None:
    watching.put_array("a.npy")
    watching.look()
    watching.folder.rename(watching.folder.with_name("away"))
    assert watching.look().scans == ()
    watching.folder.with_name("away").rename(watching.folder)
    assert watching.look().scans == ()


def test_a_file_that_has_just_changed_is_left_alone_until_it_settles(watching: Eye) -> None:
    watching.put_array("a.npy", age_s=1)
    assert watching.look().left_alone == {"a.npy": "it has just changed"}
    watching.wait(SETTLE_S)
    assert names(watching.look()) == ["a.npy"]


def test_a_file_that_is_replaced_is_a_new_version_and_launched_again(watching: Eye) -> None:
    path = watching.put_array("a.npy")
    first = only(watching.look())
    path.unlink()
    watching.put_array("a.npy", seed=1)
    second = only(watching.look())
    assert second.launch
    assert run_key(first.record) != run_key(second.record)
    assert load_record(watching.store, "SIMSTEM", "a.npy") == second.record


def test_a_file_that_can_be_followed_is_handed_out_with_its_header_and_never_again_while_it_grows(
    watching: Eye,
) -> None:
    writer = watching.begin("a.frames")
    scan = only(watching.look())
    assert (scan.growing, scan.launch) == (True, True)
    for part in np.array_split(draw_frames(0, 30), 3):
        writer.append(part)
        writer.flush()
        watching.touch(watching.folder / "a.frames")
        watching.wait(2)
        assert watching.look().scans == ()
    writer.close()
    for _ in range(3):
        watching.wait(SETTLE_S)
        assert watching.look().scans == ()
    source, version = ScanFolder(watching.folder).open(*ScanFolder(watching.folder).find_with_sidecar("a.frames"))
    source.close()
    assert version == scan.record.version


def test_batches_that_grow_keep_their_version(watching: Eye) -> None:
    path = watching.folder / "a.batches"
    writer = BatchWriter(path)
    writer.flush()
    watching.touch(path)
    assert list(watching.look().left_alone) == ["a.batches"]
    found = []
    for position in range(4):
        events = SparseFrames(
            np.array([position]), np.array([0, 1]), np.array([position], np.uint32), frame_shape=(4, 4)
        )
        writer.write(batch_header(events, (2, 2), scan_number=3), events)
        writer.flush()
        watching.touch(path)
        found += watching.look().scans
    writer.close()
    watching.wait(SETTLE_S)
    found += watching.look().scans
    assert [(scan.record.name, scan.growing) for scan in found] == [("a.batches", True)]


def test_a_finished_scan_is_not_growing(watching: Eye) -> None:
    watching.put_frames("a.frames", age_s=1)
    assert not only(watching.look()).growing


def test_a_scan_that_was_broken_off_long_ago_is_not_growing(watching: Eye) -> None:
    watching.put_frames("a.frames", age_s=GIVE_UP_S + 1, closed=False)
    assert not only(watching.look()).growing


def test_a_file_that_takes_the_place_of_a_growing_one_is_a_new_version(watching: Eye) -> None:
    watching.begin("a.frames", started="2026-06-01T08:00:00+00:00").abandon()
    first = only(watching.look())
    (watching.folder / "a.frames").unlink()
    watching.begin("a.frames", started="2026-06-01T09:00:00+00:00").abandon()
    second = only(watching.look())
    assert second.launch
    assert first.record.version != second.record.version


def test_a_header_that_is_not_whole_yet_is_waited_for(watching: Eye) -> None:
    whole = watching.put_frames("whole.frames").read_bytes()
    watching.look()
    path = watching.folder / "a.frames"
    path.write_bytes(whole[:20])
    watching.touch(path)
    assert "cannot be read yet" in watching.look().left_alone["a.frames"]
    path.write_bytes(whole[:300])
    watching.touch(path)
    assert only(watching.look()).growing


def test_a_file_that_stays_unreadable_is_told_once_and_looked_at_again_when_it_changes(watching: Eye) -> None:
    path = watching.folder / "a.npy"
    path.write_bytes(b"no frames")
    watching.touch(path, 100)
    assert "is no file of frames" in watching.look().refused["a.npy"]
    assert watching.look().refused == {}
    watching.put_array("a.npy")
    assert names(watching.look()) == ["a.npy"]


def test_raw_frames_wait_for_the_file_that_describes_them(watching: Eye) -> None:
    path = watching.folder / "a.raw"
    path.write_bytes(draw_frames(0, 6).tobytes())
    watching.touch(path, 1000)
    assert "no a.json" in watching.look().left_alone["a.raw"]
    described = watching.folder / "a.json"
    described.write_text('{"scan_shape": [2, 3], "frame_shape": [16, 12], "dtype": "uint16"}')
    first = only(watching.look())
    described.write_text('{"scan_shape": [3, 2], "frame_shape": [16, 12], "dtype": "uint16"}')
    second = only(watching.look())
    assert first.record.version != second.record.version


def test_other_programs_files_and_other_kinds_are_ignored(watching: Eye) -> None:
    for name in (
        ".a.npy",
        ".hidden/a.npy",
        "a.npy.part",
        "a.npy.tmp",
        "b.part/a.npy",
        "notes.txt",
        "npy",
        "a.json",
    ):
        path = watching.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (watching.folder / "folder.npy").mkdir()
    found = watching.look()
    assert (found.scans, found.left_alone, found.refused) == ((), {}, {})


def test_what_cannot_be_used_is_told_once_with_the_reason(watching: Eye, tmp_path: Path) -> None:
    watching.put_array("good.npy")
    for name in ("a b.npy", "a@b.npy", "é.npy", "a..b.npy", "-a.npy", "a;rm.npy", "a\nb.npy", f"{'x' * 190}.npy"):
        (watching.folder / name).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(watching.folder) + b"/\xff.npy")).write_bytes(b"x")
    outside = tmp_path / "outside.npy"
    outside.write_bytes(b"x")
    (watching.folder / "link.npy").symlink_to(outside)
    os.mkfifo(watching.folder / "pipe.npy")
    found = watching.look()
    assert names(found) == ["good.npy"]
    assert len(found.refused) == 11
    assert "letters, digits" in found.refused["a@b.npy"]
    assert "leads out of the folder" in found.refused["link.npy"]
    assert watching.look().refused == {}


def test_a_folder_with_nothing_new_is_looked_at_without_opening_a_file(
    eye: Eye, monkeypatch: pytest.MonkeyPatch
) -> None:
    eye.put_array("a.npy")
    eye.put_frames("b.frames")
    eye.put_frames("broken_off.frames", closed=False)
    eye.look()
    monkeypatch.setattr("runstart.scans._places.open_frames", None)
    objects = eye.store.list("")
    assert eye.look().scans == ()
    assert eye.store.list("") == objects


def test_the_cursor_stays_short(watching: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_files, "SMALL", 4)
    got = []
    for number in range(12):
        watching.put_array(f"{number:02d}.npy")
        got += names(watching.look())
        assert len(watching.cursor or "") < 400
    assert got == [f"{number:02d}.npy" for number in range(12)]


def test_a_damaged_cursor_is_an_alert(eye: Eye) -> None:
    eye.cursor = "x"
    with pytest.raises(Alert, match="Clear the sensor's cursor"):
        eye.look()


def test_a_file_that_vanishes_after_it_was_listed_is_no_mistake(
    watching: Eye, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = watching.put_array("a.npy")

    def vanish(place: ScanFolder, *files: object) -> object:
        path.unlink(missing_ok=True)
        return opened(place, *files)

    opened = ScanFolder.open
    monkeypatch.setattr(ScanFolder, "open", vanish)
    found = watching.look()
    assert found.refused == {}
    assert found.left_alone == {"a.npy": "it has just been replaced or removed"}


@given(st.lists(st.text("ab.=+-_@/ é\n\0", max_size=12), min_size=1, max_size=3).map("/".join))
def test_names_that_are_taken_give_different_keys_that_the_object_store_takes(name: str) -> None:
    if not explain_name(name):
        assert is_key(f"scans/SIMSTEM/{scan_key(name)}/record.json")
        assert scan_key(name).replace("@", "/") == name
        assert ".." not in scan_key(name)
