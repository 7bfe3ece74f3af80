"""Where an operator finds its mount parameters: in the folder that its order names, and in containers in /mnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_folders: list[Path] = [Path("/mnt")]


def data_directory() -> Path:
    """Return the folder of mount parameters of the operator that is loaded or runs."""
    return _folders[-1]


@contextmanager
def data_directory_at(folder: Path) -> Iterator[None]:
    """Have operators that are loaded meanwhile find their mount parameters in a folder."""
    _folders.append(folder)
    try:
        yield
    finally:
        _folders.remove(folder)


@contextmanager
def linked_data_directory(paths: Mapping[str, str]) -> Iterator[Path]:
    """Make a folder with a link of each parameter's name to its path, for an operator that nobody mounts them for.

    Parameters
    ----------
    paths : mapping of str to str
        Paths of mount parameters, by name; empty ones are left out.
    """
    with TemporaryDirectory(prefix="runstart-mnt-") as folder:
        for name, path in paths.items():
            if path:
                (Path(folder) / name).symlink_to(Path(path).expanduser().absolute())
        with data_directory_at(Path(folder)):
            yield Path(folder)
