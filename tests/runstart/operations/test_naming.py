from __future__ import annotations

from pathlib import Path

import pytest

from runstart.errors import Alert, Transient
from runstart.file_cache import FileCache
from runstart.fits import FitsReference, FolderSource, InputFiles, UriSource
from runstart.operation_kit import FitsFile
from runstart.operations._naming import naming


@pytest.fixture
def files(tmp_path: Path) -> dict[Path, FitsFile]:
    (tmp_path / "a.fits").write_bytes(b"1")
    inputs = InputFiles(
        {"night": FolderSource("night", tmp_path)}, UriSource([], []), FileCache(tmp_path / "cache", 10)
    )
    resolved = inputs.resolve(FitsReference.parse("night/a.fits"))
    return {Path("/cache/0f0f"): FitsFile(resolved, inputs)}


@pytest.mark.parametrize(
    "error", [Alert("/cache/0f0f is bad.", "Mend /cache/0f0f."), Transient("/cache/0f0f hangs.")]
)
def test_errors_about_paths_name_the_file_of_the_user(error: Exception, files: dict[Path, FitsFile]) -> None:
    with pytest.raises(type(error), match=r"^a\.fits (is bad|hangs)") as told, naming(files):
        raise error
    assert "/cache" not in str(told.value)
