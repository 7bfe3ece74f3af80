"""Saves what the operators of a session show, as files that people can open."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.cli._session_display import TerminalReporter

if TYPE_CHECKING:
    from runstart.sessions import Published

_ENDINGS = {"application/x-npy": ".npy", "application/x-npz": ".npz", "application/x-hdf5": ".h5"}


class Saving(TerminalReporter):
    """Follows a session on the terminal, and saves what its operators show.

    Parameters
    ----------
    folder : Path
        Gets a file for each output that is kept, and one for the newest of those that are not.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._saved: dict[Path, bool] = {}

    @property
    def paths(self) -> list[Path]:
        """The files that were saved, in order."""
        return list(self._saved)

    def published(self, published: Published) -> None:
        """Save an output."""
        path = self._folder / _file_name(published)
        if path in self._saved and (published.keep or self._saved[path]):
            path = path.with_stem(f"{path.stem}-{published.number:06d}")
        path.write_bytes(published.data)
        self._saved[path] = published.keep


def _file_name(published: Published) -> str:
    """Return the name of an output's file: its own if it is a plain name, else that of its operator.

    The newest of those that are not kept is a picture of something most often, whose name ends otherwise.
    """
    ending = _ENDINGS.get(published.media_type) or mimetypes.guess_extension(published.media_type) or ".bin"
    name = Path(published.name)
    if name.name != published.name or not published.name:
        return f"{published.operator}{ending}"
    return name.name if published.keep and name.suffix else f"{name.stem}{ending}"
