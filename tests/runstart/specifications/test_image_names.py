from __future__ import annotations

import pytest

from runstart.specifications.image_names import image_name, is_image

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("count", "count"),
        ("registry.example.org:5000/team/count-electrons:1.2", "count-electrons"),
        (f"localhost/team/count@{DIGEST}", "count"),
        (f"team/count:latest@{DIGEST}", "count"),
    ],
)
def test_an_image_has_a_name(image: str, name: str) -> None:
    assert is_image(image)
    assert image_name(image) == name


@pytest.mark.parametrize(
    "image", ["", "-v", "--privileged", "a b", "a;b", "A/B", "a:", "a@sha256:12", "/a", "a//b", "a\n", "a" * 513]
)
def test_what_no_engine_reads_is_no_image(image: str) -> None:
    assert not is_image(image)
    assert image_name(image) == ""
