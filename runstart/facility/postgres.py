"""A real PostgreSQL, Dagster's storage on a cluster: Debian's, with a password of its own.

It refuses to run for the superuser. So for root it runs as nobody, in namespaces of mounts, processes and shared memory
that take all of it along when it is killed; and its folder is mounted there, for it may be in one of the superuser's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from runstart.errors import Alert
from runstart.facility.install import install_packages_of
from runstart.facility.processes import LOOPBACK, Server, accepts_connections, dying_with_us, free_port

__all__ = ["PostgresServer", "install_postgresql"]

_DEBIAN_FOLDERS = Path("/usr/lib/postgresql")
_NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/runstart.conf")
_NAMESPACES = ("--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation", "private")
# Where its folder is mounted.
_INSIDE = "/mnt"
_MOUNTED = f'mount --bind "$0" {_INSIDE} && cd {_INSIDE} && exec "$@"'
_NOBODY = 65534
# The kernel forgets a signal at the parent's death when the user changes.
_AS_NOBODY = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--pdeathsig=KILL", "--")


class PostgresServer(Server):
    """PostgreSQL with one user, who may do everything; what was committed is there when it starts again.

    Parameters
    ----------
    data_dir : Path
        Folder of the server's data and log.
    start_timeout : float, optional
        Seconds that the server may take until it answers.
    host : str, optional
        Address at which it listens.

    Attributes
    ----------
    username, password, database : str
        The password is generated, and kept in the folder; anyone who knows it may connect, from wherever the
        address is reached.
    """

    name = "postgresql"
    username = "runstart"
    database = "postgres"

    def __init__(self, data_dir: Path, start_timeout: float = 60.0, host: str = LOOPBACK) -> None:
        super().__init__(data_dir, start_timeout)
        self.host = host
        self.port = free_port()
        kept = self._folder / "password"
        self.password = kept.read_text() if self._data.exists() else secrets.token_hex(16)

    @property
    def url(self) -> str:
        """The address for clients, with user and password; the same after a restart."""
        return f"postgresql://{self.username}:{self.password}@{self.host}:{self.port}/{self.database}"

    def stop(self) -> None:
        """Stop the server without waiting for its clients, and kill it if it has not ended within its patience."""
        if self.running:
            self._signal(signal.SIGINT)
        super().stop()

    @property
    def _folder(self) -> Path:
        return self.data_dir / "postgresql"

    @property
    def _data(self) -> Path:
        """The storage, under this name only when it is complete."""
        return self._folder / "data"

    def _prepare(self) -> None:
        if self._data.exists():
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        password, partial = self._folder / "password", self._folder / "partial"
        password.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._folder, password):
                os.chown(path, _NOBODY, _NOBODY)
        options = ["--username", self.username, "--auth=scram-sha-256", "--locale=C.UTF-8", "--no-sync"]
        command = [_program("initdb"), "-D", partial.name, f"--pwfile={password.name}", *options]
        done = subprocess.run(
            dying_with_us(self._apart(command)), cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Alert(f"PostgreSQL could not make its storage:\n{(done.stdout + done.stderr)[-3000:]}")
        (partial / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
        partial.rename(self._data)

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # It survives being killed without; a power cut ends what it is for, too.
            "fsync": "off",
            "jit": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        data = self._data.name if os.geteuid() == 0 else str(self._data)
        return self._apart([_program("postgres"), "-D", data, *options])

    def _apart(self, command: list[str]) -> list[str]:
        """Wrap a command of PostgreSQL's for the superuser; its folder is then the working directory."""
        if os.geteuid() != 0:
            return command
        mounted = ["sh", "-c", _MOUNTED, str(self._folder)]
        return ["unshare", *_NAMESPACES, "--", *mounted, *_AS_NOBODY, *command]

    def _is_ready(self) -> bool:
        import psycopg2

        if not accepts_connections(self.port, self.host):
            return False
        try:
            psycopg2.connect(self.url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


def install_postgresql() -> Path:
    """Install PostgreSQL unless it is there already, without a server that starts with the machine.

    Returns
    -------
    Path
        The program `postgres`.

    Raises
    ------
    Alert
        If it is missing and cannot be installed.
    """
    if _find("postgres") is None and os.geteuid() == 0:
        _NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        _NO_CLUSTER.write_text("create_main_cluster = false\n")
        try:
            install_packages_of({"postgres": "postgresql"})
        finally:
            _NO_CLUSTER.unlink(missing_ok=True)
    return Path(_program("postgres"))


def _program(name: str) -> str:
    found = _find(name)
    if found is None:
        raise Alert(
            f"PostgreSQL's program {name} is missing.",
            "Run as root: python -m runstart.facility postgresql",
        )
    return found


def _find(name: str) -> str | None:
    """Return a program of the newest version; Debian keeps them off the path."""
    folders = sorted(_DEBIAN_FOLDERS.glob("[0-9]*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    return next((str(folder / name) for folder in folders if (folder / name).is_file()), None) or shutil.which(name)
