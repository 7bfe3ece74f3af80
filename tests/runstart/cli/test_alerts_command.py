from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alert_sinks import free_port, http_sink, mail_sink
from typer.testing import CliRunner

from runstart.cli._errors import AlertGroup
from runstart.cli.alerts import alerts_app

WEBHOOK = """
[instruments.SANS]
lag_seconds = 7

[[webhooks]]
name = "chat"
url_variable = "CHAT_URL"
"""
MAIL = """
[email]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "a@example.org"
recipients = ["b@example.org"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("RUNSTART_ALERTS", raising=False)
    monkeypatch.delenv("CHAT_URL", raising=False)
    return tmp_path / "alerts.toml"


def run(*arguments: str) -> Any:
    alerts_app.info.cls = AlertGroup  # as below the `runstart` command
    return CliRunner().invoke(alerts_app, list(arguments))


@pytest.mark.parametrize("command", ["check", "test"])
def test_help_has_examples(command: str) -> None:
    text = run(command, "--help").stdout
    assert text.count(f"runstart alerts {command}") >= 2


def test_checking_shows_the_rules_and_who_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", "http://127.0.0.1:1/s3cret")
    file.write_text('quiet_hours = { from = "22:00", to = "06:00", except = ["gap"] }\n' + WEBHOOK)
    result = run("check")
    assert result.exit_code == 0, result.output
    for text in ("above 60 s", "above 7 s", "SANS", "Quiet from 22:00 to 06:00 (UTC), except gap.", "webhook chat"):
        assert text in result.stdout
    assert "s3cret" not in result.output


def test_a_file_that_tells_nobody_says_so(file: Path) -> None:
    file.write_text("")
    assert "Nobody is told" in run("check").stdout
    result = run("test")
    assert result.exit_code == 1
    assert "names no webhook and no e-mail" in result.stderr


def test_a_secret_that_is_not_set_is_told(file: Path) -> None:
    file.write_text(WEBHOOK)
    result = run("check")
    assert result.exit_code == 1
    assert "Not set in the environment: CHAT_URL." in result.stderr


def test_a_mistake_is_one_line_on_standard_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = file.with_name("other.toml")
    other.write_text("[rules]\nlags = 1\n")
    monkeypatch.setenv("RUNSTART_ALERTS", str(other))
    result = run("check")
    assert result.exit_code == 1
    assert "other.toml:2: rules.lags: " in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_test_reaches_every_channel(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_sink() as sink, mail_sink() as mails:
        monkeypatch.setenv("CHAT_URL", sink.url)
        file.write_text(WEBHOOK + MAIL.format(port=mails.port))
        result = run("test")
    assert result.exit_code == 0, result.output
    assert result.stdout == "webhook chat: delivered.\ne-mail: delivered.\n"
    assert sink.bodies[0]["kind"] == "test"
    assert len(mails.mails) == 1


def test_a_channel_that_fails_is_told_and_the_others_are_tried(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_sink() as mails:
        monkeypatch.setenv("CHAT_URL", f"http://127.0.0.1:{free_port()}/s3cret")
        file.write_text(WEBHOOK + MAIL.format(port=mails.port))
        result = run("test")
    assert result.exit_code == 1
    assert "webhook chat: not delivered: it does not answer" in result.stdout
    assert "e-mail: delivered." in result.stdout
    assert "1 of 2 channels did not deliver" in result.stderr
    assert "s3cret" not in result.output
