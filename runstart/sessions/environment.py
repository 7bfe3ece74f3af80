"""What the environment says of sessions: the same for Dagster, the command line and whatever else runs them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from runstart.errors import Alert
from runstart.launchers import Mount
from runstart.sessions.order import Allowance, SessionSettings
from runstart.sizes import parse_size
from runstart.specifications import find_operators, operators_folders
from runstart.variables import read_number

_PORTS = re.compile(r"(\d{1,5})-(\d{1,5})")
_LAST_PORT = 65_535


def read_session_settings(environ: Mapping[str, str], shipped: Path) -> SessionSettings:
    """Return how sessions are run here.

    Parameters
    ----------
    environ : mapping of str to str
        `RUNSTART_OPERATORS`, `RUNSTART_MOUNT_ROOTS`, `RUNSTART_OPERATOR_IMAGE`, `RUNSTART_OPERATOR_IMAGE_MOUNTS`,
        `RUNSTART_OPERATOR_IMAGE_FOLDERS`, `RUNSTART_OPERATOR_MEMORY`, `RUNSTART_OPERATOR_CPUS`,
        `RUNSTART_OPERATOR_HUNG_S`, and for pods `RUNSTART_POD_IP` and `RUNSTART_SESSION_PORTS`.
    shipped : Path
        Folder of the operators that ship.

    Raises
    ------
    Alert
        If a variable does not have its form.
    """
    found = find_operators(operators_folders(environ, shipped))
    settings = SessionSettings(
        operators={name: operator.folder for name, operator in found.items()},
        allowance=_read_allowance(environ),
        image=environ.get("RUNSTART_OPERATOR_IMAGE") or None,
        image_mounts=_read_image_mounts(environ),
        image_folders=_read_folders(environ, "RUNSTART_OPERATOR_IMAGE_FOLDERS"),
        mount_roots=_read_mount_roots(environ),
        address=_read_address(environ),
        ports=_read_ports(environ),
    )
    message_limit_s = read_seconds(environ, "RUNSTART_OPERATOR_HUNG_S")
    return settings if message_limit_s is None else replace(settings, message_limit_s=message_limit_s)


def read_seconds(environ: Mapping[str, str], variable: str) -> float | None:
    """Return a time that a variable gives; None if it is empty.

    Raises
    ------
    Alert
        If it is no time.
    """
    return read_number(environ, variable, "Give seconds, such as 600.")


def _read_allowance(environ: Mapping[str, str]) -> Allowance:
    memory = environ.get("RUNSTART_OPERATOR_MEMORY")
    return Allowance(
        cpus=read_number(environ, "RUNSTART_OPERATOR_CPUS", "Give a number of processors, such as 1.5."),
        memory_bytes=parse_size(memory, "RUNSTART_OPERATOR_MEMORY") if memory else Allowance.memory_bytes,
    )


def _read_image_mounts(environ: Mapping[str, str]) -> tuple[Mount, ...]:
    paths = _read_folders(environ, "RUNSTART_OPERATOR_IMAGE_MOUNTS")
    return tuple(Mount(path, str(path)) for path in paths)


def _read_address(environ: Mapping[str, str]) -> str | None:
    text = environ.get("RUNSTART_POD_IP")
    if not text:
        return None
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        what = f"RUNSTART_POD_IP is {text[:80]!r}, and sessions are reached by IPv4 only."
        raise Alert(what, "Give the IPv4 address of this pod, or leave it out.") from error


def _read_ports(environ: Mapping[str, str]) -> range | None:
    text = environ.get("RUNSTART_SESSION_PORTS")
    if not text:
        return None
    found = _PORTS.fullmatch(text)
    first, last = (int(number) for number in found.groups()) if found else (0, 0)
    if not 0 < first <= last <= _LAST_PORT:
        raise Alert(
            f"RUNSTART_SESSION_PORTS is {text[:80]!r}.", "Give the first and the last port, as 48000-48099."
        )
    return range(first, last + 1)


def _read_mount_roots(environ: Mapping[str, str]) -> tuple[Path, ...]:
    default = dict.fromkeys([Path.home(), Path(tempfile.gettempdir()), Path.cwd()])
    return _read_folders(environ, "RUNSTART_MOUNT_ROOTS") or tuple(default)


def _read_folders(environ: Mapping[str, str], variable: str) -> tuple[Path, ...]:
    paths = [Path(part).expanduser() for part in environ.get(variable, "").split(os.pathsep) if part]
    for path in paths:
        if not path.is_absolute():
            raise Alert(f"{variable} names {str(path)!r}, which is not an absolute path.", "Begin it with /.")
    return tuple(paths)
