"""Where a demonstration lives: the checkout that it shows, and one data folder that holds all it writes.

The data folder is temporary unless the user names one, and every child is told by its environment to write
nowhere else, with two exceptions. Matplotlib's list of fonts, which takes seconds to make, is kept in the user's
cache. The embedded broker writes all that it holds every second, so its folder is in memory where there is room.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.install import cache_dir

# Each sensor tick keeps a worker of the code server waiting for a few seconds; the UI needs the others.
GRPC_WORKERS = 16
LOCATION_NAME = "definitions"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
_ROOM_BYTES = 512_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of a demonstration.

    Parameters
    ----------
    checkout : Path
        Holds `definitions.py` and `dagster.yaml`.
    instruments_file : Path
        Declares the instruments.
    data_dir : Path
        Holds all that the demonstration writes,
    broker_dir : Path
        except what the broker writes.
    """

    checkout: Path
    instruments_file: Path
    data_dir: Path
    broker_dir: Path

    @property
    def workspace_file(self) -> Path:
        """The file that tells Dagster's programs of the one code server that they share."""
        return self.data_dir / "workspace.yaml"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder."""
        return self.data_dir / "dagster"

    def write_workspace(self, code_server_port: int) -> None:
        """Write the workspace file.

        Parameters
        ----------
        code_server_port : int
            Where the code server listens on loopback.
        """
        self.workspace_file.write_text(
            "load_from:\n"
            "  - grpc_server:\n"
            "      host: 127.0.0.1\n"
            f"      port: {code_server_port}\n"
            f"      location_name: {LOCATION_NAME}\n"
        )

    def environment(self, bootstrap_servers: str) -> dict[str, str]:
        """Return what the children's environment says beyond ours.

        Parameters
        ----------
        bootstrap_servers : str
            Address of the broker.
        """
        return {
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_GRPC_MAX_WORKERS": str(GRPC_WORKERS),
            "MPLCONFIGDIR": str(cache_dir() / "matplotlib"),
            "PYTHONUNBUFFERED": "1",
            "RUNSTART_DEPLOYMENT": "laptop",
            "RUNSTART_EXPOSURES": str(self.data_dir),
            "RUNSTART_FILE_CACHE": str(self.data_dir / "file-cache"),
            "RUNSTART_FOLLOW_EXPOSURES": "no",  # so that there is something to click
            "RUNSTART_INSTRUMENTS": str(self.instruments_file),
            "RUNSTART_KAFKA": bootstrap_servers,
            "RUNSTART_MICROSCOPES": str(self.checkout / "microscopes.toml"),
            "RUNSTART_OBJECT_STORE": f"file:{self.data_dir / 'store'}",
            "RUNSTART_SCANS": str(self.data_dir),
            "RUNSTART_SITES": str(self.checkout / "sites.toml"),
            "TMPDIR": str(self.data_dir / "tmp"),
        }


def find_checkout() -> Path:
    """Return the folder of the definitions that Dagster would load.

    Raises
    ------
    Alert
        If they are not installed, or not beside their settings.
    """
    spec = importlib.util.find_spec(LOCATION_NAME)
    if spec is None or spec.origin is None:
        raise Alert("Runstart's definitions.py cannot be imported.", "Run `make setup` in the checkout.")
    checkout = Path(spec.origin).resolve().parent
    for name in ("dagster.yaml", "instruments.toml", "microscopes.toml", "sites.toml"):
        if not (checkout / name).is_file():
            raise Alert(f"There is no {name} in {checkout}.", "The demonstration runs from a checkout.")
    return checkout


@contextmanager
def make_place(keep: Path | None = None, instruments_file: Path | None = None) -> Iterator[Place]:
    """Make the folders, and remove them at the end unless they are to be kept.

    Parameters
    ----------
    keep : Path, optional
        An empty or new folder to use and to leave; by default a temporary one is made and removed.
    instruments_file : Path, optional
        Declares the instruments; by default the checkout's own.

    Yields
    ------
    Place
        With Dagster's settings in it.

    Raises
    ------
    Alert
        If `keep` is not empty, or there is no checkout.
    """
    checkout = find_checkout()
    with ExitStack() as stack:
        data_dir = _new_folder(stack) if keep is None else keep.resolve()
        if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
            raise Alert(f"{data_dir} is not an empty folder.", "Name a new one.")
        in_memory = keep is None and _memory_has_room()
        broker_dir = _new_folder(stack, _MEMORY) if in_memory else data_dir / "broker"
        declared = checkout / "instruments.toml" if instruments_file is None else instruments_file.resolve()
        place = Place(checkout, declared, data_dir, broker_dir)
        for folder in (place.dagster_home, data_dir / "tmp", data_dir / "store", cache_dir() / "matplotlib"):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / "dagster.yaml", place.dagster_home)
        yield place


def _new_folder(stack: ExitStack, parent: Path | None = None) -> Path:
    """Make a folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="runstart-demo-", dir=parent)).resolve()
    stack.callback(shutil.rmtree, folder)
    return folder


def _memory_has_room() -> bool:
    return os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
