from __future__ import annotations

import pytest

from runstart.launchers._image_names import ImagePolicy, read_image_name
from runstart.launchers.failures import ImageForbidden, ImageNotFound

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
OTHER = f"sha256:{'f' * 64}"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("nersc/stempy", "docker.io/nersc/stempy:latest"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("index.docker.io/nersc/stempy:1", "docker.io/nersc/stempy:1"),
        ("ghcr.io/NERSC".lower() + "/interactem/op:1", "ghcr.io/nersc/interactem/op:1"),
        ("GHCR.io/nersc/op", "ghcr.io/nersc/op:latest"),
        ("localhost/op", "localhost/op:latest"),
        ("localhost:5000/op:2", "localhost:5000/op:2"),
        (f"ghcr.io/nersc/op@{DIGEST}", f"ghcr.io/nersc/op@{DIGEST}"),
        (f"ghcr.io/nersc/op:1@{DIGEST}", f"ghcr.io/nersc/op@{DIGEST}"),
    ],
)
def test_short_names_are_made_whole(text: str, whole: str) -> None:
    assert str(read_image_name(text)) == whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        " python",
        "python\n",
        "Python",
        "a//b",
        "../b",
        "a:b:c",
        "-x",
        "ghcr.io/",
        "a@sha256:12",
        "ghcr.io/a b",
        "é",
    ],
)
def test_what_cannot_be_a_name_is_told(text: str) -> None:
    with pytest.raises(ImageNotFound):
        read_image_name(text)
    with pytest.raises(ImageNotFound):
        ImagePolicy([]).check(text)


@pytest.mark.parametrize(
    ("entry", "image"),
    [
        ("ghcr.io/nersc/", "ghcr.io/nersc/op:1"),
        ("ghcr.io/nersc", "ghcr.io/nersc/deep/op"),
        ("ghcr.io/nersc/op", "ghcr.io/nersc/op:7"),
        ("ghcr.io/nersc/op", f"ghcr.io/nersc/op@{DIGEST}"),
        ("ghcr.io/nersc/op:7", "ghcr.io/nersc/op:7"),
        ("ghcr.io", "ghcr.io/anyone/op"),
        ("localhost:5000", "localhost:5000/op"),
        ("localhost:5000/team/", "localhost:5000/team/op:3"),
        ("nersc/", "nersc/op"),
        ("nersc/", "docker.io/nersc/op"),
        ("python", "docker.io/library/python:3"),
        ("python:3", "python:3"),
        (f"ghcr.io/nersc/op@{DIGEST}", f"ghcr.io/nersc/op@{DIGEST}"),
        (f"ghcr.io/nersc/op@{DIGEST}", f"ghcr.io/nersc/op:1@{DIGEST}"),
    ],
)
def test_what_an_entry_means_is_allowed_by_its_whole_name(entry: str, image: str) -> None:
    assert ImagePolicy(["ghcr.io/others/", f" {entry} "]).check(image) == str(read_image_name(image))


@pytest.mark.parametrize(
    ("entry", "image"),
    [
        ("ghcr.io/nersc/", "ghcr.io/nersc-evil/op"),
        ("ghcr.io/nersc", "ghcr.io/nersc-evil"),
        ("ghcr.io/nersc/", "ghcr.io/nersc"),
        ("ghcr.io/nersc/op", "ghcr.io/nersc/operator"),
        ("ghcr.io/nersc/", "evil.io/ghcr.io/nersc/op"),
        ("ghcr.io", "ghcr.io.evil.com/op"),
        ("localhost", "localhost:5000/op"),
        ("nersc/", "ghcr.io/nersc/op"),
        ("python", "evil/python"),
        ("python", "pythonista"),
        ("ghcr.io/nersc/op:7", "ghcr.io/nersc/op:8"),
        ("ghcr.io/nersc/op:7", "ghcr.io/nersc/op"),
        ("ghcr.io/nersc/op:7", f"ghcr.io/nersc/op:7@{OTHER}"),
        (f"ghcr.io/nersc/op@{DIGEST}", f"ghcr.io/nersc/op@{OTHER}"),
        (f"ghcr.io/nersc/op@{DIGEST}", f"ghcr.io/evil/op@{DIGEST}"),
        (f"ghcr.io/nersc/op@{DIGEST}", "ghcr.io/nersc/op"),
        ("ghcr.io/nersc/", DIGEST),
        ("ghcr.io/nersc/", "0123456789ab"),
    ],
)
def test_what_only_looks_like_an_entry_is_forbidden(entry: str, image: str) -> None:
    with pytest.raises(ImageForbidden):
        ImagePolicy([entry]).check(image)


@pytest.mark.parametrize("image", ["op", "ghcr.io/nersc/op:1", DIGEST])
def test_without_entries_every_image_is_asked_for_as_it_was_named(image: str) -> None:
    assert ImagePolicy(["", " "]).check(image) == image
