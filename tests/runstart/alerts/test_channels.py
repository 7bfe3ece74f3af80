from __future__ import annotations

import socket

import pytest
from alert_sinks import PASSWORD, USERNAME, free_port, http_sink, mail_sink

import runstart.alerts.channels
from runstart.alerts import Condition, Notice, Undelivered
from runstart.alerts.channels import MailChannel, WebhookChannel, make_mail, make_payload
from runstart.alerts.configuration import Email, Webhook
from runstart.facility.certificates import Certificates, make_certificates

CONDITION = Condition("lag", "SANS", "run-1", "SANS 1: 70 s behind.", 1_700_000_000.0, "http://ui/runs/7")
NOTICE = Notice(CONDITION, "new")
TOKEN_VARIABLE = {"token_variable": "HOOK_TOKEN"}
OTHER = Notice(Condition("gap", "SANS", "run-2", "ids are missing", 1_700_000_100.0), "over")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def webhook(url: str, environ: dict[str, str] | None = None, **more: str) -> WebhookChannel:
    return WebhookChannel(Webhook(name="chat", url=url, **more), environ or {})


def email(port: int, **more: object) -> Email:
    fields = {"host": "127.0.0.1", "security": "none", "sender": "a@example.org", "recipients": ("b@example.org",)}
    return Email.model_validate(fields | {"port": port} | more)


def test_a_webhook_gets_one_post_with_all_that_is_known() -> None:
    with http_sink() as sink:
        webhook(sink.url).deliver([NOTICE])
    assert sink.bodies == [
        {
            "kind": "lag",
            "instrument": "SANS",
            "run": "run-1",
            "subject": "",
            "text": "SANS 1: 70 s behind.",
            "link": "http://ui/runs/7",
            "state": "new",
            "since": "2023-11-14T22:13:20Z",
        }
    ]


def test_several_notices_are_one_post_that_lists_them() -> None:
    payload = make_payload([NOTICE, OTHER])
    assert payload["kind"] == "several"
    assert payload["instrument"] == "SANS"
    assert payload["text"] == "SANS 1: 70 s behind.\nOver: ids are missing"
    assert payload["since"] == "2023-11-14T22:13:20Z"
    assert payload["notices"] == [NOTICE.as_payload(), OTHER.as_payload()]


@pytest.mark.parametrize(("header", "sent"), [("Authorization", "Bearer s3cret"), ("X-Api-Key", "s3cret")])
def test_address_and_token_come_from_the_environment(header: str, sent: str) -> None:
    with http_sink() as sink:
        declared = Webhook(name="chat", url_variable="HOOK", header=header, **TOKEN_VARIABLE)
        WebhookChannel(declared, {"HOOK": sink.url, "HOOK_TOKEN": "s3cret"}).deliver([NOTICE])
    assert sink.headers[0][header] == sent


@pytest.mark.parametrize("status", [301, 302, 400, 404, 500, 503])
def test_an_answer_other_than_2xx_is_no_delivery_and_is_not_followed(status: int) -> None:
    with http_sink([status]) as sink:
        with pytest.raises(Undelivered, match=f"HTTP status {status}"):
            webhook(sink.url).deliver([NOTICE])
        assert sink.bodies == []


def test_a_webhook_that_is_gone_is_told_without_its_address() -> None:
    with pytest.raises(Undelivered) as told:
        webhook(f"http://127.0.0.1:{free_port()}/secret").deliver([NOTICE])
    assert "does not answer" in str(told.value)
    assert "secret" not in repr(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


def test_a_webhook_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runstart.alerts.channels, "TIMEOUT_SECONDS", 0.2)
    with http_sink() as sink:
        sink.hang.set()
        with pytest.raises(Undelivered, match="ReadTimeout"):
            webhook(sink.url).deliver([NOTICE])


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "HOOK is not set"),
        ({"HOOK": "ftp://x"}, "HOOK holds no HTTP address"),
        ({"HOOK": ""}, "HOOK is not set"),
    ],
)
def test_a_missing_secret_is_told_by_its_variable(environ: dict[str, str], told: str) -> None:
    with pytest.raises(Undelivered, match=told):
        WebhookChannel(Webhook(name="chat", url_variable="HOOK"), environ).deliver([NOTICE])


def test_a_token_that_cannot_be_a_header_is_told_without_it() -> None:
    with http_sink() as sink, pytest.raises(Undelivered) as told:
        webhook(sink.url, {"HOOK_TOKEN": "s3cret\r\nX: y"}, **TOKEN_VARIABLE).deliver([NOTICE])
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_mail_reaches_its_recipients_with_login_and_encryption(certificates: Certificates, security: str) -> None:
    certificate = None if security == "none" else certificates.server_file
    login = {"username": USERNAME, "password_variable": "PASSWORD", "ca_file": certificates.ca_file}
    with mail_sink(security, certificate, login=True) as sink:
        people = ("b@example.org", "c@example.org")
        declared = email(sink.port, security=security, recipients=people, **login)
        assert MailChannel(declared, {"PASSWORD": PASSWORD}).deliver([NOTICE, OTHER]) == []
    [(recipients, mail)] = sink.mails
    assert recipients == ["b@example.org", "c@example.org"]
    assert sink.logins == 1
    text = mail.get_payload()
    for part in ("SANS 1: 70 s behind.", "http://ui/runs/7", "Over: ids are missing", "2023-11-14T22:13:20Z"):
        assert part in text


def test_a_wrong_password_is_told_without_it(certificates: Certificates) -> None:
    with mail_sink("starttls", certificates.server_file, login=True) as sink:
        more = {"security": "starttls", "username": USERNAME, "password_variable": "PASSWORD"}
        declared = email(sink.port, ca_file=certificates.ca_file, **more)
        with pytest.raises(Undelivered, match="refuses user name or password") as told:
            MailChannel(declared, {"PASSWORD": "wr0ng"}).deliver([NOTICE])
        assert "wr0ng" not in str(told.value)
        assert sink.mails == []


def test_a_server_that_nobody_vouches_for_gets_nothing(certificates: Certificates) -> None:
    with mail_sink("starttls", certificates.server_file) as sink:
        with pytest.raises(Undelivered, match="SSLCertVerificationError"):
            MailChannel(email(sink.port, security="starttls"), {}).deliver([NOTICE])
        assert sink.mails == []


def test_a_server_without_encryption_gets_nothing_if_encryption_is_asked_for() -> None:
    with mail_sink() as sink:
        with pytest.raises(Undelivered, match="STARTTLS"):
            MailChannel(email(sink.port, security="starttls"), {}).deliver([NOTICE])
        assert sink.mails == []


def test_one_refused_recipient_costs_the_others_nothing() -> None:
    with mail_sink() as sink:
        sink.refused.add("b@example.org")
        declared = email(sink.port, recipients=("b@example.org", "c@example.org"))
        [remark] = MailChannel(declared, {}).deliver([NOTICE])
    assert "b@example.org: 550 no such person" in remark
    assert sink.mails[0][0] == ["c@example.org"]


def test_a_mail_that_all_refuse_is_no_delivery() -> None:
    with mail_sink() as sink:
        sink.refused.add("b@example.org")
        with pytest.raises(Undelivered, match="550 no such person"):
            MailChannel(email(sink.port), {}).deliver([NOTICE])


def test_a_mail_server_that_is_gone_or_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runstart.alerts.channels, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(Undelivered, match="ConnectionRefusedError"):
        MailChannel(email(free_port()), {}).deliver([NOTICE])
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Undelivered, match="cannot be sent"):
        MailChannel(email(silent.getsockname()[1]), {}).deliver([NOTICE])


@pytest.mark.parametrize(
    "text",
    ["x\r\nBcc: evil@example.org", "x\nBcc: evil@example.org\n\nbody", "\u2028Bcc: e\x00\x85", "\udcff.\n.\r\n"],
)
def test_a_name_from_outside_adds_no_header_and_ends_no_mail(text: str) -> None:
    nasty = Notice(Condition("lag", text, text, f"{text} end", 1.0, text), "new")
    with mail_sink() as sink:
        MailChannel(email(sink.port), {}).deliver([nasty])
    [(recipients, mail)] = sink.mails
    assert recipients == ["b@example.org"]
    assert mail["Bcc"] is None
    assert set(mail.keys()) >= {"Subject", "From", "To", "Date", "Message-ID"}
    assert " end" in str(mail.get_payload(decode=True))
    assert len(make_mail(email(1), [nasty]).as_string().splitlines()) < 25


def test_no_secret_is_in_what_a_channel_shows_of_itself() -> None:
    declared = Webhook(name="chat", url="http://host/hooks/s3cret")
    assert "s3cret" not in repr(declared)
    assert "s3cret" not in repr(webhook("http://host/hooks/s3cret"))
