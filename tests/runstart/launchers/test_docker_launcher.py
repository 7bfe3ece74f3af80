"""What is special about containers, without an engine or with one that fails; real ones are in `test_containers.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, fake_engine

from runstart.errors import Alert, Transient
from runstart.launchers import DockerLauncher, LaunchSpec, Limits, Mount
from runstart.launchers._containers import State, choose_user, exec_trouble
from runstart.launchers.failures import EngineUnreachable, ImageNotFound, PullFailed, StartFailed

IMAGE = "ghcr.io/nersc/op:1"
SPEC = LaunchSpec(("/bin/true",), "op", image=IMAGE)


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with fake_engine() as engine:
        engine.answers["/info"] = (200, [{"NCPU": 4}])
        yield engine


@pytest.fixture
def launcher(engine: FakeEngine) -> DockerLauncher:
    return DockerLauncher({"DOCKER_HOST": engine.url})


@pytest.mark.parametrize(
    "said",
    [
        "manifest unknown",
        "reading manifest 1 in ghcr.io/nersc/op: denied",
        "pull access denied for op, repository does not exist or may require 'docker login'",
        "unable to retrieve auth token: invalid username/password: unauthorized: authentication required",
        "requested access to the resource is denied",
    ],
)
@pytest.mark.parametrize("is_in_stream", [True, False])
def test_image_that_a_registry_does_not_give_is_not_found(
    engine: FakeEngine, launcher: DockerLauncher, said: str, *, is_in_stream: bool
) -> None:
    lines = [{"status": "Pulling"}, {"error": said}]
    engine.answers["/images/create"] = (200, lines) if is_in_stream else (404, [{"message": said}])
    for attempt in (lambda: launcher.fetch_image(IMAGE), lambda: launcher.start(SPEC)):
        with pytest.raises(ImageNotFound, match=f"{IMAGE}.*{said}"):
            attempt()


@pytest.mark.parametrize(
    "said",
    [
        "dial tcp: lookup ghcr.io: no such host",
        "Get https://ghcr.io/v2/: net/http: TLS handshake timeout",
        "dial tcp 10.0.0.1:443: connect: no route to host",
        "toomanyrequests: You have reached your pull rate limit",
        "received unexpected HTTP status: 503 Service Unavailable",
    ],
)
@pytest.mark.parametrize("is_in_stream", [True, False])
def test_trouble_on_the_way_to_a_registry_passes(
    engine: FakeEngine, launcher: DockerLauncher, said: str, *, is_in_stream: bool
) -> None:
    engine.answers["/images/create"] = (200, [{"error": said}]) if is_in_stream else (500, [{"message": said}])
    for attempt in (lambda: launcher.fetch_image(IMAGE), lambda: launcher.start(SPEC)):
        with pytest.raises(PullFailed, match=IMAGE):
            attempt()


def test_image_that_is_here_is_not_pulled(engine: FakeEngine, launcher: DockerLauncher) -> None:
    engine.answers["/json"] = (200, [{"Id": "1"}])
    launcher.fetch_image(IMAGE)
    assert not [request for request in engine.asked if "create" in request]


def test_image_that_would_be_of_this_machine_is_never_pulled(engine: FakeEngine, launcher: DockerLauncher) -> None:
    with pytest.raises(ImageNotFound, match="was not built here"):
        launcher.fetch_image("localhost/op")
    assert not [request for request in engine.asked if "create" in request]


def test_what_may_have_been_made_in_vain_is_removed(engine: FakeEngine, launcher: DockerLauncher) -> None:
    engine.answers["/containers/create"] = (201, [{"Id": "abc"}])
    engine.answers["/start"] = (500, [{"message": "no space left on device"}])
    with pytest.raises(StartFailed, match="no space left on device"):
        launcher.start(SPEC)
    name = engine.asked[-1].partition("/containers/")[2].partition("/")[0]
    assert name.startswith("runstart-op-")
    assert engine.asked[-1].startswith(f"POST /v1.41/containers/{name}/kill")


@pytest.mark.parametrize(("status", "kind"), [(500, Transient), (400, Alert), (503, EngineUnreachable)])
def test_troubles_of_an_engine_are_named(
    engine: FakeEngine, launcher: DockerLauncher, status: int, kind: type[Exception]
) -> None:
    engine.answers["/containers/json"] = (status, [{"message": "it is upside down"}])
    with pytest.raises(kind, match="it is upside down"):
        launcher.list({})


def test_engine_that_is_gone_is_unreachable_for_every_call() -> None:
    launcher = DockerLauncher({"DOCKER_HOST": "unix:///no/such/socket"})
    for attempt in (
        lambda: launcher.start(SPEC),
        lambda: launcher.list({}),
        lambda: launcher.list_networks({}),
        lambda: launcher.make_network("network", {}),
        lambda: launcher.remove_network("network"),
        lambda: launcher.fetch_image(IMAGE),
    ):
        with pytest.raises(EngineUnreachable, match="unix:///no/such/socket"):
            attempt()


def test_limit_that_the_engine_cannot_hold_is_an_error(engine: FakeEngine, launcher: DockerLauncher) -> None:
    engine.answers["/info"] = (200, [{"NCPU": 4, "MemoryLimit": False}])
    spec = LaunchSpec(("/bin/true",), "op", image=IMAGE, limits=Limits(memory_bytes=1 << 30))
    with pytest.raises(Alert, match="op has a limit of memory"):
        launcher.start(spec)


def test_task_without_image_cannot_be_run(launcher: DockerLauncher) -> None:
    with pytest.raises(Alert, match="op has no image"):
        launcher.start(LaunchSpec(("/bin/true",), "op", image_optional=True))


@pytest.mark.parametrize("name", ["a,source=", 'a"', "a\n"])
def test_path_that_would_say_other_things_is_refused(launcher: DockerLauncher, tmp_path: Path, name: str) -> None:
    (tmp_path / name / "etc").mkdir(parents=True)
    spec = LaunchSpec(("/bin/true",), "op", image=IMAGE, mounts=(Mount(tmp_path / name / "etc", "/mnt"),))
    with pytest.raises(Alert, match="cannot be shown to a container"):
        launcher.start(spec)


def test_path_that_does_not_exist_is_not_made(launcher: DockerLauncher, tmp_path: Path) -> None:
    spec = LaunchSpec(("/bin/true",), "op", image=IMAGE, mounts=(Mount(tmp_path / "none", "/mnt"),))
    with pytest.raises(Alert, match="none does not exist"):
        launcher.start(spec)


@pytest.mark.parametrize(
    ("options", "uid", "user"),
    [
        (["name=seccomp,profile=default"], 0, "65534:65534"),
        (["name=seccomp,profile=default"], 1000, "1000:100"),
        (["name=seccomp,profile=default", "name=rootless"], 1000, "0:0"),
        (None, 0, "65534:65534"),
    ],
)
def test_user_is_never_the_superuser_of_this_machine(options: Any, uid: int, user: str) -> None:
    assert choose_user({"SecurityOptions": options}, uid, 100 if uid else 0) == user


@pytest.mark.parametrize(
    ("code", "printed", "why"),
    [
        (1, "ERROR (catatonit:6): failed to exec pid1: No such file or directory\n", "No such file or directory"),
        (127, "[FATAL tini (7)] exec /op failed: No such file or directory\n", "No such file or directory"),
        (126, "[FATAL tini (7)] exec /op failed: Permission denied\n", "Permission denied"),
        (1, "something else\n", ""),
        (2, "ERROR (catatonit:6): failed to exec pid1: No such file or directory\n", ""),
        (1, "hello\nERROR (catatonit:6): failed to exec pid1: No such file\n", ""),
    ],
)
def test_program_that_never_ran_is_told_from_one_that_failed(code: int, printed: str, why: str) -> None:
    state = State(is_ended=True, exit_code=code, seconds=0.1, memory_ran_out=False, program="/op")
    assert exec_trouble(state, printed) == (f"/op: {why}" if why else "")
