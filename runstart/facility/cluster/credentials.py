"""Who is who in a cluster of ours: throw-away certificates of its parts and of its administrator, as kubeconfig files."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from runstart.facility.certificates import Authority, key_pem, new_key, write_secret

_USERS = {
    "admin": ("runstart-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("runstart-dns", "system:masters"),
}


@dataclass(frozen=True)
class Credentials:
    """Files of a folder.

    Attributes
    ----------
    folder : Path
        `ca.pem`; `server.pem` and `server-key.pem` of the API server; `kubelet.pem` and `kubelet-key.pem`, with which the
        node serves and is known; `to-kubelet.pem` and `to-kubelet-key.pem` of the API server as the node's client;
        `accounts.pem` and `accounts-key.pem`, which sign the tokens of service accounts; and for each part NAME.kubeconfig.
    """

    folder: Path

    def file(self, name: str) -> str:
        """Return the path of one of the files."""
        return str(self.folder / name)

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig file of a user: `admin`, `node` or a part of the cluster."""
        return self.folder / f"{user}.kubeconfig"


def make_credentials(folder: Path, server: str, addresses: tuple[str, ...], node: str) -> None:
    """Make the credentials of a new cluster.

    Parameters
    ----------
    folder : Path
        Made, for its owner only.
    server : str
        URL of the API server.
    addresses : tuple of str
        By which it and the node are reached: IP addresses and names.
    node : str
        The node's name.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    folder.mkdir(mode=0o700, parents=True)
    authority = Authority.new("Runstart throw-away cluster")
    (folder / "ca.pem").write_bytes(authority.pem)

    def keep(name: str, key: bytes, certificate: bytes) -> None:
        write_secret(folder / f"{name}-key.pem", key)
        (folder / f"{name}.pem").write_bytes(certificate)

    keep("server", *authority.sign("kube-apiserver", addresses))
    keep("kubelet", *authority.sign(f"system:node:{node}", addresses, "system:nodes"))
    keep("to-kubelet", *authority.sign("kube-apiserver-kubelet-client", (), "system:masters"))
    accounts = new_key()
    public = accounts.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keep("accounts", key_pem(accounts), public)
    made = Credentials(folder)
    for user, (name, group) in (_USERS | {"node": (f"system:node:{node}", "system:nodes")}).items():
        text = _kubeconfig(server, authority.pem, *authority.sign(name, (), group))
        write_secret(made.kubeconfig(user), text.encode())


def _kubeconfig(server: str, authority: bytes, key: bytes, certificate: bytes) -> str:
    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": server, "certificate-authority-data": encoded(authority)}
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "runstart", "cluster": cluster}],
        "users": [{"name": "runstart", "user": user}],
        "contexts": [{"name": "runstart", "context": {"cluster": "runstart", "user": "runstart"}}],
        "current-context": "runstart",
    }
    # JSON is YAML.
    return json.dumps(document, indent=1)
