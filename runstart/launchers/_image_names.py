"""Names of container images, made whole, and which of them may be run.

An engine understands short names, and identifiers of whatever it has; a rule that compares texts does not. So where
images are restricted the engine is asked by the whole name only: registry, path, and tag or digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runstart.launchers.failures import ImageForbidden, ImageNotFound

LOCAL = "localhost"
"""The registry in the names of images that were built here."""

_HUB = "docker.io"
_IDENTIFIER = re.compile(r"(?:sha256:)?[0-9a-f]{64}", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_NAME = re.compile(
    rf"(?P<path>(?:{_REGISTRY}(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class ImageName:
    """The name of an image with nothing left out.

    Attributes
    ----------
    registry : str
        Host, and port if there is one.
    path : str
        Within the registry.
    tag : str
        `latest` unless one was given; empty beside a digest, which alone counts.
    digest : str
        Empty if none was given.
    """

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def repository(self) -> str:
        """Registry and path."""
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def read_image_name(text: str) -> ImageName:
    """Return the whole name that a name stands for: `python` is `docker.io/library/python:latest`.

    Raises
    ------
    ImageNotFound
        This cannot be the name of an image.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        raise ImageNotFound(text, "an image cannot have this name")
    registry, path = _split(found["path"])
    digest = found["digest"] or ""
    return ImageName(registry, path, "" if digest else found["tag"] or "latest", digest)


class ImagePolicy:
    """Which images may be run.

    Parameters
    ----------
    allowed : sequence of str
        Beginnings of names, compared at the boundaries of paths (`ghcr.io/nersc/`), whole names with their tag, and
        names with a digest; none for any image.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = [entry.strip() for entry in allowed if entry.strip()]

    def check(self, image: str) -> str:
        """Return the name by which to ask the engine for an image.

        Raises
        ------
        ImageForbidden
            It may not be run.
        ImageNotFound
            This cannot be the name of an image.
        """
        if not self._allowed and _IDENTIFIER.fullmatch(image):
            return image
        name = read_image_name(image)
        if not self._allowed:
            return image  # an engine may know a short name that it was built under
        if not any(_allows(entry, name) for entry in self._allowed):
            raise ImageForbidden(image, ", ".join(self._allowed))
        return str(name)


def _allows(entry: str, name: ImageName) -> bool:
    path, _, digest = entry.partition("@")
    if digest:
        return name.digest == digest and name.repository == read_image_name(path).repository
    path, tag = _split_tag(path)
    beginning = _whole_beginning(path)
    if tag:
        # The digest of another image may stand behind the right tag.
        return not name.digest and (name.repository, name.tag) == (beginning, tag)
    return (name.repository == beginning and not path.endswith("/")) or name.repository.startswith(f"{beginning}/")


def _whole_beginning(path: str) -> str:
    """Return the beginning of whole names that a beginning of names stands for, without a slash at its end."""
    bare = path.rstrip("/")
    if _is_registry(bare):
        return bare.lower()
    if path.endswith("/") and "/" not in bare:
        return f"{_HUB}/{bare}"
    return "/".join(_split(bare))


def _split(path: str) -> tuple[str, str]:
    """Return the registry and the path within that a path stands for."""
    first, slash, rest = path.partition("/")
    registry, within = (first.lower(), rest) if slash and _is_registry(first) else (_HUB, path)
    if registry == f"index.{_HUB}":
        registry = _HUB
    if registry == _HUB and "/" not in within:
        within = f"library/{within}"
    return registry, within


def _is_registry(text: str) -> bool:
    return "/" not in text and ("." in text or ":" in text or text == LOCAL)


def _split_tag(entry: str) -> tuple[str, str]:
    """Return an entry without its tag, and the tag; the colon of a registry's port begins none."""
    path, colon, tag = entry.rpartition(":")
    is_port = "/" in tag or (path.partition("/")[2] == "" and ("." in path or path == LOCAL))
    return (entry, "") if not colon or is_port else (path, tag)
