from __future__ import annotations

from pathlib import Path

import pytest

from resources.data_operations import DataOperationsResource
from runstart.errors import Alert
from runstart.storage import FileStore


@pytest.fixture
def sites_file(tmp_path: Path) -> Path:
    file = tmp_path / "sites.toml"
    file.write_text('[sites.HILL]\nfirst_night = 2025-01-01\nexposures = "file:arrived"\n')
    return file


def test_exposures_of_sites_are_sources(sites_file: Path, tmp_path: Path) -> None:
    environ = {"RUNSTART_FILE_CACHE": str(tmp_path / "cache")}
    resource = DataOperationsResource.from_environment(environ, str(sites_file))
    assert {"HILL", "store"} <= set(resource.open(FileStore(tmp_path / "store")).inputs.sources)


def test_a_site_never_takes_the_place_of_a_folder(sites_file: Path, tmp_path: Path) -> None:
    environ = {"RUNSTART_FITS_FOLDERS": f"HILL={tmp_path}", "RUNSTART_FILE_CACHE": str(tmp_path / "cache")}
    resource = DataOperationsResource.from_environment(environ, str(sites_file))
    with pytest.raises(Alert, match=r"The site 'HILL' .* has the name of another source"):
        resource.open(FileStore(tmp_path / "store"))
