"""What an archive's name says of its sources, and what stays of older ones; the images themselves are in tests/k8s."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runstart.facility import images

SOURCES = {
    "k8s/images/.containerignore": "# Listed:\n*\n!*.toml\n!assets\n**/__pycache__\n**/*.md\n",
    "k8s/images/code-location/Containerfile": "FROM scratch\n",
    "pyproject.toml": "[project]\n",
    "assets/nights.py": "x = 1\n",
    "docs/other.py": "not listed\n",
    "assets/README.md": "left out\n",
}
NOT_READ = ("docs/other.py", "assets/README.md")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(checkout: Path) -> str:
    return images._digest_of_sources(images._CODE_LOCATION, checkout)


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in NOT_READ])
def test_a_change_of_anything_that_a_build_reads_is_another_archive(checkout: Path, name: str) -> None:
    before = digest(checkout)
    (checkout / name).write_text(SOURCES[name] + "# more\n")
    assert digest(checkout) != before


def test_a_file_that_moves_is_another_archive(checkout: Path) -> None:
    before = digest(checkout)
    (checkout / "assets/nights.py").rename(checkout / "assets/days.py")
    assert digest(checkout) != before


def test_what_a_build_does_not_read_makes_no_other_archive(checkout: Path) -> None:
    before = digest(checkout)
    for name in NOT_READ:
        (checkout / name).write_text("changed")
    (checkout / "assets/__pycache__").mkdir()
    (checkout / "assets/__pycache__/nights.pyc").write_bytes(b"1")
    assert digest(checkout) == before


def test_blobs_that_no_image_of_a_layout_has_any_more_are_removed(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    manifest = {"config": {"digest": "sha256:c"}, "layers": [{"digest": "sha256:l"}]}
    for name in ("c", "l", "old"):
        (blobs / name).write_text(name)
    (blobs / "m").write_text(json.dumps(manifest))
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:m"}]}))
    (tmp_path / "oci-layout").write_text("{}")
    (tmp_path / "oci-put-blob123").write_text("of an export that was killed")
    images._remove_unused(tmp_path)
    assert {blob.name for blob in blobs.iterdir()} == {"m", "c", "l"}
    assert {part.name for part in tmp_path.iterdir()} == {"blobs", "index.json", "oci-layout"}


def test_the_archive_before_the_newest_stays_for_who_is_importing_it(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "before", "older", "oldest")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    images._remove_older(tmp_path.iterdir())
    assert {archive.name for archive in tmp_path.iterdir()} == {"newest", "before"}


def test_what_a_build_that_was_killed_has_left_is_removed_but_for_what_pip_has_fetched(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    for folder in ("secrets-1", "buildah-cache-0"):
        (scratch / folder).mkdir(parents=True)
        (scratch / folder / "file").touch()
    (scratch / "download").touch()
    with images._alone(tmp_path):
        assert {path.name for path in scratch.iterdir()} == {"buildah-cache-0"}
        assert (scratch / "buildah-cache-0" / "file").exists()
