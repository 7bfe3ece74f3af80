from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from exposure_files import make_site

from runstart.errors import Alert
from runstart.nights import Arrival
from runstart.nights._catalog import load_nights, remember
from runstart.storage import FileStore


def arrival(name: str, version: str = "1") -> Arrival:
    return Arrival(name, version, 2880, 0.0)


def test_what_many_write_at_once_is_all_there(tmp_path: Path, file_store: FileStore) -> None:
    site = make_site(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(remember, file_store, site, "2026-03-01", [arrival(f"{number}.fits")])
    assert load_nights(file_store, site) == {(f"{number}.fits", "1"): "2026-03-01" for number in range(8)}


def test_a_file_of_another_version_may_belong_to_another_night(tmp_path: Path, file_store: FileStore) -> None:
    site = make_site(tmp_path)
    remember(file_store, site, "2026-03-01", [arrival("a.fits", "1")])
    remember(file_store, site, "2026-03-02", [arrival("a.fits", "2")])
    assert load_nights(file_store, site) == {("a.fits", "1"): "2026-03-01", ("a.fits", "2"): "2026-03-02"}


def test_what_is_known_is_not_written_again(
    tmp_path: Path, file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path)
    remember(file_store, site, "2026-03-01", [arrival("a.fits")])
    monkeypatch.setattr(file_store, "put_if_match", None)
    remember(file_store, site, "2026-03-01", [arrival("a.fits")])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", json.dumps({"format": 9, "files": {}}).encode()])
def test_a_damaged_catalogue_is_an_alert(tmp_path: Path, file_store: FileStore, data: bytes) -> None:
    file_store.put("nights/OBS/arrivals/2026-03-01.json", data)
    with pytest.raises(Alert, match="Remove this object"):
        load_nights(file_store, make_site(tmp_path))
