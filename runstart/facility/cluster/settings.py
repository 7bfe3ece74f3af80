"""What the parts of a cluster of ours are told: addresses, command lines and configuration files.

The differences to an ordinary cluster, each for a reason: control groups of either version are used, under a group of
our own; the kernel's settings that the kubelet wants are files in our mount namespace, so that no machine is changed; pods
are routed to the node one by one, since a bridge would need a kernel module for services; no image is ever pulled, which
is refused at once; and a node that does not answer is given up within half a minute.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runstart.facility.cluster.credentials import Credentials

NODE_NAME = "runstart-node"
API_PORT = 6443
PAUSE_IMAGE = "localhost/runstart/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
DOMAIN = "cluster.local"
POD_PIDS = 1024  # processes and threads of a pod, as many nodes have it
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What the kubelet sets for the whole machine, below /proc/sys."""

_ETCD = "http://127.0.0.1:2379"
_ETCD_PEERS = "http://127.0.0.1:2380"


@dataclass(frozen=True)
class Place:
    """The addresses and names of one cluster; several on a machine have different numbers.

    Attributes
    ----------
    number : int
        0 to 7.
    """

    number: int

    @property
    def host(self) -> str:
        """Where pods reach this machine."""
        return f"{self._network}.0.1"

    @property
    def node(self) -> str:
        """Where the node, and the API server, are reached."""
        return f"{self._network}.0.2"

    @property
    def pods(self) -> str:
        """The network of pods."""
        return f"{self._network}.1.0/24"

    @property
    def services(self) -> str:
        """The network of services."""
        return f"{self._network}.2.0/24"

    @property
    def api_url(self) -> str:
        """Where the API server is."""
        return f"https://{self.node}:{API_PORT}"

    @property
    def api_names(self) -> tuple[str, ...]:
        """By what addresses and names the API server is reached."""
        return (self.node, f"{self._network}.2.1", "127.0.0.1", "kubernetes.default.svc", "localhost")

    @property
    def link(self) -> str:
        """The interface of this machine to the node."""
        return f"rscluster{self.number}"

    @property
    def control_group(self) -> str:
        """The group in which all pods are."""
        return f"runstart-cluster-{self.number}"

    @property
    def _network(self) -> str:
        return f"10.{213 + self.number}"


@dataclass(frozen=True)
class Settings:
    """Command lines of the parts.

    Attributes
    ----------
    folder : Path
        Of the cluster's data.
    programs : Path
        Folder of the programs.
    system : dict of str to str
        Paths of the system's programs.
    credentials : Credentials
        Of all parts.
    place : Place
        Addresses and names.
    """

    folder: Path
    programs: Path
    system: dict[str, str]
    credentials: Credentials
    place: Place

    def etcd(self) -> list[str]:
        """Return the command of the store; it need not survive a power cut."""
        return [
            self._program("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEERS}",
            f"--initial-advertise-peer-urls={_ETCD_PEERS}",
            f"--initial-cluster=default={_ETCD_PEERS}",
            "--unsafe-no-fsync",
        ]

    def apiserver(self) -> list[str]:
        """Return the command of the API server, which gives up nodes' pods after five seconds."""
        file = self.credentials.file
        return [
            self._program("kube-apiserver"),
            f"--etcd-servers={_ETCD}",
            f"--bind-address={self.place.node}",
            f"--advertise-address={self.place.node}",
            f"--secure-port={API_PORT}",
            f"--tls-cert-file={file('server.pem')}",
            f"--tls-private-key-file={file('server-key.pem')}",
            f"--client-ca-file={file('ca.pem')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-issuer={self.place.api_url}",
            f"--service-account-signing-key-file={file('accounts-key.pem')}",
            f"--service-account-key-file={file('accounts.pem')}",
            f"--service-cluster-ip-range={self.place.services}",
            f"--kubelet-certificate-authority={file('ca.pem')}",
            f"--kubelet-client-certificate={file('to-kubelet.pem')}",
            f"--kubelet-client-key={file('to-kubelet-key.pem')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--default-not-ready-toleration-seconds=5",
            "--default-unreachable-toleration-seconds=5",
        ]

    def controller_manager(self) -> list[str]:
        """Return the command of the controllers."""
        return [
            self._program("kube-controller-manager"),
            f"--kubeconfig={self.credentials.kubeconfig('controller-manager')}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.credentials.file('accounts-key.pem')}",
            f"--root-ca-file={self.credentials.file('ca.pem')}",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=20s",
        ]

    def scheduler(self) -> list[str]:
        """Return the command of the scheduler."""
        kubeconfig = self.credentials.kubeconfig("scheduler")
        return [
            self._program("kube-scheduler"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ]

    def containerd(self) -> list[str]:
        """Return the command of the container runtime; what it calls is found on this path."""
        path = f"PATH={self.programs}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["env", path, self._program("containerd"), "--config", str(self.folder / "containerd.toml")]

    def kubelet(self) -> list[str]:
        """Return the command of the node's agent."""
        return [
            "env",
            "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            self._program("kubelet"),
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={self.credentials.kubeconfig('node')}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={self.place.node}",
        ]

    def proxy(self) -> list[str]:
        """Return the command of what makes services reachable."""
        return [self._program("kube-proxy"), f"--config={self.folder / 'proxy.json'}"]

    def dns(self) -> list[str]:
        """Return the command of the name server."""
        return [self._program("coredns"), "-conf", str(self.folder / "Corefile")]

    def write(self) -> None:
        """Write the configuration files into the folder."""
        files = {
            "containerd.toml": self._containerd_toml(),
            "kubelet.json": json.dumps(self._kubelet_configuration(), indent=1),
            "proxy.json": json.dumps(self._proxy_configuration(), indent=1),
            "Corefile": self._corefile(),
            "cni/10-runstart.conflist": json.dumps(self._pod_network(), indent=1),
            "registries/_default/hosts.toml": 'server = "http://127.0.0.1:1"\n',
        }
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def _program(self, name: str) -> str:
        return str(self.programs / name)

    def _containerd_toml(self) -> str:
        return f"""version = 4
root = "{self.folder / "containerd"}"
state = "/run/containerd"
imports = []

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.images"]
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{self.folder / "registries"}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_unprivileged_ports = false
  enable_unprivileged_icmp = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{Path(self.system["ptp"]).parent}"]
    conf_dir = "{self.folder / "cni"}"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{self.system["runc"]}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{self.folder / "opt"}"

[plugins."io.containerd.nri.v1.nri"]
  disable = true
"""

    def _kubelet_configuration(self) -> dict[str, Any]:
        file = self.credentials.file
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.place.node,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": file("ca.pem")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "tlsCertFile": file("kubelet.pem"),
            "tlsPrivateKeyFile": file("kubelet-key.pem"),
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.place.control_group}",
            "failCgroupV1": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "podPidsLimit": POD_PIDS,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "clusterDNS": [self.place.node],
            "clusterDomain": DOMAIN,
            "resolvConf": "",
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "podLogsDir": str(self.folder / "pod-logs"),
            "nodeStatusUpdateFrequency": "5s",
            "nodeLeaseDurationSeconds": 12,
            "syncFrequency": "10s",
            "serializeImagePulls": False,
        }

    def _proxy_configuration(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.credentials.kubeconfig("proxy"))},
            "mode": "iptables",
            "clusterCIDR": self.place.pods,
            "hostnameOverride": NODE_NAME,
            "metricsBindAddress": "127.0.0.1:10249",
            "healthzBindAddress": "127.0.0.1:10256",
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }

    def _corefile(self) -> str:
        kubeconfig = self.credentials.kubeconfig("dns")
        return f""".:53 {{
    bind {self.place.node}
    ready 127.0.0.1:8181
    errors
    kubernetes {DOMAIN} {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
"""

    def _pod_network(self) -> dict[str, Any]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.folder / "pod-addresses"),
            "ranges": [[{"subnet": self.place.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugin = {"type": "ptp", "ipMasq": False, "ipam": addresses}
        return {"cniVersion": "1.0.0", "name": "runstart", "plugins": [plugin]}
