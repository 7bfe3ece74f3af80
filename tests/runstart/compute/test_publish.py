"""Publishing: every plain file at the top, named with size, type and checksum, or nothing at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from compute_kit import Owners, environment, workflow_payload
from hypothesis import given
from hypothesis import strategies as st

from runstart.compute import JobRecord, Result
from runstart.compute.folders import JobFolder, make_job_folder
from runstart.compute.publish import PublishingFailed, _safe, _shown, publish_all
from runstart.compute.records import RESULTS
from runstart.compute.watching import JobStopped, Watch
from runstart.storage import check_key


class _Stage:
    """A job that is to be published."""

    def __init__(self, owners: Owners) -> None:
        self.owners = owners
        self.record: JobRecord = owners.order(workflow_payload())
        self.folder: JobFolder = make_job_folder(owners.root, self.record.job_id, "0")

    def publish(self) -> tuple[Result, ...]:
        watch = Watch(self.owners.book, self.record.job_id, "Publishing", 60)
        return publish_all(self.record, self.owners.environment, self.folder, self.owners.store, watch)

    def published(self) -> list[str]:
        return self.owners.store.list(f"{RESULTS}/")


@pytest.fixture
def stage(tmp_path: Path) -> _Stage:
    return _Stage(Owners(tmp_path))


def test_outputs_come_first_by_name_then_logs_each_with_its_index_size_and_checksum(stage: _Stage) -> None:
    for name in ("b.csv", "a.csv"):
        (stage.folder.outputs / name).write_text(name)
    (stage.folder.logs / "algorithm.log").write_text("said")
    (stage.folder.admin_logs / "configure.log").write_text("brought")
    results = stage.publish()
    assert [(each.index, each.filename, each.type) for each in results] == [
        (0, "a.csv", "output"),
        (1, "b.csv", "output"),
        (2, "algorithm.log", "algorithmLog"),
        (3, "configure.log", "configrationLog"),
        (4, "publish.log", "publishLog"),
    ]
    for each in results:
        data = stage.owners.store.get(each.key).data
        assert each.filesize == len(data)
        assert each.checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_what_is_no_plain_file_at_the_top_is_told_and_left_out(stage: _Stage) -> None:
    (stage.folder.outputs / "folder").mkdir()
    (stage.folder.outputs / "folder" / "inside.txt").write_text("x")
    results = stage.publish()
    assert [each.type for each in results] == ["publishLog"]
    log = stage.owners.store.get(results[0].key).data.decode()
    assert log == "outputs/folder is a folder: not published.\n"


def test_too_many_or_too_large_results_publish_none(tmp_path: Path) -> None:
    stage = _Stage(Owners(tmp_path, environment(max_results=2, max_result_mb=0.001)))
    for number in range(3):
        (stage.folder.outputs / str(number)).write_text("x")
    with pytest.raises(PublishingFailed, match="left 3 outputs; beamline publishes 2 at most"):
        stage.publish()
    (stage.folder.outputs / "2").unlink()
    (stage.folder.outputs / "1").write_bytes(bytes(1001))
    with pytest.raises(PublishingFailed, match="has 1,001 bytes; beamline publishes 1,000 at most"):
        stage.publish()
    assert stage.published() == []


def test_a_stop_in_the_middle_leaves_nothing_published(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (stage.folder.outputs / str(number)).write_text("x")
    put = type(stage.owners.store).put

    def stop_at_the_third(store: object, key: str, data: bytes) -> str:
        if key.endswith("/2/2"):
            stage.owners.book.request_stop(stage.record.job_id)
            raise JobStopped
        return put(store, key, data)  # type: ignore[arg-type]

    monkeypatch.setattr(type(stage.owners.store), "put", stop_at_the_third)
    with pytest.raises(JobStopped):
        stage.publish()
    assert stage.published() == []


@given(st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_name_of_a_file_becomes_part_of_a_key_and_a_line_to_show(name: bytes) -> None:
    import os

    shown = _shown(os.fsdecode(name))
    assert shown.isprintable()
    assert shown.encode()
    key = check_key(f"{RESULTS}/x/0/{_safe(shown)}")
    assert key.count("/") == 4
