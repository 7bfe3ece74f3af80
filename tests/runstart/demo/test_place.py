"""A demonstration's folders: everything in them, nothing left, nothing of the user's touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from runstart.demo import find_checkout, make_place
from runstart.errors import Alert


def test_checkout_is_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert (find_checkout() / "definitions.py").is_file()


def test_nothing_is_left_even_after_an_error() -> None:
    folders = []

    def fail() -> None:
        with make_place() as place:
            folders.extend([place.data_dir, place.broker_dir])
            (place.dagster_home / "some.db").write_bytes(b"1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)


def test_kept_folder_holds_everything_and_stays(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with make_place(keep) as place:
        assert place.data_dir == keep
        assert place.broker_dir.is_relative_to(keep)

    assert (keep / "dagster" / "dagster.yaml").is_file()


def test_folder_with_something_in_it_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")

    with pytest.raises(Alert, match="not an empty folder"), make_place(tmp_path):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_children_are_told_to_write_into_the_data_folder(tmp_path: Path) -> None:
    with make_place(tmp_path / "kept") as place:
        environment = place.environment("127.0.0.1:1")

    for name in ("DAGSTER_HOME", "TMPDIR", "RUNSTART_EXPOSURES", "RUNSTART_FILE_CACHE"):
        assert Path(environment[name]).is_relative_to(place.data_dir)
    assert environment["RUNSTART_OBJECT_STORE"] == f"file:{place.data_dir}/store"
    assert environment["RUNSTART_KAFKA"] == "127.0.0.1:1"
