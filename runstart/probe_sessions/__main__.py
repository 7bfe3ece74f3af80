"""Runs one of the three programs, told by edgeECHO's environment variables: `python -m runstart.probe_sessions probe`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from runstart.errors import Alert
from runstart.probe_sessions.programs import (
    PATIENCE_S,
    Address,
    Telling,
    run_probe,
    run_segmentation,
    run_streaming,
)

_PORTS = range(65_536)


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run a program; return its exit code.

    Parameters
    ----------
    arguments : list of str
        `probe`, `streaming` or `segmentation`.
    environ : mapping of str to str
        `probe_ip`, `probe_port`, `count`, `stream_ip`, `stream_port` and `plain_stream`, as far as the program needs them,
        and perhaps `patience_s`.
    """
    match arguments:
        case ["probe" | "streaming" | "segmentation" as program]:
            telling = Telling(program)
        case _:
            sys.stderr.write("Say probe, streaming or segmentation.\n")
            return 2
    try:
        patience_s = float(environ.get("patience_s", PATIENCE_S))
        if program == "probe":
            run_probe(
                _address(environ, "probe"), _number(environ, "count", range(1, sys.maxsize)), telling, patience_s
            )
        elif program == "streaming":
            at = None if _is_true(environ, "plain_stream") else _address(environ, "stream")
            run_streaming(_address(environ, "probe"), at, telling, patience_s)
        else:
            run_segmentation(_address(environ, "stream"), telling, patience_s)
    except Alert as alert:
        telling.failed(str(alert))
        return 1
    return 0


def _address(environ: Mapping[str, str], whose: str) -> Address:
    return Address(_text(environ, f"{whose}_ip"), _number(environ, f"{whose}_port", _PORTS))


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise Alert(f"The environment variable {name} is not set.", "Set it as for edgeECHO's images.")
    return value


def _number(environ: Mapping[str, str], name: str, allowed: range) -> int:
    text = _text(environ, name)
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        what = f"The environment variable {name} is {text[:80]!r}."
        raise Alert(what, f"Set it to a whole number from {allowed.start} to {allowed.stop - 1}.")
    return int(text)


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    text = _text(environ, name)
    if text.lower() not in {"true", "false"}:
        raise Alert(f"The environment variable {name} is {text[:80]!r}.", "Set it to True or False.")
    return text.lower() == "true"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
