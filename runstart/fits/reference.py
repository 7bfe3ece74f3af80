"""How people name a FITS file: a source and a basename, such as `archive/NAME`, or a URI.

What is named comes from outside: nothing but the characters that the archives use gets through, so that a reference
never leads out of a folder. The text that people see never holds a URI's query or password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from runstart.errors import Alert

__all__ = ["FitsReference", "check_basename", "without_secrets"]

_SEGMENT = re.compile(r"(?!\.)[A-Za-z0-9._+=@-]{1,200}")
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_URI = re.compile(r"(file|s3|https?):[!-~]{1,2000}")
_SCHEME = re.compile(r"(file|s3|https?):")
_PREVIEW = re.compile(r"([0-9a-f]{64}(?:-[0-9]+)?)-(?:large|small)")
_LONGEST = 900
_HOW = "Give SOURCE/BASENAME, such as archive/NAME, or a URI that begins with file:, s3:, http: or https:."
_SPELLING = "Use up to 200 letters, digits and . _ + = @ -, not beginning with a dot."


class FitsReference(BaseModel):
    """A FITS file that a data operation is to read.

    Attributes
    ----------
    source : str
        Where the file is: `archive`, `store`, or the name of a declared folder; empty with `uri`.
    basename : str
        Its name there; in a folder also a path below it.
    uri : str
        Its address instead of the two.
    filter : str
        The filter through which it was taken, if that is known; also read from `primary_optical_element`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field("", description="Where the file is: archive, store, or the name of a declared folder.")
    basename: str = Field("", description="The file's name in its source.")
    uri: str = Field("", description="The file's address, instead of source and basename.")
    filter: str = Field("", description="The filter through which the image was taken.")

    @classmethod
    def parse(cls, value: str | Mapping[str, Any] | FitsReference) -> FitsReference:
        """Return the reference that a user wrote.

        Parameters
        ----------
        value : str or mapping
            `SOURCE/BASENAME`, a URI, or the fields.

        Returns
        -------
        FitsReference
            The reference, checked.

        Raises
        ------
        Alert
            It names nothing, or something that is not allowed.
        """
        if isinstance(value, FitsReference):
            return value
        if isinstance(value, str):
            if _SCHEME.match(value):
                return cls(uri=value)
            source, slash, basename = value.partition("/")
            if not slash:
                raise Alert(f"{_shown(value)} does not name a FITS file.", _HOW)
            return cls(source=source, basename=basename)
        if not isinstance(value, Mapping):
            raise Alert(f"{_shown(value)} does not name a FITS file.", _HOW)
        try:
            return cls.model_validate(dict(value))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise Alert(f"A FITS reference is wrong at {_shown(field)}: {first['msg']}.", _HOW) from None

    @model_validator(mode="before")
    @classmethod
    def _take_filter(cls, fields: Any) -> Any:
        """Take the archives' name of the filter, or none at all, for the filter."""
        if not isinstance(fields, Mapping):
            return fields
        given = dict(fields)
        element = given.pop("primary_optical_element", None)
        given["filter"] = given.get("filter") or element or ""
        return given

    @field_validator("basename")
    @classmethod
    def _strip_preview(cls, basename: str) -> str:
        """Take the preview of an operation's output for the output."""
        preview = _PREVIEW.fullmatch(basename)
        return preview[1] if preview else basename

    @model_validator(mode="after")
    def _check(self) -> FitsReference:
        if self.uri:
            if self.source or self.basename:
                raise Alert(f"{self.name!r} has a URI and a source or a basename.", "Give one or the other.")
            _check_uri(self.uri)
            return self
        if not self.source and not self.basename:
            raise Alert("A FITS reference is empty.", _HOW)
        if not _SOURCE.fullmatch(self.source):
            raise Alert(f"{_shown(self.source)} is not the name of a source of FITS files.", _HOW)
        check_basename(self.basename)
        return self

    @property
    def name(self) -> str:
        """The reference for people: `archive/NAME`, or the URI without query and password."""
        return without_secrets(self.uri) if self.uri else f"{self.source}/{self.basename}"

    def __repr__(self) -> str:
        return f"FitsReference({self.name!r})"

    __str__ = __repr__


def check_basename(basename: str, *, folders: bool = True) -> str:
    """Return a basename, if it is one.

    Parameters
    ----------
    basename : str
        From outside.
    folders : bool, optional
        Whether it may be a path below a folder.

    Returns
    -------
    str
        The same.

    Raises
    ------
    Alert
        It is none.
    """
    segments = basename.split("/") if folders else [basename]
    if not basename:
        raise Alert("The basename of a FITS file is empty.", _SPELLING)
    if len(basename) > _LONGEST or not all(_SEGMENT.fullmatch(part) and ".." not in part for part in segments):
        raise Alert(f"{_shown(basename)} is not the basename of a FITS file.", _SPELLING)
    return basename


def without_secrets(uri: str) -> str:
    """Return an address without user, password, query and fragment, where people put tokens.

    Parameters
    ----------
    uri : str
        The address.

    Returns
    -------
    str
        What may be shown.
    """
    parts = urlsplit(uri)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return shown if parts.netloc or "//" in uri[:8] else uri.partition("?")[0].partition("#")[0]


def _check_uri(uri: str) -> None:
    shown = _shown(uri.partition("?")[0].rpartition("@")[2])
    if not _URI.fullmatch(uri):
        raise Alert(f"{shown} is not a URI of a FITS file.", f"{_HOW} Write other characters as %XX.")
    try:
        parts = urlsplit(uri)
        path, _ = unquote(parts.path, errors="strict"), parts.port
    except ValueError:
        raise Alert(f"{shown} is not a URI of a FITS file.", _HOW) from None
    if "\\" in path or "\0" in path or not {".", ".."}.isdisjoint(path.split("/")) or path.endswith("/"):
        raise Alert(f"{shown} does not lead straight to a file.", "Leave '.', '..' and a slash at the end out.")
    if not PurePosixPath(path).name or (parts.scheme != "file" and not parts.netloc):
        raise Alert(f"{shown} names no file.", _HOW)
    if "@" in parts.netloc:
        raise Alert(f"{shown} is given with a user or a password.", "Leave them out of the URI.")


def _shown(value: object) -> str:
    """Return a wrong value for a message: short, and without characters that do not print."""
    text = ascii(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(str(value))} characters)"
