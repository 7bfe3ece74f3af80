"""Input files: found, known by their content, in the cache, unchanged while they are in use."""

from __future__ import annotations

import hashlib
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archive_kit import TOKEN, FakeArchive, body
from pydantic import ValidationError
from real_data import find_real_frames

from runstart.errors import Alert, Transient
from runstart.file_cache import FileCache
from runstart.fits import (
    ArchiveSource,
    FitsReference,
    FolderSource,
    InputFiles,
    InputSettings,
    StoreSource,
    UriSource,
    open_inputs,
    read_image,
    write_image,
)
from runstart.storage import FileStore

NAME = "frame-e91"
KEY = "0123456789abcdef" * 4


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def reference(text: str) -> FitsReference:
    return FitsReference.parse(text)


@pytest.fixture
def inputs(archive: FakeArchive, tmp_path: Path) -> InputFiles:
    (tmp_path / "folder").mkdir()
    sources = {
        "archive": ArchiveSource("archive", archive.url, TOKEN, tries=2, pause_s=0.0),
        "store": StoreSource("store", FileStore(tmp_path / "store")),
        "local": FolderSource("local", tmp_path / "folder"),
    }
    uris = UriSource([tmp_path / "folder"], [archive.files.url], tries=2, pause_s=0.0)
    return InputFiles(sources, uris, FileCache(tmp_path / "cache", 10_000))


def n_downloads(archive: FakeArchive) -> int:
    return len(archive.files.requests)


def test_a_frame_of_the_archive_is_fetched_once_and_known_by_its_content(
    inputs: InputFiles, archive: FakeArchive
) -> None:
    archive.add(NAME, b"content")
    resolved = inputs.resolve(reference(f"archive/{NAME}"))
    assert (resolved.source, resolved.name, resolved.size) == ("archive", NAME, 7)
    assert resolved.sha256 == sha256(b"content")
    with inputs.open(resolved) as path:
        assert path.read_bytes() == b"content"
    assert inputs.resolve(reference(f"archive/{NAME}")) == resolved
    assert n_downloads(archive) == 1
    assert pickle.loads(pickle.dumps(resolved)) == resolved  # noqa: S301 - our own


def test_the_digest_is_known_after_the_file_has_left_the_cache(inputs: InputFiles, archive: FakeArchive) -> None:
    for number in range(3):
        archive.add(f"frame{number}", bytes([number]) * 6000)
        inputs.resolve(reference(f"archive/frame{number}"))
    resolved = inputs.resolve(reference("archive/frame0"))
    assert n_downloads(archive) == 3
    with inputs.open(resolved) as path:
        assert path.read_bytes() == b"\0" * 6000
    assert n_downloads(archive) == 4


def test_a_new_version_in_the_archive_is_a_new_content(inputs: InputFiles, archive: FakeArchive) -> None:
    archive.add(NAME, b"old")
    old = inputs.resolve(reference(f"archive/{NAME}"))
    archive.add(NAME, b"new")
    assert inputs.resolve(reference(f"archive/{NAME}")).sha256 == sha256(b"new")
    with inputs.open(old) as path:
        assert path.read_bytes() == b"old"


def test_a_file_that_changed_since_it_was_resolved_is_an_alert(inputs: InputFiles, archive: FakeArchive) -> None:
    archive.add(NAME, b"old")
    resolved = inputs.resolve(reference(f"archive/{NAME}"))
    archive.add(NAME, b"new")
    inputs.cache = FileCache(inputs.cache.folder.with_name("other-cache"), 10_000)
    with pytest.raises(Alert, match=f"{NAME}' changed while it was used"), inputs.open(resolved):
        pass


def test_content_that_changes_under_one_version_is_refused_once(inputs: InputFiles, archive: FakeArchive) -> None:
    archive.add(NAME, b"old", md5="not-a-digest")
    for number in range(2):
        archive.add(f"other{number}", b"x" * 9000)
    resolved = inputs.resolve(reference(f"archive/{NAME}"))
    for number in range(2):
        inputs.resolve(reference(f"archive/other{number}"))
    with inputs.open(resolved):
        pass
    archive.files.answer(f"/bucket/{NAME}.fits.fz", body(b"new"))
    for number in range(2):
        with inputs.open(inputs.resolve(reference(f"archive/other{number}"))):
            pass
    with pytest.raises(Alert, match="changed"), inputs.open(resolved):
        pass
    assert inputs.resolve(reference(f"archive/{NAME}")).sha256 == sha256(b"new")


def test_many_at_once_download_once(inputs: InputFiles, archive: FakeArchive) -> None:
    archive.add(NAME, b"content" * 1000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(inputs.resolve, [reference(f"archive/{NAME}")] * 16))
    assert {resolved.sha256 for resolved in found} == {sha256(b"content" * 1000)}
    assert n_downloads(archive) == 1


def test_a_failed_download_leaves_the_cache_unharmed(inputs: InputFiles, archive: FakeArchive) -> None:
    archive.add(NAME, b"content")
    archive.files.answer(f"/bucket/{NAME}.fits.fz", body(b"con", declared=7))
    with pytest.raises(Transient):
        inputs.resolve(reference(f"archive/{NAME}"))
    assert inputs.cache.usage().files == 0
    archive.files.answer(f"/bucket/{NAME}.fits.fz", body(b"content"))
    assert inputs.resolve(reference(f"archive/{NAME}")).size == 7


def settle(path: Path, seconds: float = 100.0) -> None:
    """Let a file be old, as far as its times can be set."""
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


@pytest.mark.parametrize("uri", [False, True])
def test_a_local_file_is_read_in_place(inputs: InputFiles, tmp_path: Path, uri: bool) -> None:
    path = tmp_path / "folder" / "a.fits"
    path.write_bytes(b"content")
    resolved = inputs.resolve(reference(f"file:{path}" if uri else "local/a.fits"))
    assert resolved.sha256 == sha256(b"content")
    with inputs.open(resolved) as given:
        assert given == path
    assert inputs.cache.usage().files == 0


def test_a_local_file_written_anew_at_once_has_its_new_digest(inputs: InputFiles, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.fits"
    for content in (b"one", b"two", b"six", b"ten"):
        path.write_bytes(content)
        settle(path)
        assert inputs.resolve(reference("local/a.fits")).sha256 == sha256(content)


def test_a_local_file_that_changes_is_an_alert_before_and_after(inputs: InputFiles, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.fits"
    path.write_bytes(b"content")
    resolved = inputs.resolve(reference("local/a.fits"))
    path.touch()
    with inputs.open(resolved):
        pass
    with pytest.raises(Alert, match=r"local/a\.fits changed while it was used"), inputs.open(resolved):
        path.write_bytes(b"CONTENT")
    with pytest.raises(Alert, match="changed while it was used"), inputs.open(resolved):
        raise AssertionError
    path.unlink()
    with pytest.raises(Alert, match="There is no file"), inputs.open(resolved):
        raise AssertionError


def test_an_output_is_read_back_from_the_store(inputs: InputFiles, tmp_path: Path) -> None:
    FileStore(tmp_path / "store").put(f"{KEY}/{KEY}-1.fits", b"output")
    with inputs.open(inputs.resolve(reference(f"store/{KEY}-1-small"))) as path:
        assert path.read_bytes() == b"output"


def test_a_file_over_http_comes_through_the_cache(inputs: InputFiles, archive: FakeArchive) -> None:
    archive.files.answer("/a.fits", body(b"content", ETag="1"))
    resolved = inputs.resolve(reference(f"{archive.files.url}/a.fits?sig=s3cret"))
    assert inputs.cache.usage().files == 1
    with inputs.open(resolved) as path:
        assert path.read_bytes() == b"content"
    assert "s3cret" not in repr(resolved)


def test_a_file_over_http_without_a_version_is_fetched_for_each_resolving(
    inputs: InputFiles, archive: FakeArchive
) -> None:
    for content in (b"one", b"two"):
        archive.files.answer("/a.fits", body(content))
        resolved = inputs.resolve(reference(f"{archive.files.url}/a.fits"))
        assert resolved.sha256 == sha256(content)
        with inputs.open(resolved) as path:
            assert path.read_bytes() == content


def test_an_unknown_source_is_an_alert_with_the_known_ones(inputs: InputFiles) -> None:
    with pytest.raises(Alert, match=r"There is no source 'nowhere'\. Known sources: archive, local, store\."):
        inputs.resolve(reference("nowhere/a"))


# Settings


def test_the_settings_come_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "RUNSTART_ARCHIVE_API": "https://archive.example/api",
        "RUNSTART_ARCHIVE_TOKEN": TOKEN,
        "RUNSTART_FITS_FOLDERS": f"local={tmp_path}, other=/data",
        "RUNSTART_FITS_URIS": "s3://bucket/nights/, https://host/",
        "RUNSTART_FILE_CACHE": str(tmp_path / "cache"),
        "RUNSTART_FILE_CACHE_BYTES": "500MB",
    }
    settings = InputSettings.from_environment(environ)
    assert settings.folders == {"local": str(tmp_path), "other": "/data"}
    assert settings.uri_prefixes == ("s3://bucket/nights/", "https://host/")
    assert TOKEN not in settings.model_dump_json() + repr(settings)
    inputs = open_inputs(settings, FileStore(tmp_path / "store"), environ)
    assert sorted(inputs.sources) == ["archive", "local", "other", "store"]
    assert (inputs.cache.folder, inputs.cache.budget_bytes) == (tmp_path / "cache", 500_000_000)
    assert TOKEN not in repr(inputs.sources)
    assert not (tmp_path / "cache").exists()


def test_the_defaults_allow_the_store_alone(tmp_path: Path) -> None:
    settings = InputSettings.from_environment({"XDG_CACHE_HOME": str(tmp_path)})
    assert settings.cache_folder == str(tmp_path / "runstart" / "file-cache")
    assert settings.cache_bytes == 2 * 2**30
    inputs = open_inputs(settings, FileStore(tmp_path / "store"), {})
    assert list(inputs.sources) == ["store"]
    with pytest.raises(Alert, match="RUNSTART_FITS"):
        inputs.resolve(reference("file:/etc/passwd"))
    assert InputSettings().cache_folder.endswith("runstart/file-cache")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("500MB", 500 * 10**6),
        ("2GiB", 2 * 2**30),
        ("1.5 gib", 3 * 2**29),
        ("4K", 4000),
        ("1TiB", 2**40),
    ],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert InputSettings.from_environment({"RUNSTART_FILE_CACHE_BYTES": text}).cache_bytes == size


@pytest.mark.parametrize(
    "environ",
    [
        {"RUNSTART_FILE_CACHE_BYTES": "much"},
        {"RUNSTART_FILE_CACHE_BYTES": "-5"},
        {"RUNSTART_FITS_FOLDERS": "/data"},
        {"RUNSTART_FITS_FOLDERS": "a=/data,a=/other"},
        {"RUNSTART_FITS_FOLDERS": "../a=/data"},
        {"RUNSTART_FITS_FOLDERS": "store=/data"},
        {"RUNSTART_FITS_URIS": "everything"},
        {"RUNSTART_ARCHIVE_API": "archive.example"},
    ],
)
def test_a_setting_of_another_form_is_an_alert_that_names_its_variable(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(Alert, match=next(iter(environ))):
        open_inputs(InputSettings.from_environment(environ), FileStore(tmp_path), environ)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        InputSettings(archive_token="x")  # type: ignore[call-arg]  # noqa: S106


# Real frames


def test_real_frames_are_read_and_written_again(tmp_path: Path) -> None:
    frames = find_real_frames()
    if frames is None:
        pytest.skip("the real frames are not here")
    for path in sorted(frames.iterdir()):
        image = read_image(path, finite=True)
        write_image(tmp_path / "a.fits", image.data, image.header)
        assert read_image(tmp_path / "a.fits").data.tobytes() == image.data.tobytes()
