"""Writes `instruments.toml`: what a base file declares, and the instruments of the resources.

A text is only ever given to the code location after it was read back with `read_instruments` itself.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.instruments import Facility, read_instruments
from runstart.toml_files import read_document

LARGEST_TEXT = 900_000  # bytes; a config map takes 1 MiB, with the origins and its own fields

_HEADER = """\
# Made by the instrument controller from the config map `instruments-base` and the Instrument resources of this
# namespace (kubectl get instruments). Change those: what is changed here is undone.
"""


@dataclass(frozen=True)
class Base:
    """What every text begins with.

    Attributes
    ----------
    table : dict of str to object
        Content of the base file, with relative paths as they are: they begin beside the text that is made.
    facility : Facility
        The same, checked, with what the environment adds.
    environ : dict of str to str
        The environment that the code location has too.
    """

    table: dict[str, Any] = field(default_factory=dict)
    facility: Facility = field(default_factory=lambda: Facility(instruments={}, clusters={}))
    environ: dict[str, str] = field(default_factory=dict)


def read_base(path: Path | None, environ: Mapping[str, str]) -> Base:
    """Return the base that a file and the environment make.

    Parameters
    ----------
    path : Path, optional
        A file like `instruments.toml`, mostly with the Kafka clusters alone; None for an empty one.
    environ : mapping of str to str
        Its `RUNSTART_KAFKA` names the brokers of the `default` cluster.

    Returns
    -------
    Base

    Raises
    ------
    Alert
        If the file cannot be read, or declares something that cannot be.
    """
    if path is None:
        return Base({}, _read_back(write_text({}, {}), environ), dict(environ))
    facility = read_instruments(path, environ)
    return Base(read_document(path, "Mount the config map instruments-base.").table, facility, dict(environ))


def write_text(base: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text that declares the base and these instruments; equal content gives equal texts.

    Parameters
    ----------
    base : mapping of str to object
        Content of the base file.
    tables : mapping of str to mapping
        Tables by name of the instrument.
    """
    import tomlkit

    added = {name: _in_order(tables[name]) for name in sorted(tables)}
    whole = dict(base)
    if added or "instruments" in whole:
        whole["instruments"] = {**base.get("instruments", {}), **added}
    return _HEADER + "\n" + tomlkit.dumps(whole)


def check_text(text: str, base: Base) -> str | None:
    """Return why a text cannot be what the code location reads, or None if it can.

    Parameters
    ----------
    text : str
        The whole file.
    base : Base
        Whose environment counts.
    """
    size = len(text.encode())
    if size > LARGEST_TEXT:
        return f"all instruments together would be {size:,} bytes, more than the {LARGEST_TEXT:,} of a config map"
    try:
        _read_back(text, base.environ)
    except Alert as alert:
        return str(alert)
    return None


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _in_order(value: Any) -> Any:
    """Return a value with the keys of all its tables sorted: what was read back from a text makes the same text again."""
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def _read_back(text: str, environ: Mapping[str, str]) -> Facility:
    with tempfile.TemporaryDirectory(prefix="runstart-instruments-") as folder:
        path = Path(folder) / "instruments.toml"
        path.write_text(text, encoding="utf-8")
        return read_instruments(path, environ)
