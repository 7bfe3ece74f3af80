"""What the file cache promises to one process."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runstart.errors import Alert
from runstart.file_cache import Content, ContentChanged, FileCache, Usage

FORMAT = "runstart-files-1"


def giving(data: bytes):
    return lambda path: path.write_bytes(data)


def never(path: Path) -> None:
    raise AssertionError("fetched again")


def read(cache: FileCache, name: str, fetch, **options) -> bytes:
    with cache.open("archive", name, "1", fetch, **options) as path:
        return path.read_bytes()


def files(cache: FileCache) -> list[Path]:
    return [path for path in (cache.folder / FORMAT / "files").rglob("*") if path.is_file()]


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "cache", 1000)


def test_a_file_is_fetched_once(cache: FileCache) -> None:
    assert read(cache, "a", giving(b"content")) == b"content"
    assert read(cache, "a", never) == b"content"
    assert cache.usage() == Usage(1, 7, 1000)


@pytest.mark.parametrize(
    "other", [("x", "a", "1"), ("archive", "b", "1"), ("archive", "a", "2"), ("archivea", "", "1")]
)
def test_source_name_and_version_tell_files_apart(cache: FileCache, other: tuple[str, str, str]) -> None:
    read(cache, "a", giving(b"content"))
    with cache.open(*other, giving(b"other")) as path:
        assert path.read_bytes() == b"other"


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "ü/☃", "", "a\0b", "x" * 5000, "\ud800"])
def test_a_name_from_outside_never_becomes_a_path(cache: FileCache, tmp_path: Path, name: str) -> None:
    assert read(cache, name, giving(b"content")) == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    (file,) = files(cache)
    assert len(file.name) == 64
    assert set(file.name) <= set("0123456789abcdef")


def test_a_file_of_the_cache_is_not_writable_by_its_permissions(cache: FileCache) -> None:
    read(cache, "a", giving(b"content"))
    assert files(cache)[0].stat().st_mode & 0o222 == 0


def test_the_least_recently_used_leaves_first(cache: FileCache) -> None:
    for name in "abc":
        read(cache, name, giving(b"x" * 300))
    read(cache, "a", never)
    read(cache, "d", giving(b"x" * 300))
    read(cache, "a", never)
    read(cache, "c", never)
    with pytest.raises(AssertionError, match="fetched again"):
        read(cache, "b", never)


def test_a_file_in_use_stays_and_the_budget_holds_when_it_is_no_longer(cache: FileCache) -> None:
    with cache.open("archive", "a", "1", giving(b"x" * 800)) as path:
        assert read(cache, "b", giving(b"y" * 800)) == b"y" * 800
        assert path.read_bytes() == b"x" * 800
    assert cache.usage().bytes <= 1000


def test_room_is_made_before_a_file_of_known_size_comes(cache: FileCache) -> None:
    read(cache, "a", giving(b"x" * 800))

    def fetch(path: Path) -> None:
        assert files(cache) == []
        path.write_bytes(b"y" * 500)

    read(cache, "b", fetch, size=500)


def test_a_file_larger_than_the_budget_is_served_and_drives_nobody_out(cache: FileCache) -> None:
    read(cache, "a", giving(b"x" * 900))
    with cache.open("archive", "large", "1", giving(b"y" * 5000)) as path:
        assert path.read_bytes() == b"y" * 5000
        assert read(cache, "large", never) == b"y" * 5000
    assert cache.usage() == Usage(1, 900, 1000)
    read(cache, "a", never)


def test_without_a_budget_nothing_is_kept(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 0)
    assert read(cache, "a", giving(b"content")) == b"content"
    assert files(cache) == []
    with pytest.raises(Alert, match="negative"):
        FileCache(tmp_path, -1)


@pytest.mark.parametrize("error", [Alert("no", ""), RuntimeError("bug"), KeyboardInterrupt()])
def test_a_failed_download_leaves_nothing(cache: FileCache, error: BaseException) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"part")
        raise error

    with pytest.raises(type(error)):
        read(cache, "a", fail)
    assert [path for path in cache.folder.rglob("*") if path.is_file() and "index" not in path.name] in (
        [],
        [cache.folder / FORMAT / "turn"],
    )
    assert read(cache, "a", giving(b"content")) == b"content"


def test_an_error_of_the_user_releases_the_file(cache: FileCache) -> None:
    with pytest.raises(RuntimeError), cache.open("archive", "a", "1", giving(b"x" * 900)):
        raise RuntimeError
    read(cache, "b", giving(b"y" * 900))
    assert cache.usage().files == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: (path.chmod(0o644), path.write_bytes(b"rubbish"))])
def test_a_file_lost_or_changed_on_the_disk_is_fetched_again(cache: FileCache, damage) -> None:
    read(cache, "a", giving(b"content"))
    damage(files(cache)[0])
    assert read(cache, "a", giving(b"content")) == b"content"
    assert cache.usage() == Usage(1, 7, 1000)


def test_digests_survive_eviction_and_new_processes(cache: FileCache) -> None:
    read(cache, "a", giving(b"x" * 900))
    read(cache, "b", giving(b"y" * 900))
    sha256 = hashlib.sha256(b"x" * 900).hexdigest()
    again = FileCache(cache.folder, 1000)
    assert again.digest("archive", "a", "1") == sha256
    assert again.content("archive", "a", "1") == Content(sha256, 900)
    assert again.digest("archive", "a", "2") is None
    again.remember_digest("folder", "c", "v", sha256, 900)
    assert cache.digest("folder", "c", "v") == sha256


def test_content_that_differs_from_what_was_announced_is_refused(cache: FileCache) -> None:
    with pytest.raises(ContentChanged, match="'a' changed while it was used"):
        read(cache, "a", giving(b"other"), sha256=hashlib.sha256(b"content").hexdigest())
    assert files(cache) == []
    read(cache, "a", giving(b"content"), sha256=hashlib.sha256(b"content").hexdigest())
    with pytest.raises(ContentChanged):
        read(cache, "a", never, sha256=hashlib.sha256(b"other").hexdigest())


def test_a_version_whose_content_is_new_is_refused_once_and_then_known(cache: FileCache) -> None:
    read(cache, "a", giving(b"old"))
    files(cache)[0].unlink()
    with pytest.raises(ContentChanged):
        read(cache, "a", giving(b"new"))
    assert read(cache, "a", giving(b"new")) == b"new"


def test_reconciling_takes_in_whole_files_and_removes_the_rest(cache: FileCache) -> None:
    for name in "abc":
        read(cache, name, giving(name.encode()))
    gc.collect()
    folder = cache.folder / FORMAT
    del cache.__dict__["_shelf"]
    gc.collect()
    for path in folder.glob("index.sqlite*"):
        path.unlink()
    (folder / "files" / "rubbish").write_bytes(b"1")
    (folder / "files" / "ab").mkdir(exist_ok=True)
    (folder / "files" / "ab" / ("0" * 64)).write_bytes(b"in the wrong folder")
    (folder / "files" / "ab" / ("ab" + "0" * 62)).symlink_to("/etc/passwd")
    (folder / "partial" / "rubbish").write_bytes(b"1")
    (cache.folder / "not-ours").write_bytes(b"1")
    again = FileCache(cache.folder, 1000)
    again.reconcile()
    assert again.usage() == Usage(3, 3, 1000)
    assert read(again, "b", never) == b"b"
    assert (cache.folder / "not-ours").exists()
    assert list((folder / "partial").iterdir()) == []
    shutil.rmtree(folder / "files")
    again.reconcile()
    assert again.usage().files == 0


def test_reconciling_keeps_to_a_smaller_budget(cache: FileCache) -> None:
    for name in "abc":
        read(cache, name, giving(b"x" * 300))
    smaller = FileCache(cache.folder, 650)
    smaller.reconcile()
    assert smaller.usage() == Usage(2, 600, 650)
    read(smaller, "c", never)


def test_a_damaged_index_is_an_alert_that_says_what_to_do(cache: FileCache) -> None:
    (cache.folder / FORMAT).mkdir(parents=True)
    (cache.folder / FORMAT / "index.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(Alert, match=r"is damaged: .* Remove the folder"):
        cache.usage()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Alert, match="file/cache"):
        FileCache(tmp_path / "file" / "cache", 10).usage()


class CacheModel(RuleBasedStateMachine):
    """The cache against an ordered dictionary: same files, same order, whatever is in use."""

    budget = 100
    sizes: ClassVar = dict(zip("abcdefgh", (10, 20, 30, 40, 50, 60, 99, 150), strict=True))

    @initialize()
    def start(self) -> None:
        import tempfile

        self.folder = Path(tempfile.mkdtemp())
        self.cache = FileCache(self.folder, self.budget)
        self.here: OrderedDict[str, int] = OrderedDict()
        self.used: dict[str, contextlib.ExitStack] = {}

    @rule(name=st.sampled_from("abcdefgh"), keep=st.booleans())
    def open(self, name: str, keep: bool) -> None:
        fetched = []

        def fetch(path: Path) -> None:
            fetched.append(name)
            path.write_bytes(name.encode() * self.sizes[name])

        stack = contextlib.ExitStack()
        path = stack.enter_context(self.cache.open("s", name, "1", fetch))
        assert path.read_bytes() == name.encode() * self.sizes[name]
        assert bool(fetched) == (name not in self.here)
        if name not in self.here:
            self._shrink(self.sizes[name])
        self.here[name] = self.sizes[name]
        self.here.move_to_end(name)
        if keep and name not in self.used:
            self.used[name] = stack
        else:
            in_use = self.used.keys() | {name}
            assert {path.name for path in files(self.cache)} >= {self._id(n) for n in in_use}
            stack.close()
            self._shrink(0)

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if self.used:
            name = data.draw(st.sampled_from(sorted(self.used)))
            self.used.pop(name).close()
            self._shrink(0)

    @rule()
    def reconcile(self) -> None:
        self.cache.reconcile()

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "cache"):
            usage = self.cache.usage()
            assert (usage.files, usage.bytes) == (len(self.here), sum(self.here.values()))
            assert {path.name for path in files(self.cache)} == {self._id(name) for name in self.here}

    def _id(self, name: str) -> str:
        from runstart.file_cache.cache import _identity

        return _identity("s", name, "1")

    def _shrink(self, room_for: int) -> None:
        fitting = sum(size for size in self.here.values() if size <= self.budget)
        fitting += room_for if room_for <= self.budget else 0
        for name, size in list(self.here.items()):
            if name not in self.used and (size > self.budget or fitting > self.budget):
                del self.here[name]
                fitting -= size if size <= self.budget else 0

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            for stack in self.used.values():
                stack.close()
            shutil.rmtree(self.folder)


TestCacheModel = CacheModel.TestCase
TestCacheModel.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
