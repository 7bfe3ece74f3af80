"""Installs what the real servers need, and builds images: `python -m runstart.facility kafka podman`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.cluster import install_cluster
from runstart.facility.images import build_code_location, build_operator_base
from runstart.facility.install import install_kafka, install_podman
from runstart.facility.postgres import install_postgresql

_INSTALLERS: dict[str, Callable[[], Path]] = {
    "kafka": install_kafka,
    "podman": install_podman,
    "cluster": install_cluster,
    "postgresql": install_postgresql,
    "code-location-image": build_code_location,
    "operator-image": build_operator_base,
}


def _main(arguments: list[str]) -> int:
    if not arguments or not set(arguments) <= set(_INSTALLERS):
        sys.stderr.write(f"usage: python -m runstart.facility {' | '.join(_INSTALLERS)} ...\n")
        return 2
    try:
        for name in arguments:
            sys.stdout.write(f"{_INSTALLERS[name]()}\n")
    except Alert as alert:
        sys.stderr.write(f"{alert}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
