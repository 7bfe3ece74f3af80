"""What a source of FITS files can do: find a file, bring it here, or say where it can be read in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from runstart.fits.reference import FitsReference

__all__ = ["FitsSource", "Located", "ResolvedFile"]


@dataclass(frozen=True)
class Located:
    """A file that a source has.

    Attributes
    ----------
    source : str
        Where it is, in a form that is the same for the same file.
    name : str
        Its basename.
    version : str
        Changes whenever the content does.
    size : int or None
        In bytes, if the source says so without sending it.
    address : str
        What the source needs to read it; it may hold a signature and is never shown.
    md5 : str
        Digest that the source declares, or empty.
    """

    source: str
    name: str
    version: str
    size: int | None = None
    address: str = field(default="", repr=False)
    md5: str = ""


@dataclass(frozen=True)
class ResolvedFile:
    """A file whose content is known.

    Attributes
    ----------
    reference : FitsReference
        As the user named it.
    source, name, version : str
        As in `Located`.
    sha256 : str
        Digest of the content, 64 hexadecimal digits.
    size : int
        In bytes.
    """

    reference: FitsReference
    source: str
    name: str
    version: str
    sha256: str
    size: int


class FitsSource(ABC):
    """A place where FITS files are."""

    @abstractmethod
    def locate(self, reference: FitsReference) -> Located:
        """Find a file, without reading it.

        Parameters
        ----------
        reference : FitsReference
            As the user named it.

        Returns
        -------
        Located
            The file as it is now.

        Raises
        ------
        Alert
            There is no such file, or it may not be read.
        Transient
            The source does not answer.
        """

    @abstractmethod
    def download(self, located: Located, path: Path) -> None:
        """Write the whole file to a path.

        Parameters
        ----------
        located : Located
            As `locate` returned it a short time ago.
        path : Path
            Where to; what is there is replaced. After an error it may hold a part.

        Raises
        ------
        Alert
            The file is gone, or may not be read.
        Transient
            The source does not answer, or did not send all of it.
        """

    def local_path(self, located: Located) -> Path | None:  # noqa: ARG002
        """Return where the file can be read in place.

        Parameters
        ----------
        located : Located
            As `locate` returned it.

        Returns
        -------
        Path or None
            None if the file must be downloaded.
        """
        return None

    def reads_in_place(self, reference: FitsReference) -> bool:  # noqa: ARG002
        """Tell whether `local_path` gives a path for a reference, without asking anybody.

        Parameters
        ----------
        reference : FitsReference
            As the user named it.

        Returns
        -------
        bool
            False if the file comes through the file cache.
        """
        return False
