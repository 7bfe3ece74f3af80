"""What is done with a cluster of ours that runs, by the process that has started it or by another one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.cluster import settings as where
from runstart.facility.cluster.archives import write_image
from runstart.facility.cluster.credentials import Credentials
from runstart.facility.cluster.programs import cluster_programs_dir
from runstart.facility.host_image import HOST_IMAGE, make_root
from runstart.facility.namespaces import inside

_COMMAND_S = 120.0
_DESCRIPTION = "cluster.json"


class RunningCluster:
    """A cluster by its folder.

    Parameters
    ----------
    data_dir : Path
        Folder of all that it keeps.
    """

    node_name = where.NODE_NAME

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.programs = cluster_programs_dir()
        self.credentials = Credentials(self.data_dir / "credentials")

    @property
    def place(self) -> where.Place:
        """Its addresses and names."""
        return where.Place(self._described("number"))

    @property
    def host_address(self) -> str:
        """Where pods reach servers of this machine."""
        return self.place.host

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.credentials.kubeconfig("admin")

    @property
    def environment(self) -> dict[str, str]:
        """The variable with which kubectl and clients become the administrator."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator, and return what it prints.

        Parameters
        ----------
        *arguments : str
            Of the command line.
        stdin : str, optional
            What it reads, such as manifests with `-f -`.

        Raises
        ------
        Alert
            If it fails: with what it says.
        """
        done = subprocess.run(
            [str(self.programs / "kubectl"), *arguments],
            env=os.environ | self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_S,
        )
        if done.returncode != 0:
            raise Alert(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}", "See what it says.")
        return done.stdout

    def import_image(self, archive: Path) -> None:
        """Give the node an image; nothing can be pulled.

        Parameters
        ----------
        archive : Path
            As `docker save`, or `buildah push` to an archive, write them.
        """
        done = self.run_ctr("-n", "k8s.io", "images", "import", "--local", "--no-unpack=false", str(archive))
        if done.returncode != 0:
            raise Alert(f"{archive} could not be imported: {done.stderr.strip()}", "See what it says.")

    def import_host_image(self) -> str:
        """Give the node the near-empty image that is run with this machine's programs; return its name."""
        archive = self.data_dir / "host.tar"
        write_image(archive, HOST_IMAGE, make_root(), {})
        self.import_image(archive)
        return HOST_IMAGE

    def run_ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the container runtime's own client on the node.

        Parameters
        ----------
        *arguments : str
            Of its command line.
        """
        command = [str(self.programs / "ctr"), "-a", where.CONTAINERD_SOCKET, *arguments]
        return subprocess.run(
            inside(self._described("first_process"), command), capture_output=True, text=True, check=False
        )

    def _describe(self, place: where.Place, first_process: int) -> None:
        description = {"number": place.number, "first_process": first_process}
        (self.data_dir / _DESCRIPTION).write_text(json.dumps(description))

    def _described(self, field: str) -> int:
        try:
            return int(json.loads((self.data_dir / _DESCRIPTION).read_text())[field])
        except FileNotFoundError as missing:
            raise Alert(f"No cluster runs in {self.data_dir}.", "Start it first.") from missing
