from __future__ import annotations

import time
from pathlib import Path

import pytest

from runstart.places import birth_of


def test_a_file_that_grows_keeps_its_birth(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    born = birth_of(path)
    time.sleep(0.02)
    with path.open("ab") as file:
        file.write(b"2")
    assert birth_of(path) == born


def test_a_file_that_takes_the_place_of_another_is_born_later(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    born = birth_of(path)
    if not born:
        pytest.skip("This file system does not say when a file was made.")
    path.unlink()
    time.sleep(0.02)
    path.write_bytes(b"1")
    assert birth_of(path) > born
