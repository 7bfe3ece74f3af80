"""The images as a node runs them: by a user without rights, on a read-only root, with kernels that are compiled."""

from __future__ import annotations

import json
import mmap
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from waiting import wait_until

import runstart
from runstart.facility.images import (
    CODE_LOCATION_IMAGE,
    OPERATOR_IMAGE,
    build_code_location,
    build_operator_base,
)
from runstart.facility.pip_settings import read_pip_settings

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900)]

IMAGES = {"code-location": CODE_LOCATION_IMAGE, "operator": OPERATOR_IMAGE}
MOST_BYTES = {"code-location": 1_300_000_000, "operator": 650_000_000}
WARMED = {"code-location": "runstart.warming", "operator": "runstart.frame_messages.warming"}
# What a pod tells: one object on its last line.
LOOK = """
import glob, io, json, os, stat, subprocess, sys

def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | more)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout

def is_refused(path):
    try:
        open(path, "w")
    except OSError as error:
        return type(error).__name__ + ": " + error.strerror
    return "written"

def special(top):
    for folder, _, names in os.walk(top):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000:
                yield name

def unpacked(compression):
    import h5py, numpy
    values = numpy.arange(10_000)
    with h5py.File(io.BytesIO(), "w") as file:
        file.create_dataset("x", data=values, chunks=True, compression=compression)
        return bool((file["x"][:] == values).all())

import hdf5plugin
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(),
    "root": is_refused("/opt/runstart/x"),
    "special": sorted(set(special("/usr")) | set(special("/opt"))),
    "kernels": run(sys.executable, "-m", WARMED, NUMBA_DEBUG_CACHE="1"),
    "compilers": glob.glob("/usr/bin/*gcc*") + glob.glob("/usr/bin/strip"),
    "unpacked": [unpacked(one) for one in (hdf5plugin.Blosc2(), hdf5plugin.Bitshuffle(), hdf5plugin.Zstd())],
    "commands": [run(*command) for command in COMMANDS],
}))
"""
COUNT_JOBS = "import definitions; print(len(definitions.defs.resolve_all_job_defs()))"
# What is imported where it is used.
USE_LIBRARIES = """
import astroalign, astropy.visualization, astropy.wcs.utils, astroscrappy, reproject.mosaicking, sep, skimage.transform
import matplotlib.figure, numpy, scipy.ndimage, scipy.spatial, tifffile
import boto3, confluent_kafka.admin, docker, dulwich.repo, epics, kubernetes, psycopg2
from runstart.fits import write_image
write_image("/tmp/image.fits", numpy.zeros((8, 8)))
"""
SERVE = """
import coincurve, httptools, uvloop
from gateway.app import make_app
from gateway.routes import page
print(sorted(each.name for each in page.FOLDER.iterdir()))
"""
COMMANDS = {
    "code-location": [
        ["python", "-c", COUNT_JOBS],
        ["python", "-c", USE_LIBRARIES + "print('used')"],
        ["dagster", "--version"],
        ["dagster-webserver", "--version"],
        ["runstart", "--help"],
        ["runstart", "gateway", "--help"],
        ["python", "-c", SERVE],
    ],
    "operator": [["python", "-m", "pip", "--version"]],
}


@dataclass(frozen=True)
class Archive:
    """An archive's configuration of the image, and the names of its files."""

    config: dict[str, Any]
    files: set[str]

    @classmethod
    def of(cls, path: Path) -> Archive:
        with tarfile.open(path) as archive:

            def read(name: str) -> Any:
                file = archive.extractfile(name)
                assert file is not None
                return json.load(file)

            def blob(described: dict[str, Any]) -> str:
                return f"blobs/sha256/{described['digest'].partition(':')[2]}"

            (listed,) = read("index.json")["manifests"]
            manifest = read(blob(listed))
            files: set[str] = set()
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=archive.extractfile(blob(layer))) as content:
                    files.update(content.getnames())
            return cls(read(blob(manifest["config"])), files)


@pytest.fixture(scope="module")
def archives() -> dict[str, Path]:
    return {"code-location": build_code_location(), "operator": build_operator_base()}


@pytest.fixture(scope="module")
def told(cluster: RunningCluster, archives: dict[str, Path]) -> Iterator[dict[str, dict[str, Any]]]:
    """What a pod of each image has told, both started at once."""
    namespace = f"images-{secrets.token_hex(3)}"
    for archive in archives.values():
        cluster.import_image(archive)
    cluster.kubectl("create", "namespace", namespace)
    try:
        pods = yaml.safe_dump_all(make_pod(name) for name in IMAGES)
        cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=pods)
        yield {name: read_pod(cluster, namespace, name) for name in IMAGES}
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def make_pod(name: str) -> dict[str, Any]:
    look = f"WARMED = {WARMED[name]!r}\nCOMMANDS = {COMMANDS[name]!r}\n{LOOK}"
    container = {
        "name": "look",
        "image": IMAGES[name].removeprefix("docker.io/"),
        "imagePullPolicy": "Never",
        "command": ["python", "-c", look],
        "env": [{"name": "RUNSTART_DEPLOYMENT", "value": "cluster"}],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    specification = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": specification}


def read_pod(cluster: RunningCluster, namespace: str, name: str) -> dict[str, Any]:
    def phase() -> str:
        return cluster.kubectl("get", "pod", name, "-n", namespace, "-o", "jsonpath={.status.phase}")

    wait_until(lambda: phase() in ("Succeeded", "Failed"), f"the end of {name}", timeout=300, interval=0.5)
    log = cluster.kubectl("logs", name, "-n", namespace)
    assert phase() == "Succeeded", log
    answer: dict[str, Any] = json.loads(log.splitlines()[-1])
    return answer


@pytest.mark.parametrize("name", IMAGES)
def test_a_pod_runs_on_a_read_only_root_for_a_user_without_rights(
    told: dict[str, dict[str, Any]], name: str
) -> None:
    answer = told[name]
    assert (answer["user"], answer["group"]) == (10001, 10001)
    assert answer["root"] == "OSError: Read-only file system"


@pytest.mark.parametrize("name", IMAGES)
def test_every_kernel_that_was_warmed_is_loaded_and_none_compiled(
    told: dict[str, dict[str, Any]], name: str
) -> None:
    log = told[name]["kernels"]
    assert log.count("data loaded from") > 5
    assert "saved to" not in log


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_no_compiler_and_no_program_that_gives_rights(
    told: dict[str, dict[str, Any]], name: str
) -> None:
    assert told[name]["compilers"] == []
    assert told[name]["special"] == []


@pytest.mark.parametrize("name", IMAGES)
def test_what_was_stripped_still_works(told: dict[str, dict[str, Any]], name: str) -> None:
    assert told[name]["unpacked"] == [True, True, True]


def test_the_code_location_loads_and_its_programs_and_libraries_are_there(told: dict[str, dict[str, Any]]) -> None:
    jobs, *others = told["code-location"]["commands"]
    assert int(jobs.splitlines()[-1]) > 10
    assert all(others)


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_of_this_machines_pip_is_in_the_image(archives: dict[str, Path], name: str) -> None:
    words = read_pip_settings("/run/secrets/certificates").text.split()
    # Of pip's own index everybody's pip speaks.
    addresses = [word.encode() for word in words if "://" in word and "pypi.org" not in word]
    # Layers are not compressed: this looks at every byte of every file, and at the history.
    with archives[name].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        assert not [address for address in addresses if content.find(address) >= 0]
    left = ("etc/pip.conf", "root/.cache", "root/.config", "run/secrets", "build/")
    assert not [file for file in Archive.of(archives[name]).files if file.startswith(left)]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_stays_small_and_says_what_it_is(archives: dict[str, Path], name: str) -> None:
    assert archives[name].stat().st_size < MOST_BYTES[name]
    archive = Archive.of(archives[name])
    code = {file.removeprefix("opt/runstart/location/").partition("/")[0] for file in archive.files}
    assert "runstart" in code
    assert not code & {"tests", "bench", "docs"}
    labels = archive.config["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == runstart.__version__
    assert labels["org.opencontainers.image.licenses"] == "BSD-3-Clause"
    assert labels["org.opencontainers.image.revision"] in archives[name].name
    assert archive.config["config"]["User"] == "10001:10001"


def test_the_image_of_operators_is_without_dagster(archives: dict[str, Path]) -> None:
    libraries = {file.rpartition("/site-packages/")[2] for file in Archive.of(archives["operator"]).files}
    assert "numba" in libraries
    assert "dagster" not in libraries
