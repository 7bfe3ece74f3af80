"""A near-empty container image, and what of this machine it is run with: real containers where no image can be pulled.

The image has links and mount points only. The programs, this Python and its packages, and the checkout are this
machine's own, mounted read-only at their own paths, so commands and paths are the same inside and outside.
"""

from __future__ import annotations

import io
import site
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.launchers import Mount

if TYPE_CHECKING:
    from docker import APIClient

HOST_IMAGE = "localhost/runstart-host:latest"
"""Name of the image."""

_FOLDERS = {"app": 0o755, "etc": 0o755, "mnt": 0o755, "run": 0o755, "tmp": 0o1777, "usr": 0o755, "var": 0o755}
_LINKS = ("bin", "lib", "lib64", "sbin")
_PASSWD = b"root:x:0:0:root:/tmp:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n"
_CHECKOUT = Path(__file__).resolve().parents[2]


def make_host_image(client: APIClient) -> str:
    """Make the image in an engine, and return its name; makes it anew if it is there.

    Parameters
    ----------
    client : docker.APIClient
        Of the engine, which must run on this machine.
    """
    client.import_image_from_data(make_root(), repository=HOST_IMAGE.partition(":")[0], tag="latest")
    return HOST_IMAGE


def make_root() -> bytes:
    """Return the image's only layer, a tar file."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, mode in _FOLDERS.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            archive.addfile(folder)
        for name in _LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size, passwd.mode = len(_PASSWD), 0o644
        archive.addfile(passwd, io.BytesIO(_PASSWD))
    return written.getvalue()


def host_mounts() -> tuple[Mount, ...]:
    """Return what the image needs of this machine: programs and libraries, this Python, the checkout."""
    links_end = Path(sys.executable).resolve().parents[1]
    prefixes = [Path(sys.prefix), Path(sys.base_prefix), links_end, *map(Path, site.getsitepackages()), _CHECKOUT]
    chosen = [Path("/usr")]
    for path in sorted({prefix for prefix in prefixes if prefix.is_dir()}):
        if not any(path.is_relative_to(other) for other in chosen):
            chosen.append(path)
    return tuple(Mount(path, str(path)) for path in chosen)
