"""The images of this repository, built where no registry can be reached.

They are built as a facility builds them; only what they begin with is another, a Debian made of this machine's packages.
All is cached outside the checkout: the Debian, buildah's layers, what pip has fetched, and the archives, named by a digest
of their sources. A change of code costs the last layers; no change, nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from runstart.facility.image_tools import DEBIAN_PACKAGES, Storage, install_image_tools, make_debian, run_apart
from runstart.facility.install import cache_dir
from runstart.facility.pip_settings import read_pip_settings

__all__ = ["CODE_LOCATION_IMAGE", "OPERATOR_IMAGE", "build_code_location", "build_operator_base"]

CODE_LOCATION_IMAGE = "docker.io/runstart/code-location:0.1.0"
"""What a node calls the image that a pod calls runstart/code-location:0.1.0."""

OPERATOR_IMAGE = "docker.io/runstart/operator:latest"
"""What a node calls the image that a pod calls runstart/operator:latest."""

_BASE = "localhost/runstart/base:latest"
_IGNORE_FILE = "k8s/images/.containerignore"
_CERTIFICATES = "/run/secrets/certificates"
_LAYOUT = ("oci-layout", "index.json", "blobs")
# Most are a few megabytes; beyond, the storage begins anew.
_MOST_LAYERS = 1500
# The newest, and the one before it: somebody may be importing that.
_ARCHIVES_KEPT = 2
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class _Image:
    """An image: its name in files, the name that nodes know, and its Containerfile below the checkout."""

    name: str
    reference: str
    containerfile: str


_CODE_LOCATION = _Image("code-location", CODE_LOCATION_IMAGE, "k8s/images/code-location/Containerfile")
_OPERATOR = _Image("operator", OPERATOR_IMAGE, "operators/base/Containerfile")


def build_code_location(checkout: Path = _CHECKOUT) -> Path:
    """Build the image of the code location, unless there is one of the same sources.

    Parameters
    ----------
    checkout : Path, optional
        Root of the repository.

    Returns
    -------
    Path
        An OCI archive, uncompressed, for `RunningCluster.import_image`.

    Raises
    ------
    Alert
        If this is not the superuser, a program is missing, or the build fails: it has the end of the build's log.
    """
    return _build(_CODE_LOCATION, checkout)


def build_operator_base(checkout: Path = _CHECKOUT) -> Path:
    """Build the image under all operators, unless there is one of the same sources.

    Parameters, result and errors are those of `build_code_location`.
    """
    return _build(_OPERATOR, checkout)


def _build(image: _Image, checkout: Path) -> Path:
    folder = cache_dir() / "images"
    with _alone(folder):
        digest = _digest_of_sources(image, checkout)
        archive = folder / f"{image.name}-{digest}.tar"
        if archive.exists():
            archive.touch()
            return archive
        install_image_tools()
        storage = _open_storage(folder, checkout)
        with tempfile.TemporaryDirectory(dir=folder / "scratch", prefix="secrets-") as secrets:
            options = ["--file", str(checkout / image.containerfile), "--ignorefile", str(checkout / _IGNORE_FILE)]
            options += ["--build-arg", f"BASE={_BASE}", "--label", f"org.opencontainers.image.revision={digest}"]
            storage.build(f"localhost/{image.name}", checkout, *options, *_secrets(Path(secrets)))
        _archive(storage, image, archive)
    return archive


def _archive(storage: Storage, image: _Image, archive: Path) -> None:
    layout = archive.parent / f"{image.name}-layout"
    # It would list the older images too.
    (layout / "index.json").unlink(missing_ok=True)
    storage.export(f"localhost/{image.name}", layout, image.reference)
    _remove_unused(layout)
    with tempfile.TemporaryDirectory(dir=archive.parent / "scratch") as scratch:
        partial = Path(scratch) / "archive.tar"
        run_apart(["tar", "-C", str(layout), "-cf", str(partial), *_LAYOUT], Path(scratch))
        partial.rename(archive)
    _remove_older(archive.parent.glob(f"{image.name}-*.tar"))


def _remove_older(archives: Iterable[Path]) -> None:
    for older in sorted(archives, key=lambda archive: archive.stat().st_mtime)[:-_ARCHIVES_KEPT]:
        older.unlink()


def _remove_unused(layout: Path) -> None:
    """Remove from a layout of one image the blobs of older ones, and what an export that was killed has left."""
    for left in layout.iterdir():
        if left.name not in _LAYOUT:
            left.unlink()
    blobs = layout / "blobs" / "sha256"
    (listed,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / _hexadecimal(listed)).read_text())
    used = {_hexadecimal(part) for part in (listed, manifest["config"], *manifest["layers"])}
    for blob in blobs.iterdir():
        if blob.name not in used:
            blob.unlink()


def _hexadecimal(described: dict[str, str]) -> str:
    return described["digest"].partition(":")[2]


def _open_storage(folder: Path, checkout: Path) -> Storage:
    """Return the storage of this Debian and of what pyproject.toml asks for, with the Debian in it."""
    scratch = folder / "scratch"
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lists = (DEBIAN_PACKAGES, project["dependencies"], extras["cluster"], extras["gateway"])
    place = folder / f"storage-{_digest_of(*lists)}"
    storage = Storage(place, scratch)
    for other in folder.glob("storage-*"):
        if other != place or storage.layers > _MOST_LAYERS:
            # Half of a storage is none: if this is killed, what is left is removed with the scratch.
            shutil.rmtree(other.rename(scratch / other.name))
    place.mkdir(exist_ok=True)
    if not storage.has(_BASE):
        _make_base(storage, folder)
    return storage


def _make_base(storage: Storage, folder: Path) -> None:
    debian = folder / f"debian-{_digest_of(DEBIAN_PACKAGES)}.tar"
    if not debian.exists():
        for older in folder.glob("debian-*.tar"):
            older.unlink()
        make_debian(debian, folder / "scratch")
    with tempfile.TemporaryDirectory(dir=folder / "scratch") as context:
        (Path(context) / debian.name).hardlink_to(debian)
        (Path(context) / "Containerfile").write_text(f"FROM scratch\nADD {debian.name} /\n")
        storage.build(_BASE, Path(context), "--file", str(Path(context) / "Containerfile"))


def _secrets(folder: Path) -> list[str]:
    """Return the options with which a build's pip finds packages as this machine's does."""
    settings = read_pip_settings(_CERTIFICATES)
    file = folder / "pip.conf"
    file.write_text(settings.text)
    options = ["--secret", f"id=pip,src={file}"]
    if settings.certificates is not None:
        options += ["--secret", f"id=certificates,src={settings.certificates}"]
    return options


def _digest_of(*lists: object) -> str:
    return hashlib.sha256(json.dumps(lists).encode()).hexdigest()[:16]


def _digest_of_sources(image: _Image, checkout: Path) -> str:
    """Return a digest of all that a build may read; what the ignore file leaves out is not read."""
    digest = hashlib.sha256(image.reference.encode())
    for path in sorted(set(_sources(image, checkout))):
        digest.update(f"{path.relative_to(checkout)} {path.stat().st_mode:o} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _sources(image: _Image, checkout: Path) -> Iterator[Path]:
    yield checkout / image.containerfile
    yield checkout / _IGNORE_FILE
    lines = (checkout / _IGNORE_FILE).read_text().splitlines()
    left_out = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    for line in lines:
        if line.startswith("!"):
            yield from (file for file in _files(checkout, line[1:]) if not _is_named(file, checkout, left_out))


def _files(checkout: Path, listed: str) -> Iterator[Path]:
    for path in checkout.glob(listed):
        yield from (file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _is_named(file: Path, checkout: Path, patterns: list[str]) -> bool:
    """Tell whether a file, or a folder that it lies in, has a name of these patterns."""
    return any(fnmatch(part, pattern) for part in file.relative_to(checkout).parts for pattern in patterns)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process builds, and remove what one that was killed has left."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in scratch.iterdir():
            # What pip has fetched stays.
            if left.name.startswith("buildah-cache"):
                continue
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        yield
