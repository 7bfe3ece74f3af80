from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scan_arrival_kit import Eye, only
from scan_work_kit import draw_frames

from runstart.errors import Alert
from runstart.frame_files import BatchWriter, batch_header
from runstart.frames import DenseFrames, SparseFrames
from runstart.scans import ScanRecord, load_record, run_key, save_record
from runstart.scans.opening import open_scan, streamed_frames_key
from runstart.storage import FileStore


@pytest.fixture
def eye(tmp_path: Path, file_store: FileStore) -> Eye:
    (tmp_path / "scans").mkdir()
    return Eye(tmp_path / "scans", file_store)


def found(eye: Eye) -> ScanRecord:
    return only(eye.look()).record


@pytest.mark.parametrize("name", ["sub/a.npy", "sub/a.frames"])
def test_the_file_of_a_record_is_opened(eye: Eye, name: str) -> None:
    put = eye.put_array if name.endswith("npy") else eye.put_frames
    put(name)
    with open_scan(eye.microscope, found(eye), eye.store) as source:
        frames = source.read(0, 6)
    assert isinstance(frames, DenseFrames)
    assert np.array_equal(frames.pixels, draw_frames(0, 30)[:6] if name.endswith("frames") else draw_frames(0, 6))


def test_a_file_that_has_grown_since_is_the_same_scan(eye: Eye) -> None:
    writer = eye.begin("a.frames")
    record = found(eye)
    writer.append(draw_frames(0, 30))
    writer.close()
    with open_scan(eye.microscope, record, eye.store) as source:
        assert source.frame_count == 30


@pytest.mark.parametrize("name", ["a.npy", "a.frames"])
def test_a_file_that_was_replaced_is_an_alert(eye: Eye, name: str) -> None:
    put = eye.put_array if name.endswith("npy") else eye.put_frames
    put(name)
    record = found(eye)
    old = (eye.folder / name).rename(eye.folder / "old.part")
    put(name, seed=1)
    with pytest.raises(Alert, match=f"{name} is another file"):
        open_scan(eye.microscope, record, eye.store)
    old.replace(eye.folder / name)


def test_a_file_that_is_gone_is_an_alert(eye: Eye) -> None:
    path = eye.put_array("a.npy")
    record = found(eye)
    path.unlink()
    with pytest.raises(Alert, match=r"a\.npy, the file of scan a\.npy of SIMSTEM, is gone"):
        open_scan(eye.microscope, record, eye.store)


@pytest.mark.parametrize("name", ["../secret.npy", "/etc/passwd.npy", "link.npy", ".a.npy", "a.txt"])
def test_a_record_that_was_tampered_with_leads_nowhere(eye: Eye, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "secret.npy", draw_frames(0, 6))
    (eye.folder / "link.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(Alert, match="cannot be taken"):
        open_scan(eye.microscope, ScanRecord("SIMSTEM", "a.npy", name, "v", 0.0), eye.store)


def streamed(eye: Eye, scan: str = "7") -> ScanRecord:
    return ScanRecord("SIMSTEM", scan, "", "v", 0.0, stream={"number": 7})


def test_the_kept_frames_of_a_streamed_scan_are_opened(eye: Eye, tmp_path: Path) -> None:
    events = SparseFrames(np.array([0, 3]), np.array([0, 1, 3]), np.array([5, 6, 7], np.uint32), (4, 4))
    with BatchWriter(tmp_path / "raw.batches") as writer:
        writer.write(batch_header(events, (2, 2), scan_number=7), events)
    eye.store.put("scans/SIMSTEM/7/raw.batches", (tmp_path / "raw.batches").read_bytes())
    assert streamed_frames_key(eye.microscope, "7") == "scans/SIMSTEM/7/raw.batches"
    with open_scan(eye.microscope, streamed(eye), eye.store) as source:
        frames = source.read(0, 2)
    assert isinstance(frames, SparseFrames)
    assert frames.events.tolist() == [5, 6, 7]


def test_a_streamed_scan_without_kept_frames_is_an_alert(eye: Eye) -> None:
    with pytest.raises(Alert, match="No frames of the streamed scan 7"):
        open_scan(eye.microscope, streamed(eye), eye.store)


def test_the_first_record_of_a_version_stays(file_store: FileStore) -> None:
    first = ScanRecord("M", "a.npy", "a.npy", "v1", 1.0)
    assert save_record(file_store, first) == first
    assert save_record(file_store, replace(first, found_at=2.0)) == first
    newer = replace(first, version="v2", found_at=3.0)
    assert save_record(file_store, newer) == newer == load_record(file_store, "M", "a.npy")
    assert run_key(first) != run_key(newer)


@pytest.mark.parametrize("scan", ["none.npy", "../x", "a b", ""])
def test_a_scan_that_nobody_found_is_an_alert(file_store: FileStore, scan: str) -> None:
    with pytest.raises(Alert, match="was found"):
        load_record(file_store, "M", scan)


@pytest.mark.parametrize("data", [b"x", b"[]", b"{}", b'{"format": 1, "scan": 3}'])
def test_a_damaged_record_is_an_alert_and_written_anew(file_store: FileStore, data: bytes) -> None:
    file_store.put("scans/M/a.npy/record.json", data)
    with pytest.raises(Alert, match="cannot be read"):
        load_record(file_store, "M", "a.npy")
    record = ScanRecord("M", "a.npy", "a.npy", "v1", 1.0)
    assert save_record(file_store, record) == load_record(file_store, "M", "a.npy")
