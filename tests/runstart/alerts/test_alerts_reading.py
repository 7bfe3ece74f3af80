from __future__ import annotations

from pathlib import Path

import pytest

from runstart.alerts import AlertsConfiguration, missing_variables, open_channels, read_alerts
from runstart.errors import Alert

TEXT = """\
link = "https://dagster.example.org/"
remind_after_hours = 2
quiet_hours = { from = "22:00", to = "06:00", time_zone = "Europe/London", except = ["failed_run"] }

[rules]
lag_seconds = 30
gap = false

[instruments.SANS]
lag_seconds = 0

[[webhooks]]
name = "chat"
url_variable = "CHAT_URL"
token_variable = "CHAT_TOKEN"

[email]
host = "smtp.example.org"
username = "me"
password_variable = "SMTP_PASSWORD"
sender = "a@example.org"
recipients = ["b@example.org"]
ca_file = "ca.pem"
"""
REPOSITORY = Path(__file__).parents[3]


def read(tmp_path: Path, text: str, instruments: list[str] | None = None) -> AlertsConfiguration:
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    return read_alerts(file, instruments)


def test_a_file_says_who_is_told_what(tmp_path: Path) -> None:
    configuration = read(tmp_path, TEXT, ["SANS", "LOKI"])
    assert configuration.link == "https://dagster.example.org"
    assert configuration.policy.remind_seconds == 7200
    assert configuration.quiet is not None
    assert configuration.quiet.loud_kinds == {"failed_run"}
    assert configuration.email is not None
    assert configuration.email.port_number == 587
    assert configuration.email.ca_file == tmp_path / "ca.pem"
    assert [channel.name for channel in open_channels(configuration, {})] == ["webhook chat", "e-mail"]


def test_an_instruments_rules_go_before_those_of_all(tmp_path: Path) -> None:
    configuration = read(tmp_path, TEXT)
    assert (configuration.rules_of("SANS").lag_seconds, configuration.rules_of("SANS").gap) == (0, False)
    assert (configuration.rules_of("LOKI").lag_seconds, configuration.rules_of("LOKI").silence_seconds) == (30, 120)


def test_secrets_that_are_not_set_are_named(tmp_path: Path) -> None:
    configuration = read(tmp_path, TEXT)
    assert missing_variables(configuration, {"CHAT_URL": "http://x"}) == ["CHAT_TOKEN", "SMTP_PASSWORD"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("remind_after", "remind_aftr", r"alerts\.toml:2: remind_aftr_hours: .*did you mean 'remind_after_hours'"),
        ("= 2\n", "= 'two'\n", r"alerts\.toml:2: remind_after_hours: 'two' should be"),
        ('"https:', '"', r"alerts\.toml:1: link: .*is no HTTP address"),
        ('"22:00"', '"25:00"', r"alerts\.toml:3: quiet_hours\.from: '25:00' is no time of day"),
        ('"22:00"', '"06:00"', r"alerts\.toml:3: quiet_hours: from and to are both '06:00'"),
        ("London", "Londn", r"alerts\.toml:3: quiet_hours\.time_zone: 'Europe/Londn' is no time zone"),
        ("failed_run", "faild_run", r"alerts\.toml:3: quiet_hours\.except\.0: 'faild_run' should be"),
        ("except", "exept", r"alerts\.toml:3: quiet_hours\.exept: .*did you mean 'except'"),
        ("lag_seconds = 30", "lag_second = 30", r"alerts\.toml:6: rules\.lag_second: .*did you mean 'lag_seconds'"),
        ("lag_seconds = 30", "lag_seconds = -1", r"alerts\.toml:6: rules\.lag_seconds: -1 should be"),
        ("gap = false", "gap = 0", r"alerts\.toml:7: rules\.gap: 0 should be"),
        ("lag_seconds = 0", "lag = 0", r"alerts\.toml:10: instruments\.SANS\.lag: .*known keys|did you mean"),
        ("instruments.SANS", "instruments.SANZ", r"alerts\.toml:9: instruments\.SANZ: .*did you mean 'SANS'"),
        ('name = "chat"\n', "", r"alerts\.toml:12: webhooks\.0\.name: is missing"),
        (
            'url_variable = "CHAT_URL"\n',
            "",
            r"alerts\.toml:12: webhooks\.0: needs exactly one of url and url_variable",
        ),
        (
            'url_variable = "CHAT_URL"',
            'url = "ftp://s3cret"',
            r"alerts\.toml:14: webhooks\.0\.url: is no HTTP address",
        ),
        ('url_variable = "CHAT_URL"', "url = 7", r"alerts\.toml:14: webhooks\.0\.url: is no HTTP address"),
        (
            '"CHAT_TOKEN"',
            '"CHAT TOKEN"',
            r"alerts\.toml:15: webhooks\.0\.token_variable: 'CHAT TOKEN' should match",
        ),
        ('password_variable = "SMTP_PASSWORD"\n', "", r"alerts\.toml:17: email: username and password_variable"),
        ('username = "me"', 'username = "me"\nsecurity = "none"', r"alerts\.toml:17: email: .*password in clear"),
        (
            'username = "me"',
            'username = "me"\nsecurity = "ssl"',
            r"alerts\.toml:20: email\.security: 'ssl' should be",
        ),
        ('["b@example.org"]', "[]", r"alerts\.toml:22: email\.recipients: .*at least 1 item"),
        ('"a@example.org"', '"a@b\\nBcc: c@d"', r"alerts\.toml:21: email\.sender: .*is no mail address"),
        ("[email]", "[mail]", r"alerts\.toml:17: mail: .*did you mean 'email'"),
        ("[email]", "[email", r"alerts\.toml:17: is not TOML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(Alert, match=told) as error:
        read(tmp_path, TEXT.replace(old, new, 1), ["SANS"])
    assert "s3cret" not in str(error.value)


def test_two_webhooks_need_two_names(tmp_path: Path) -> None:
    text = '[[webhooks]]\nname = "a"\nurl = "http://x"\n' * 2
    with pytest.raises(Alert, match=r"alerts\.toml:1: webhooks: two webhooks are named 'a'"):
        read(tmp_path, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"none\.toml: cannot be read"):
        read_alerts(tmp_path / "none.toml")


def test_the_file_that_ships_tells_nobody() -> None:
    configuration = read_alerts(REPOSITORY / "alerts.toml", ["SIMSANS", "SANS2D"])
    assert open_channels(configuration, {}) == []
    assert configuration.rules == AlertsConfiguration().rules


def test_the_file_that_ships_is_right_when_all_of_it_is_in_force(tmp_path: Path) -> None:
    lines = (REPOSITORY / "alerts.toml").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if not line.startswith("# ") or _is_setting(line)]
    configuration = read(tmp_path, "\n".join(settings), ["SIMSANS", "SANS2D"])
    assert len(open_channels(configuration, {})) == 2
    assert configuration.rules_of("SANS2D").lag_seconds == 10
    assert configuration.quiet is not None


def _is_setting(line: str) -> bool:
    text = line.removeprefix("# ")
    return text.startswith("[") or text.split(" ")[1:2] == ["="]
