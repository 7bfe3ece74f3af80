"""Names of container images, as registries and engines read them."""

from __future__ import annotations

import re

_LONGEST = 512  # characters
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?({_PART}(?:/{_PART})*)(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)


def is_image(image: str) -> bool:
    """Return whether an engine can read this as an image: `[HOST[:PORT]/]NAME[/NAME][:TAG][@sha256:DIGEST]`."""
    return _match(image) is not None


def image_name(image: str) -> str:
    """Return the last part of an image's name, without tag and digest; empty if this is no image."""
    matched = _match(image)
    return matched[1].rpartition("/")[2] if matched else ""


def _match(image: str) -> re.Match[str] | None:
    return _IMAGE.fullmatch(image) if len(image) <= _LONGEST else None
