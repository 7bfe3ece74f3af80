"""What an object store promises: whole objects under keys, and puts that hold only on a condition.

Each put is atomic and durable once it has returned. A conditional put that was refused has changed nothing. When a
put raises `Transient`, whether it happened is not known: read the object to find out.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

_SEGMENT = re.compile(r"[A-Za-z0-9._=@+-]{1,200}")
_LONGEST_KEY = 900

# Inside the classes `list` is a method.
Keys: TypeAlias = list[str]


class ObjectMissing(LookupError):
    """No object has the key.

    Parameters
    ----------
    key : str
        The key that was asked for.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no object {key!r}.")
        self.key = key


class PreconditionFailed(Exception):
    """A conditional put was refused: the object exists, or is not the one that was expected.

    Parameters
    ----------
    key : str
        The key that was to be written.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"The object {key!r} is not as the put requires.")
        self.key = key


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read.

    Attributes
    ----------
    data : bytes
        The whole content.
    etag : str
        The version of the content, for `ObjectStore.put_if_match`; its form is the backend's own.
    """

    data: bytes
    etag: str


class ObjectStore(ABC):
    """Whole objects under keys, safe among processes.

    A key is relative, of segments of `A-Z a-z 0-9 . _ = @ + -` separated by `/`, at most 900 characters long and
    200 a segment; a segment is never `.` or `..`. Methods raise `ValueError` for any other key, `Transient` when
    the store does not answer, and `Alert` when it must be set up differently.
    """

    @abstractmethod
    def get(self, key: str) -> StoredObject:
        """Read an object.

        Parameters
        ----------
        key : str
            The object's key.

        Returns
        -------
        StoredObject
            Content and etag of one version.

        Raises
        ------
        ObjectMissing
            If there is no such object.
        """

    def get_part(self, key: str, start: int, stop: int) -> bytes:
        """Read a part of an object that is never written over; of any other, two parts may be of two versions.

        Parameters
        ----------
        key : str
            The object's key.
        start, stop : int
            The first byte and the one after the last, counted from 0.

        Returns
        -------
        bytes
            The part, as far as the object goes.

        Raises
        ------
        ObjectMissing
            If there is no such object.
        """
        return self.get(key).data[start:stop]

    @abstractmethod
    def head(self, key: str) -> str | None:
        """Return an object's etag without reading it.

        Parameters
        ----------
        key : str
            The object's key.

        Returns
        -------
        str or None
            The etag, or None if there is no such object.
        """

    @abstractmethod
    def put(self, key: str, data: bytes) -> str:
        """Write an object, over what is there.

        Parameters
        ----------
        key : str
            The object's key.
        data : bytes
            The whole content.

        Returns
        -------
        str
            The new etag.
        """

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> str:
        """Write an object that does not exist yet; of several at once exactly one succeeds.

        Parameters
        ----------
        key : str
            The object's key.
        data : bytes
            The whole content; competing writers must write different data, such as their own id, since a put whose
            answer was lost is known by its content.

        Returns
        -------
        str
            The new etag.

        Raises
        ------
        PreconditionFailed
            If the object exists.
        """

    @abstractmethod
    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        """Write an object if it is still the expected version; of several at once exactly one succeeds.

        Parameters
        ----------
        key : str
            The object's key.
        data : bytes
            The whole content; it must differ from the expected version's and from what competing writers put.
        etag : str
            The version that is to be replaced.

        Returns
        -------
        str
            The new etag.

        Raises
        ------
        PreconditionFailed
            If the object is another version or does not exist.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; an object that does not exist is no error.

        Parameters
        ----------
        key : str
            The object's key.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Keys:
        """Return the keys that begin with a prefix.

        Parameters
        ----------
        prefix : str, optional
            The beginning of the keys, which need not end at a `/`.

        Returns
        -------
        list of str
            The keys, sorted.
        """


def check_key(key: str) -> str:
    """Return a key, if it is one.

    Parameters
    ----------
    key : str
        The key.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If it is not a key that every backend takes.
    """
    segments = key.split("/")
    if len(key) > _LONGEST_KEY or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError(f"{key[:200]!r} is not a key of the object store.")
    if not {".", ".."}.isdisjoint(segments):
        raise ValueError(f"{key!r} is not a key of the object store: it has a segment of dots.")
    return key


def is_key(text: str) -> bool:
    """Tell whether a text is a key.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    bool
        True if every backend takes it.
    """
    try:
        check_key(text)
    except ValueError:
        return False
    return True


def check_prefix(prefix: str) -> str:
    """Return a prefix of keys, if a key can begin so.

    Parameters
    ----------
    prefix : str
        The prefix; empty for all keys.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If no key begins so.
    """
    check_key(prefix + "x")
    return prefix
