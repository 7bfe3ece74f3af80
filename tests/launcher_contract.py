"""What every launcher has to do, whatever runs its tasks: the same tests on processes, on Podman, on a cluster.

A module of tests subclasses `LauncherContract` and offers a fixture `bench`: a `Bench` made for its launcher. Tasks are
snippets of Python; the bench knows how its launcher comes to a Python.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from launcher_bench import (
    HANDLES,
    IGNORES,
    PATIENCE_S,
    SLEEPS,
    Bench,
    end_of,
    failure,
    label,
    run,
    run_to_failure,
    started,
    wait_for_words,
)

from runstart.errors import Alert
from runstart.launchers import Limits, Mount
from runstart.launchers import failures as names

__all__ = ["Bench", "ImageContract", "LauncherContract", "NetworkContract"]

MEMORY_BYTES = 150_000_000


class LauncherContract:
    """The tests of one task; `NetworkContract` and `ImageContract` are for launchers that have those."""

    def test_task_has_the_environment_of_its_specification_and_no_other(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET", "hidden")
        text = "import os; print(repr(dict(os.environ)))"
        given = {"A": "1", "B": "two words; $(touch x) \"quoted\" 'single' \\ é", "EMPTY": ""}
        ended, said = run(bench, text, environment=given)
        seen = eval(said, {}, {})  # noqa: S307 - printed by the line above

        assert ended.exit_code == 0
        assert {name: value for name, value in seen.items() if name not in bench.added_environment} == given

    def test_arguments_reach_the_task_as_they_are_and_never_a_shell(self, bench: Bench) -> None:
        arguments = ("$(touch x)", '"quotes"', "; exit 3", "a b", "*", "`id`", "", "-x", "new\nline", "é", "$HOME")
        ended, said = run(bench, "import sys; print(repr(tuple(sys.argv[1:])))", *arguments)

        assert (ended.exit_code, said.strip()) == (0, repr(arguments))

    def test_mounts_are_read_only_unless_they_are_writable(self, bench: Bench, tmp_path: Path) -> None:
        if bench.launcher.isolation == "fault isolation only":
            pytest.skip("this system confines nothing")
        for name in ("in", "out"):
            (tmp_path / name).mkdir(mode=0o777)
            (tmp_path / name).chmod(0o777)
            (tmp_path / name / "file").write_text(name)
        mounts = (Mount(tmp_path / "in", "/mounts/in"), Mount(tmp_path / "out", "/mounts/out", writable=True))
        text = """
import sys
for folder in sys.argv[1:]:
    print(open(folder + "/file").read())
    try:
        open(folder + "/new", "w").write("new")
    except OSError:
        print("closed")
"""
        seen = [bench.launcher.seen_at(mount, in_image=bench.has_image) for mount in mounts]
        ended, said = run(bench, text, *seen, mounts=mounts, confined=True)

        assert (ended.exit_code, said.split()) == (0, ["in", "closed", "out"])
        assert not (tmp_path / "in" / "new").exists()
        assert (tmp_path / "out" / "new").read_text() == "new"

    def test_wait_gives_up_and_logs_are_there_while_the_task_runs(self, bench: Bench) -> None:
        with started(bench, "import sys, time; print('here', flush=True); time.sleep(1000)") as task:
            wait_for_words(bench, task, "here")
            began = time.monotonic()

            assert bench.launcher.wait(task, 0.2) is None
            assert 0.1 < time.monotonic() - began < 20

    def test_logs_are_the_last_64_kilobytes_of_both_outputs(self, bench: Bench) -> None:
        text = """
import signal, sys, time
def leave(*_):
    print("error's end", file=sys.stderr)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
for number in range(20_000):
    print("line", number)
print("the end", flush=True)
time.sleep(1000)
"""
        with started(bench, text) as task:
            # What is printed to one output may overtake what is on its way through the other.
            wait_for_words(bench, task, "the end")
            bench.launcher.stop(task, PATIENCE_S)
            end_of(bench, task)
            said = bench.launcher.logs(task)

        assert 32 * 1024 < len(said.encode()) <= 64 * 1024
        assert said.endswith("line 19999\nthe end\nerror's end\n")

    @pytest.mark.parametrize("code", [0, 7, 255])
    def test_exit_code_is_told(self, bench: Bench, code: int) -> None:
        ended, _ = run(bench, f"raise SystemExit({code})")

        assert (ended.reason, ended.exit_code) == ("exit", code)

    def test_failure_holds_the_exit_code_and_the_last_lines(self, bench: Bench) -> None:
        text = "import sys; print('\\x1b[31mred\\x1b[0m\\x07', file=sys.stderr); raise SystemExit('no such reflection')"
        with started(bench, text) as task:
            found = failure(bench, task)

        assert isinstance(found, names.ExitFailed)
        assert found.exit_code == 1
        assert str(found).endswith("\n  red\n  no such reflection")

    def test_task_that_did_what_it_should_has_no_failure(self, bench: Bench) -> None:
        with started(bench, "print('done')") as task:
            assert failure(bench, task) is None

    def test_program_that_does_not_exist_is_a_failed_start(self, bench: Bench) -> None:
        with pytest.raises(names.StartFailed, match="/no/such/program"):
            run_to_failure(bench, replace(bench.spec(""), command=("/no/such/program",)))

    def test_task_over_its_memory_is_ended_and_named(self, bench: Bench) -> None:
        text = """
import time
kept = []
while True:
    kept.append(b"x" * 5_000_000)
    time.sleep(0.01)
"""
        with started(bench, text, limits=Limits(memory_bytes=MEMORY_BYTES)) as task:
            assert end_of(bench, task).reason == "memory"
            assert isinstance(failure(bench, task), names.OutOfMemory)

    def test_task_over_its_time_is_ended_and_named(self, bench: Bench) -> None:
        with started(bench, SLEEPS, limits=Limits(seconds=1.5)) as task:
            ended = end_of(bench, task)

            assert ended.reason == "time"
            assert 1.5 <= ended.seconds < 30
            assert isinstance(failure(bench, task), names.TimedOut)

    def test_task_gets_no_more_processors_than_its_limit(self, bench: Bench) -> None:
        text = """
import os, time
began = time.monotonic()
for _ in range(2):
    if os.fork() == 0:
        while time.monotonic() - began < 1.5: pass
        os._exit(0)
for _ in range(2): os.wait()
used = os.times()
print((used.children_user + used.children_system) / (time.monotonic() - began))
"""
        ended, said = run(bench, text, limits=Limits(cpus=1.0))

        assert ended.exit_code == 0
        assert 0 < float(said) < 1.3

    def test_stopped_task_has_its_grace_to_leave(self, bench: Bench) -> None:
        with started(bench, HANDLES) as task:
            wait_for_words(bench, task, "up")
            began = time.monotonic()
            bench.launcher.stop(task, PATIENCE_S)
            ended = end_of(bench, task)

            assert (ended.reason, ended.exit_code) == ("stopped", 0)
            assert "leaving" in bench.launcher.logs(task)
            assert time.monotonic() - began < PATIENCE_S / 2
            assert isinstance(failure(bench, task), names.Stopped)

    def test_task_that_ignores_the_wish_is_killed_after_its_grace(self, bench: Bench) -> None:
        with started(bench, IGNORES) as task:
            wait_for_words(bench, task, "up")
            began = time.monotonic()
            bench.launcher.stop(task, 1.0)
            took = time.monotonic() - began

            assert end_of(bench, task).reason == "stopped"
            assert 1.0 <= took < 1.0 + bench.starts_s

    def test_task_stopped_without_grace_is_killed_at_once(self, bench: Bench) -> None:
        with started(bench, HANDLES) as task:
            wait_for_words(bench, task, "up")
            began = time.monotonic()
            bench.launcher.stop(task)

            assert end_of(bench, task).reason == "stopped"
            assert time.monotonic() - began < bench.least_grace_s + bench.starts_s
            assert bench.least_grace_s > 0.0 or "leaving" not in bench.launcher.logs(task)

    def test_stopping_what_has_ended_changes_nothing(self, bench: Bench) -> None:
        with started(bench, "print('done')") as task:
            before = end_of(bench, task)
            bench.launcher.stop(task, 1.0)

            assert end_of(bench, task) == before
            assert "done" in bench.launcher.logs(task)

    def test_running_task_can_be_removed_and_removed_again(self, bench: Bench) -> None:
        with started(bench, SLEEPS) as task:
            wait_for_words(bench, task, "up")
            bench.launcher.remove(task)
            bench.launcher.remove(task)

            assert bench.left() == []

    def test_tasks_are_listed_by_all_of_their_labels(self, bench: Bench) -> None:
        both, other = label(), {"runstart.part": "2"}
        began = time.time()
        with (
            started(bench, SLEEPS, labels=both | other) as first,
            started(bench, SLEEPS, labels=both) as second,
            started(bench, SLEEPS) as third,
        ):
            for task in (first, second, third):
                wait_for_words(bench, task, "up")
            listed = bench.launcher.list(both)

            assert {one.task for one in listed} == {first, second}
            assert [one.task for one in bench.launcher.list(both | other)] == [first]
            assert third in [one.task for one in bench.launcher.list({})]
            assert all(one.is_running and began - 2 < one.started_at < time.time() + 2 for one in listed)
            assert {one.task: dict(one.labels).get("runstart.part") for one in listed} == {first: "2", second: None}
        assert list(bench.launcher.list(both)) == []

    def test_ended_task_is_not_listed_as_running(self, bench: Bench) -> None:
        mine = label()
        with started(bench, "pass", labels=mine) as task:
            end_of(bench, task)

            assert not any(one.is_running for one in bench.launcher.list(mine))

    def test_other_process_lists_the_task_as_it_is(self, bench: Bench) -> None:
        mine = label()
        with started(bench, SLEEPS, labels=mine) as task:
            wait_for_words(bench, task, "up")
            said = bench.elsewhere(f"for one in launcher.list({mine!r}): print(one.task, one.is_running)")

            assert said.strip() == f"{task} True"

    def test_task_stopped_by_another_process_has_its_grace(self, bench: Bench) -> None:
        mine = label()
        with started(bench, HANDLES, labels=mine) as task:
            wait_for_words(bench, task, "up")
            bench.elsewhere(f"for one in launcher.list({mine!r}): launcher.stop(one.task, {PATIENCE_S / 2})")

            assert end_of(bench, task).reason in ("stopped", "lost", "exit")
            assert not any(one.is_running for one in bench.launcher.list(mine))
            assert "leaving" in bench.launcher.logs(task)

    def test_task_removed_by_another_process_is_lost(self, bench: Bench) -> None:
        mine = label()
        with started(bench, HANDLES, labels=mine) as task:
            wait_for_words(bench, task, "up")
            bench.elsewhere(
                f"for one in launcher.list({mine!r}): launcher.remove(one.task); launcher.remove(one.task)"
            )

            assert list(bench.launcher.list(mine)) == []
            assert end_of(bench, task).reason == "lost"
            assert isinstance(failure(bench, task), names.DeletedFromOutside)


class NetworkContract:
    """The tests of networks, for launchers that have them."""

    SERVES = """
import socket
with socket.create_server(("0.0.0.0", 5000)) as server:
    print("up", flush=True)
    while True:
        server.accept()[0].close()
"""
    REACHES = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 5000), 3).close()
    print("reached")
except OSError as problem:
    print("cut off:", problem)
"""

    @pytest.fixture
    def networks(self, bench: Bench) -> Iterator[tuple[str, str]]:
        """Two networks with the same labels."""
        both = (f"runstart-test-{uuid4().hex[:12]}", f"runstart-test-{uuid4().hex[:12]}")
        try:
            for name in both:
                bench.launcher.make_network(name, {"runstart.test": both[0]})
            yield both
        finally:
            for name in both:
                bench.launcher.remove_network(name)
                bench.launcher.remove_network(name)

    def test_task_is_reached_by_its_alias_on_its_network_only(
        self, bench: Bench, networks: tuple[str, str]
    ) -> None:
        mine, other = networks
        with started(bench, self.SERVES, network=mine, network_alias="detector") as server:
            wait_for_words(bench, server, "up")
            for network, word in ((mine, "reached"), (other, "cut off"), (None, "cut off")):
                _, said = run(bench, self.REACHES, "detector", network=network)
                assert said.startswith(word), f"on {network}: {said}"

    def test_task_without_network_has_only_itself(self, bench: Bench) -> None:
        text = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
        _, said = run(bench, text)

        assert said.strip() == "['lo']"

    def test_networks_are_listed_by_their_labels_by_every_process(
        self, bench: Bench, networks: tuple[str, str]
    ) -> None:
        labels = {"runstart.test": networks[0]}

        assert {one.name for one in bench.launcher.list_networks(labels)} == set(networks)
        assert all(labels.items() <= one.labels.items() for one in bench.launcher.list_networks(labels))
        assert list(bench.launcher.list_networks(label())) == []
        said = bench.elsewhere(f"for one in launcher.list_networks({labels!r}): print(one.name)")
        assert set(said.split()) == set(networks)

    def test_name_of_a_network_is_given_once(self, bench: Bench, networks: tuple[str, str]) -> None:
        with pytest.raises(Alert, match=networks[0]):
            bench.launcher.make_network(networks[0], {})

    def test_network_that_does_not_exist_is_a_failed_start(self, bench: Bench) -> None:
        with pytest.raises(names.StartFailed, match="no-such-network"):
            bench.launcher.start(bench.spec(SLEEPS, network="no-such-network"))


class ImageContract:
    """The tests of images, for launchers that run them."""

    def test_image_that_is_nowhere_is_named(self, bench: Bench) -> None:
        for attempt in (
            lambda: bench.launcher.fetch_image(bench.missing_image),
            lambda: run_to_failure(bench, replace(bench.spec(""), image=bench.missing_image)),
        ):
            with pytest.raises((names.ImageNotFound, names.PullFailed), match=bench.missing_image):
                attempt()

    def test_forbidden_image_is_never_run(self, bench: Bench) -> None:
        if not bench.forbidden_image:
            pytest.skip("every image is allowed here")
        for attempt in (
            lambda: bench.launcher.fetch_image(bench.forbidden_image),
            lambda: bench.launcher.start(replace(bench.spec(""), image=bench.forbidden_image)),
        ):
            with pytest.raises(names.ImageForbidden, match=bench.forbidden_image):
                attempt()

    def test_image_that_is_here_needs_no_fetching(self, bench: Bench) -> None:
        image = bench.spec("").image
        assert image is not None
        bench.launcher.fetch_image(image)
