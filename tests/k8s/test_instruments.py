"""Instruments as custom resources of a real API server; the controller has the rights of its service account alone."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from instrument_tables import make_table
from live_status_kit import make_status, put_status
from waiting import wait_until

from runstart.errors import Alert
from runstart.instrument_resources import make_object
from runstart.instrument_resources.api import ClusterApi, VersionGone
from runstart.instrument_resources.names import DIGEST_ANNOTATION, TEXT_KEY
from runstart.instrument_resources.text import digest
from runstart.storage import FileStore

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = pytest.mark.k8s

ROOT = Path(__file__).parents[2]
ACCOUNT = "instrument-controller"
RULES = [
    {"apiGroups": ["runstart.science"], "resources": ["instruments"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["runstart.science"], "resources": ["instruments/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["instruments"], "verbs": ["get", "patch"]},
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "resourceNames": ["code-location", "gateway"],
        "verbs": ["get", "patch"],
    },
]
BASE = '[kafka.default]\nbootstrap_servers = "localhost:9092"\n'


class Place:
    """A namespace with what the controller finds in it, and the controller."""

    def __init__(self, cluster: RunningCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.namespace = f"instruments-{secrets.token_hex(3)}"
        self.store = FileStore(folder / "store")
        self.process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        self.cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "k8s/base/instrument-crd.yaml"))
        self.cluster.kubectl(
            "wait", "--for=condition=Established", "crd/instruments.runstart.science", "--timeout=30s"
        )
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(self._objects()))
        (self.folder / "base.toml").write_text(BASE)
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        token = self.kubectl("create", "token", ACCOUNT, "--duration=2h").strip()
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(config))

    def remove(self) -> None:
        self.kill()
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "runstart"), "kubernetes", "instruments"]
        command += ["--namespace", self.namespace]
        command += ["--base", str(self.folder / "base.toml"), "--address", "127.0.0.1", "--port", "0"]
        environ = {
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "RUNSTART_OBJECT_STORE": f"file:{self.folder}/store",
        }
        with (self.folder / "controller.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=os.environ | environ, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def apply(self, instrument: str, **changes: Any) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps(make_object(instrument, make_table(**changes))))

    def delete(self, instrument: str) -> None:
        self.kubectl("delete", "instrument", instrument.lower())

    def resource(self, instrument: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "instrument", instrument.lower(), "-o", "json"))
        return found

    def ready(self, instrument: str) -> tuple[str, str]:
        """Status and reason of the newest version; empty while the controller has not seen it."""
        found = self.resource(instrument)
        for condition in found.get("status", {}).get("conditions", []):
            if condition["observedGeneration"] == found["metadata"]["generation"]:
                return condition["status"], condition["reason"]
        return "", ""

    def wait(self, instrument: str, status: str, reason: str) -> None:
        wait_until(lambda: self.ready(instrument) == (status, reason), f"{instrument} {reason}", interval=0.3)

    def tables(self) -> dict[str, Any]:
        return dict(tomllib.loads(self.text()).get("instruments", {}))

    def text(self) -> str:
        data = json.loads(self.kubectl("get", "configmap", "instruments", "-o", "json")).get("data", {})
        return str(data.get(TEXT_KEY, ""))

    def rolled(self, deployment: str = "code-location") -> str:
        found = json.loads(self.kubectl("get", "deployment", deployment, "-o", "json"))
        return str(found["spec"]["template"]["metadata"].get("annotations", {}).get(DIGEST_ANNOTATION))

    def _objects(self) -> list[dict[str, Any]]:
        subject = {"kind": "ServiceAccount", "name": ACCOUNT}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
        rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": ACCOUNT}}
        return [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "instruments"}},
            *(_deployment(name) for name in ("code-location", "gateway")),
            {**rbac, "kind": "Role", "rules": RULES},
            {**rbac, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
        ]


def _deployment(name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "code", "image": "none"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def place(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(cluster, tmp_path_factory.mktemp("instruments"))
    made.make()
    made.start()
    try:
        yield made
    finally:
        made.remove()


def test_a_resource_comes_into_force_and_is_shown(place: Place) -> None:
    key = "20260101T000000.000Z_SANS-1"
    put_status(place.store, make_status("SANS", key, written_at=time.time() + 3600, lag_seconds=1.5))
    place.apply("SANS")
    place.wait("SANS", "True", "InForce")
    assert place.tables()["SANS"] == make_table()
    assert place.rolled() == place.rolled("gateway") == digest(place.text())
    headings, values = (line.split("  ") for line in place.kubectl("get", "inst").splitlines())
    assert [text.strip() for text in headings if text] == [
        "NAME", "LIVE", "TOPIC", "LAST RUN", "STATE", "SNAPSHOT AGE", "LAG", "READY", "AGE",
    ]  # fmt: skip
    shown = [text.strip() for text in values if text]
    assert shown[:5] == ["sans", "Unknown", "default/SANS_events", "SANS 1", "Counting"]
    assert shown[6:8] == ["1.5", "True"]
    assert place.resource("SANS")["status"]["lastRun"]["key"] == key


def test_a_change_and_a_deletion_reach_the_file(place: Place) -> None:
    for instrument in ("CHANGED", "DELETED"):
        place.apply(instrument)
    for instrument in ("CHANGED", "DELETED"):
        place.wait(instrument, "True", "InForce")
    before = place.rolled()
    place.apply("CHANGED", title="another")
    place.delete("DELETED")
    place.wait("CHANGED", "True", "InForce")
    wait_until(lambda: "DELETED" not in place.tables(), "the file without it", interval=0.3)
    assert place.tables()["CHANGED"]["title"] == "another"
    wait_until(lambda: place.rolled() == digest(place.text()), "the code location rolled", interval=0.3)
    assert place.rolled() != before


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"snapshot_intervall": 3}, 'unknown field "spec.snapshot_intervall"'),
        ({"views": ["tof", "sum"]}, 'spec.views[1]: Unsupported value: "sum"'),
        ({"views": ["tof", "tof"]}, 'spec.views[1]: Duplicate value: "tof"'),
        ({"grace": -1}, "spec.grace: Invalid value: -1: spec.grace in body should be greater than or equal to 0"),
        ({"script": {"folder": "/a", "url": "https://b"}}, "write exactly one of folder, git and url"),
        ({"tof": {"start_us": 9, "stop_us": 9, "bins": 1}}, "stop_us is not greater than start_us"),
        (
            {"banks": [{"name": "a", "shape": [1], "first_detector_id": n} for n in (1, 2)]},
            "two banks have the same name",
        ),
        ({"collectors": {"a-b": {"use": "kafka_logs"}}}, "a collector's name is a letter"),
        ({"banks": None}, "spec.banks: Required value"),
    ],
    ids=str,
)
def test_a_mistake_is_refused_when_it_is_made(place: Place, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(Alert) as refused:
        place.apply("REFUSED", **changes)
    assert text in str(refused.value)


def test_a_name_that_is_no_instruments_is_refused_unless_another_is_given(place: Place) -> None:
    made = make_object("A", make_table())
    made["metadata"]["name"], name = "two-words", made["spec"].pop("name")
    with pytest.raises(Alert, match=r"write spec\.name"):
        place.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    made["spec"]["name"] = name
    place.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(made))


def test_what_the_schema_cannot_say_is_explained_and_harms_no_other(place: Place) -> None:
    place.apply("KEPT", title="good")
    place.wait("KEPT", "True", "InForce")
    place.apply("KEPT", title="bad", tof={"start_us": 0, "stop_us": 100, "bins": 7})
    place.apply("TAKES", topics={"events": "KEPT_events"})
    place.apply("RIGHT")
    place.wait("KEPT", "False", "Invalid")
    place.wait("TAKES", "False", "Conflict")
    place.wait("RIGHT", "True", "InForce")
    assert place.tables()["KEPT"]["title"] == "good"
    status = place.resource("KEPT")["status"]
    assert (status["generationInForce"], status["observedGeneration"]) == (1, 2)
    message = status["conditions"][0]["message"]
    assert message.startswith("spec.tof.bins: 7 bins do not divide 100000 ns")
    assert message.endswith("(generation 1) stays in force.")


def test_a_killed_controller_takes_up_what_happened_without_it(place: Place) -> None:
    for instrument in ("GOES", "STAYS"):
        place.apply(instrument)
    for instrument in ("GOES", "STAYS"):
        place.wait(instrument, "True", "InForce")
    place.kill()
    place.delete("GOES")
    place.apply("STAYS", title="newer")
    place.apply("COMES")
    assert "GOES" in place.tables()
    place.start()
    place.wait("STAYS", "True", "InForce")
    place.wait("COMES", "True", "InForce")
    assert {"STAYS", "COMES"} <= place.tables().keys()
    assert "GOES" not in place.tables()
    assert place.rolled() == digest(place.text())


def test_a_version_that_the_api_server_has_forgotten_is_told_as_such(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(place.folder / "kubeconfig"))
    with pytest.raises(VersionGone):
        list(ClusterApi(place.namespace).watch_resources("1"))


@pytest.mark.parametrize(
    "asked",
    [
        ("get", "secrets"),
        ("create", "pods"),
        ("patch", "configmap/settings"),
        ("delete", "configmap/instruments"),
        ("patch", "deployment/daemon"),
        ("patch", "instruments.runstart.science"),
        ("delete", "instruments.runstart.science"),
    ],
    ids=" ".join,
)
def test_the_controller_may_not(place: Place, asked: tuple[str, str]) -> None:
    account = f"system:serviceaccount:{place.namespace}:{ACCOUNT}"
    with pytest.raises(Alert, match=r"failed: *See"):
        place.kubectl("auth", "can-i", *asked, f"--as={account}")


def test_sigterm_ends_it_and_another_goes_on(place: Place) -> None:
    assert place.process is not None
    place.process.send_signal(signal.SIGTERM)
    assert place.process.wait(20) == 0
    place.start()
    place.apply("LAST")
    place.wait("LAST", "True", "InForce")
