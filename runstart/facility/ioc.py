"""A real EPICS IOC with the sample environment of a simulated beamline, on loopback.

Temperature ramps slowly, with noise, and passes its alarm limits now and then; the field is steady, the sample turns,
the shutter opens and closes. All are updated 5 times a second. `SIM:WAVE` (an array) and `SIM:TEXT` (a long text)
do not change. It is built with softioc, from the `demo` extra, and
runs in a process of its own, so that it can be killed and suspended like one of a facility.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.processes import Server, free_port

TEMPERATURE, FIELD, ROTATION, SHUTTER = "TEMPERATURE", "FIELD", "ROTATION", "SHUTTER"

_SEARCH_AND_VERSION = struct.pack(">HHHHII", 0, 0, 0, 13, 0, 0)


class SampleEnvironmentIoc(Server):
    """An IOC with the PVs `SIM:TEMPERATURE` (K), `SIM:FIELD` (T), `SIM:ROTATION` (deg) and `SIM:SHUTTER` (a choice).

    Parameters
    ----------
    data_dir : Path
        Folder of the IOC's log.
    start_timeout : float, optional
        Seconds that the IOC may take until it answers.
    prefix : str, optional
        What the names of the PVs begin with.
    ramp_seconds : float, optional
        Seconds in which the temperature goes up to its alarms and down again.
    """

    name = "sample-environment-ioc"
    stop_patience = 3.0

    def __init__(
        self, data_dir: Path, start_timeout: float = 60.0, prefix: str = "SIM", ramp_seconds: float = 120.0
    ) -> None:
        super().__init__(data_dir, start_timeout)
        self.ramp_seconds = ramp_seconds
        if not (prefix.isascii() and prefix.isalnum()):
            raise Alert(f"{prefix!r} cannot begin the name of a PV.", "Use letters and digits.")
        self.prefix = prefix
        self.port = free_port()
        self._repeater_port = free_port()

    @property
    def pvs(self) -> dict[str, str]:
        """The PVs by name of the log: temperature, field, rotation, shutter."""
        return {name.lower(): f"{self.prefix}:{name}" for name in (TEMPERATURE, FIELD, ROTATION, SHUTTER)}

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which clients find this IOC and no other."""
        return {
            "EPICS_CA_ADDR_LIST": "127.0.0.1",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_SERVER_PORT": str(self.port),
            "EPICS_CA_REPEATER_PORT": str(self._repeater_port),
        }

    def _command(self) -> list[str]:
        settings = self.environment | {
            "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_SERVER_PORT": str(self.port),
            "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_BEACON_PORT": str(self._repeater_port),
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        }
        given = [f"{name}={value}" for name, value in sorted(settings.items())]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        program = [sys.executable, "-m", "runstart.facility._ioc_process", self.prefix, str(self.ramp_seconds)]
        return ["env", f"PYTHONPATH={path}", *given, *program]

    def _is_ready(self) -> bool:
        """Tell whether it serves channels: it takes TCP connections only once its records run."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as circuit:
                circuit.sendall(_SEARCH_AND_VERSION)
                return len(circuit.recv(16)) > 0
        except OSError:
            return False
