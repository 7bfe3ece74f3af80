from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runstart.instruments.script import Script
from runstart.scripts import FetchedScript, ScriptKeeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[ScriptKeeper]:
    kept = ScriptKeeper(Script(folder=str(tmp_path), refresh=0.1), {})
    yield kept
    kept.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def text_of(keeper: ScriptKeeper) -> bytes | None:
    return None if keeper.current is None else keeper.current.text


def test_changed_script_is_taken_and_the_last_good_one_kept(keeper: ScriptKeeper, tmp_path: Path) -> None:
    script = tmp_path / "reduce.py"
    keeper.start()
    assert keeper.wait(60)
    assert keeper.current is None
    assert keeper.trouble is not None

    script.write_text("one")
    wait_until(lambda: text_of(keeper) == b"one")
    wait_until(lambda: keeper.trouble is None)
    assert keeper.changes == 1

    script.write_text("two")
    wait_until(lambda: text_of(keeper) == b"two")
    assert keeper.changes == 2

    script.unlink()
    wait_until(lambda: keeper.trouble is not None)
    assert text_of(keeper) == b"two"
    assert keeper.changes == 2


def test_source_that_hangs_is_trouble(keeper: ScriptKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.scripts.keeper._HANGING_S", 0.0)
    monkeypatch.setattr("runstart.scripts.keeper.fetch", lambda *_: time.sleep(0.5))
    keeper.start()

    wait_until(lambda: "has not answered" in (keeper.trouble or ""))


def test_look_that_hangs_is_left_behind_and_the_next_one_taken(
    keeper: ScriptKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    looks: list[threading.Thread] = []
    troubles: list[str | None] = []

    def hang_once(*_: object) -> FetchedScript:
        looks.append(threading.current_thread())
        if len(looks) > 1:
            troubles.append(keeper.trouble)
            return FetchedScript(b"new", "new", "")
        release.wait(60)
        return FetchedScript(b"late", "late", "")

    monkeypatch.setattr("runstart.scripts.keeper._HANGING_S", 1.0)
    monkeypatch.setattr("runstart.scripts.keeper.fetch", hang_once)
    keeper.start()
    wait_until(lambda: text_of(keeper) == b"new" and keeper.trouble is None)
    release.set()
    looks[0].join(60)

    assert troubles[0] == "The script's source has not answered for more than 1 s."
    assert (text_of(keeper), keeper.changes) == (b"new", 1), "what came late is not taken"


def test_looks_that_hang_are_few(keeper: ScriptKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    looks: list[threading.Thread] = []

    def hang(*_: object) -> None:
        looks.append(threading.current_thread())
        release.wait(60)

    monkeypatch.setattr("runstart.scripts.keeper._HANGING_S", 0.0)
    monkeypatch.setattr("runstart.scripts.keeper.fetch", hang)
    keeper.start()
    wait_until(lambda: len(looks) == 3)
    time.sleep(0.5)
    keeper.stop()
    release.set()
    for look in looks:
        look.join(60)

    assert len(looks) == 3


def test_bug_in_fetching_is_trouble_without_its_text(keeper: ScriptKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("runstart.scripts.keeper.fetch", fail)
    keeper.start()
    assert keeper.wait(60)

    assert keeper.trouble == "Fetching the script failed: ZeroDivisionError"


def test_keeper_starts_once(keeper: ScriptKeeper) -> None:
    keeper.start()
    with pytest.raises(RuntimeError):
        keeper.start()
