from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.tokens import Caller, Scope, TokenBook
from runstart.cli import app
from runstart.errors import Alert
from runstart.storage import FileStore


def run(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        app, ["gateway", *arguments, "--object-store", f"file:{folder}"], env={"COLUMNS": "200"}
    )


@pytest.mark.parametrize("command", [["gateway"], ["gateway", "token", "new"], ["gateway", "token", "revoke"]])
def test_help_has_examples(command: list[str]) -> None:
    assert " ".join(["runstart", *command]) in CliRunner().invoke(app, [*command, "--help"]).stdout


def test_a_new_token_is_printed_alone_and_opens_what_was_asked_for(tmp_path: Path) -> None:
    done = run(
        tmp_path, "token", "new", "maria", "--scope", "launch", "--reads", "instrument/*", "--reads", "site/ogg"
    )
    assert done.exit_code == 0
    text = done.stdout.strip()
    assert TokenBook(FileStore(tmp_path)).find(text) == Caller("maria", Scope.LAUNCH, ("instrument/*", "site/ogg"))
    assert text not in done.stderr


def test_without_options_a_token_reads_everything_and_changes_nothing(tmp_path: Path) -> None:
    text = run(tmp_path, "token", "new", "portal").stdout.strip()
    assert TokenBook(FileStore(tmp_path)).find(text) == Caller("portal", Scope.READ, ("*",))


def test_tokens_are_listed_and_revoked_without_being_told(tmp_path: Path) -> None:
    text = run(tmp_path, "token", "new", "maria", "--days", "2").stdout.strip()
    (token,) = TokenBook(FileStore(tmp_path)).list()
    listed = run(tmp_path, "token", "list").stdout
    assert token.id in listed
    assert "maria" in listed
    assert text not in listed
    assert run(tmp_path, "token", "revoke", token.id).exit_code == 0
    assert TokenBook(FileStore(tmp_path)).find(text) is None


def test_a_mistake_is_told_in_a_line(tmp_path: Path) -> None:
    for arguments in (
        ("token", "revoke", "0" * 12),
        ("token", "new", "a b"),
        ("token", "new", "x", "--days", "-1"),
    ):
        done = run(tmp_path, *arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith("runstart: ")
        assert "Traceback" not in done.stderr


def test_changes_of_tokens_are_in_the_audit_log(tmp_path: Path) -> None:
    run(tmp_path, "token", "new", "maria")
    (token,) = TokenBook(FileStore(tmp_path)).list()
    run(tmp_path, "token", "revoke", token.id)
    store = FileStore(tmp_path)
    entries = [json.loads(store.get(key).data) for key in store.list("gateway/audit/")]
    assert [(entry["action"], entry["subject"]) for entry in entries] == [
        ("token.new", token.id),
        ("token.revoke", token.id),
    ]


def test_without_what_it_needs_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from runstart.cli.gateway import check_installed

    monkeypatch.setattr("runstart.cli.gateway.find_spec", lambda name: None if name == "fastapi" else object())
    with pytest.raises(Alert, match=r"runstart\[gateway\]"):
        check_installed()
