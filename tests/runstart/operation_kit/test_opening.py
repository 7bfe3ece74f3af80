from __future__ import annotations

from pathlib import Path

import pytest
from operation_toys import toy

from runstart.errors import Alert
from runstart.operation_kit import execute, open_workplace
from runstart.storage import FileStore


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RUNSTART_FILE_CACHE": str(tmp_path / "cache")}


def test_the_environment_says_where_and_with_how_much(
    environ: dict[str, str], file_store: FileStore, tmp_path: Path
) -> None:
    place = open_workplace(file_store, environ)
    assert (place.store, place.memory_limit) == (file_store, 2**30)
    assert place.scratch == tmp_path / "cache" / "scratch"
    more = {"RUNSTART_SCRATCH": str(tmp_path / "fast"), "RUNSTART_MEMORY_LIMIT": "1.5GiB"}
    place = open_workplace(file_store, environ | more)
    assert (place.scratch, place.memory_limit) == (tmp_path / "fast", 3 * 2**29)
    assert list(tmp_path.iterdir()) == []  # nothing is made yet


@pytest.mark.parametrize(
    ("text", "message"), [("much", "is no size"), ("1000", "less than 1MiB"), ("-1", "no size")]
)
def test_a_memory_limit_that_is_none_is_an_alert(
    environ: dict[str, str], file_store: FileStore, text: str, message: str
) -> None:
    with pytest.raises(Alert, match=f"RUNSTART_MEMORY_LIMIT.*{message}"):
        open_workplace(file_store, {**environ, "RUNSTART_MEMORY_LIMIT": text})


def test_outputs_are_inputs_and_local_files_are_only_if_they_are_allowed(
    environ: dict[str, str], file_store: FileStore, tmp_path: Path
) -> None:
    folder = tmp_path / "with space, @ and ä"
    folder.mkdir()
    file = folder / "a b.fits"
    file.write_bytes(b"1")
    request = {"input_files": [file.as_uri()]}
    with pytest.raises(Alert, match="is in no folder that may be read"):
        execute(toy, request, open_workplace(file_store, environ))
    place = open_workplace(file_store, environ, local_folders=[folder])
    made = execute(toy, request, place).entry
    assert execute(toy, {"input_files": [f"store/{made.key}"]}, place).computed
    (tmp_path / "other.fits").write_bytes(b"1")
    with pytest.raises(Alert, match="is in no folder that may be read"):
        execute(toy, {"input_files": [(tmp_path / "other.fits").as_uri()]}, place)
