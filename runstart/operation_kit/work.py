"""What a data operation's function is given beside its inputs: files, progress, a scratch folder, a memory limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from runstart.fits import FitsReference, InputFiles, ResolvedFile

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.fits import FitsImage
    from runstart.operation_kit.entry import OutputFile


class Reporter(Protocol):
    """Is told how a computation goes; each call must be quick."""

    def progress(self, fraction: float, message: str) -> None:
        """Take how much is done, 0 to 1, and what is being done."""

    def output(self, output: OutputFile) -> None:
        """Take an output as soon as it is stored."""


class Silent:
    """A reporter that tells nobody."""

    def progress(self, fraction: float, message: str) -> None:
        """Drop it."""

    def output(self, output: OutputFile) -> None:
        """Drop it."""


@dataclass(frozen=True)
class FitsFile:
    """An input file; it is on this machine while it is open.

    Attributes
    ----------
    resolved : ResolvedFile
        Which file, and the digest of its content.
    filter : str
        Its filter, as the request or else its header says; empty unless an input's kind asks for filters.
    """

    resolved: ResolvedFile
    inputs: InputFiles
    filter: str = ""

    @property
    def name(self) -> str:
        """Its basename."""
        return self.resolved.name

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """Give the file's path on this machine, where it stays until the end of the block."""
        with self.inputs.open(self.resolved) as path:
            yield path

    def read(self) -> FitsImage:
        """Return the image, its header, and its planes of uncertainty and mask if it has them.

        Raises
        ------
        Alert
            If the file is no FITS file with a 2-D image, or no pixel of it is finite; it names the file.
        """
        from runstart.fits import read_image

        with self.opened() as path:
            image = read_image(path, label=self.name, finite=True)
        return image if image.mask is None else replace(image, mask=_to_bits(image.mask))

    def read_table(self, name: str = "CAT") -> npt.NDArray[Any]:
        """Return a table of the file.

        Raises
        ------
        Alert
            If there is none.
        """
        from runstart.fits import read_table

        with self.opened() as path:
            return read_table(path, name, label=self.name)

    def read_picture(self) -> npt.NDArray[np.uint8]:
        """Return the pixels of a JPEG, PNG or TIFF picture: uint8[rows, cols, 3], row 0 at the bottom.

        Raises
        ------
        Alert
            If it is none, or damaged; it names the file.
        """
        from runstart.operation_kit.pictures import read_picture

        with self.opened() as path:
            return read_picture(path, self.name)


@dataclass(frozen=True)
class ColorChannelFile:
    """A channel of a colour image: its file, its colour (0 to 255 each), and the limits of its scale."""

    file: FitsFile
    color: tuple[int, int, int]
    zmin: float
    zmax: float


@dataclass
class Work:
    """A computation of an operation.

    Attributes
    ----------
    memory_limit : int
        Bytes that stacks may take.
    scratch : Path
        A private folder, removed at the end.
    """

    memory_limit: int
    scratch: Path
    reporter: Reporter
    begin: float = 0.0
    end: float = 1.0
    _pinned: ExitStack = field(default_factory=ExitStack)

    def progress(self, fraction: float, message: str) -> None:
        """Tell how much of the computation is done, 0 to 1, and what is being done."""
        inside = min(max(fraction, 0.0), 1.0)
        self.reporter.progress(self.begin + (self.end - self.begin) * inside, message)

    def each(
        self, files: Sequence[FitsFile], message: str, begin: float = 0.0, end: float = 1.0
    ) -> Iterator[FitsFile]:
        """Yield files one after the other, and tell the progress from `begin` to `end`."""
        for number, file in enumerate(files):
            self.progress(begin + (end - begin) * number / len(files), f"{message} {file.name}")
            yield file
        self.progress(end, message)

    def paths(self, files: Sequence[FitsFile]) -> list[Path]:
        """Return the files' paths on this machine, where they stay until the end of the computation."""
        return [self._pinned.enter_context(file.opened()) for file in files]

    def close(self) -> None:
        """Let the files go."""
        self._pinned.close()


def _to_bits(mask: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint16]:
    """Return a mask of 16 bits; what does not fit becomes 1, bad for an unnamed reason."""
    return np.where((mask >= 0) & (mask <= 0xFFFF), mask, 1).astype(np.uint16)


def bind(value: Any, files: Mapping[FitsReference, FitsFile]) -> Any:
    """Return a checked value as the function takes it: with files in the place of references."""
    if isinstance(value, FitsReference):
        return files[value]
    if isinstance(value, Mapping) and "file" in value:
        color = value["color"]
        file = files[value["file"]]
        return ColorChannelFile(file, (color["r"], color["g"], color["b"]), value["zmin"], value["zmax"])
    if isinstance(value, list):
        return [bind(item, files) for item in value]
    return value
