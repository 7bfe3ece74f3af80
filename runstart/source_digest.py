"""A digest of the library's own sources, so that an edit without a new version number is a new version all the same."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import runstart


def library_version(*sources: str) -> str:
    """Return the version of the library, and 12 digits of the SHA-256 of some of its sources.

    Parameters
    ----------
    *sources : str
        Folders, of which all modules count, and modules, below `runstart/`; they are read when this process asks first.
    """
    return f"{runstart.__version__}+{_digest(Path(runstart.__file__).parent, sources)[:12]}"


@functools.cache
def _digest(package: Path, sources: tuple[str, ...]) -> str:
    """Return the SHA-256 of names and contents, as they were when this process asked first."""
    digest = hashlib.sha256()
    for path in sorted({path for source in sources for path in _modules(package / source)}):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _modules(source: Path) -> list[Path]:
    return list(source.glob("*.py")) if source.is_dir() else [source]
