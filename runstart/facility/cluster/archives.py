"""Container images as archives that a runtime imports, written without an engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_image(archive: Path, name: str, layer: bytes, settings: Mapping[str, Any]) -> None:
    """Write an image of one layer.

    Parameters
    ----------
    archive : Path
        Of the format that `docker save` writes.
    name : str
        The image's name and tag.
    layer : bytes
        A tar file.
    settings : mapping
        Such as `Entrypoint` and `User`.
    """
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(settings),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "runstart"}],
    }
    text = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    files = {"layer.tar": (layer, 0o644), config_name: (text, 0o644), "manifest.json": (manifest, 0o644)}
    archive.write_bytes(make_tar(files))


def make_tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return a tar file of files, given by their names: the content and the mode of each."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
