"""Delivers notices: a webhook gets JSON by POST, people get plain mail.

A delivery either happened as a whole or raises `Undelivered`, whose text holds neither address nor token of a
webhook. Secrets are read from the environment when they are needed and kept nowhere. No redirect is followed, since
it would carry the token elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from runstart.alerts.conditions import Notice, one_line, tell_time
from runstart.alerts.configuration import AlertsConfiguration, Email, Webhook, is_http_address

if TYPE_CHECKING:
    import smtplib
    import ssl
    from email.message import EmailMessage

TIMEOUT_SECONDS = 5.0  # for each answer of the other side
MOST_IN_SUBJECT = 120  # characters


class Undelivered(Exception):
    """A delivery that did not happen; the text says why and holds no secret."""


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """Unique among the channels, and the same from tick to tick."""

    def deliver(self, notices: Sequence[Notice]) -> list[str]:
        """Deliver notices, at least one.

        Returns
        -------
        list of str
            What should be known about a delivery that happened.

        Raises
        ------
        Undelivered
            If nothing was delivered.
        """


def open_channels(configuration: AlertsConfiguration, environ: Mapping[str, str] | None = None) -> list[Channel]:
    """Return the channels that a configuration names; nothing is connected yet.

    Parameters
    ----------
    configuration : AlertsConfiguration
        Webhooks and e-mail.
    environ : mapping of str to str, optional
        Holds the secrets; by default that of the process.
    """
    secrets = os.environ if environ is None else environ
    channels: list[Channel] = [WebhookChannel(webhook, secrets) for webhook in configuration.webhooks]
    if configuration.email is not None:
        channels.append(MailChannel(configuration.email, secrets))
    return channels


class WebhookChannel:
    """Sends notices to an HTTP address.

    Parameters
    ----------
    webhook : Webhook
        Where.
    environ : mapping of str to str
        Holds address and token if they are secrets.
    """

    def __init__(self, webhook: Webhook, environ: Mapping[str, str]) -> None:
        self._webhook = webhook
        self._environ = environ

    @property
    def name(self) -> str:
        """`webhook` and its name."""
        return f"webhook {self._webhook.name}"

    def deliver(self, notices: Sequence[Notice]) -> list[str]:
        """Send one POST; any answer but 2xx is a failure. See `make_payload` for the body."""
        import requests

        url, headers = self._address(), self._headers()
        try:
            with requests.Session() as session:
                session.trust_env = False  # a .netrc would replace the token
                session.proxies = requests.utils.get_environ_proxies(url)
                session.verify = _verified_by()
                with session.post(
                    url,
                    json=make_payload(notices),
                    headers=headers,
                    timeout=(TIMEOUT_SECONDS, TIMEOUT_SECONDS),
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    status = answer.status_code
        except requests.RequestException as error:
            # Its text holds the address.
            raise Undelivered(f"it does not answer ({type(error).__name__})") from None
        except (ValueError, UnicodeError) as error:
            raise Undelivered(f"its address or token cannot be sent ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise Undelivered(f"it answers with HTTP status {status}")
        return []

    def _address(self) -> str:
        variable = self._webhook.url_variable
        if variable is None:
            return self._webhook.url or ""
        url = _secret(self._environ, variable)
        if not is_http_address(url):
            raise Undelivered(f"the environment variable {variable} holds no HTTP address")
        return url

    def _headers(self) -> dict[str, str]:
        webhook = self._webhook
        if webhook.token_variable is None:
            return {}
        token = _secret(self._environ, webhook.token_variable)
        return {webhook.header: f"Bearer {token}" if webhook.header.lower() == "authorization" else token}


class MailChannel:
    """Sends notices by mail, all that are due in one.

    Parameters
    ----------
    email : Email
        Server, sender and recipients.
    environ : mapping of str to str
        Holds the password.
    """

    name = "e-mail"

    def __init__(self, email: Email, environ: Mapping[str, str]) -> None:
        self._email = email
        self._environ = environ

    def deliver(self, notices: Sequence[Notice]) -> list[str]:
        """Send one mail; it is delivered if the server took it for at least one recipient."""
        import smtplib

        email = self._email
        message = make_mail(email, notices)
        password = None if email.password_variable is None else _secret(self._environ, email.password_variable)
        try:
            server = self._connect()
            try:
                if email.username is not None and password is not None:
                    server.login(email.username, password)
                refused = server.send_message(message, email.sender, list(email.recipients))
            finally:
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    server.quit()  # what it says to that changes nothing
                server.close()
        except smtplib.SMTPAuthenticationError as error:
            raise Undelivered(f"the server refuses user name or password (code {error.smtp_code})") from None
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"the server answers {error.smtp_code} {_told_reply(error.smtp_error)}") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise Undelivered(f"the server refuses all recipients: {_told_refusals(error.recipients)}") from error
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"it cannot be sent ({type(error).__name__}: {one_line(str(error), 200)})") from error
        return [f"the server refuses some recipients: {_told_refusals(refused)}"] if refused else []

    def _connect(self) -> smtplib.SMTP:
        import smtplib

        email = self._email
        if email.security == "tls":
            return smtplib.SMTP_SSL(
                email.host, email.port_number, timeout=TIMEOUT_SECONDS, context=self._certificates()
            )
        server = smtplib.SMTP(email.host, email.port_number, timeout=TIMEOUT_SECONDS)
        if email.security == "starttls":
            try:
                server.starttls(context=self._certificates())
            except BaseException:
                server.close()
                raise
        return server

    def _certificates(self) -> ssl.SSLContext:
        import ssl

        return ssl.create_default_context(cafile=self._email.ca_file)


def make_payload(notices: Sequence[Notice]) -> dict[str, object]:
    """Return the JSON body for notices.

    Returns
    -------
    dict
        For one notice its `as_payload`; for several the same keys with `kind` `several`, a `text` of all of them in
        lines, and `notices`, the list of each.
    """
    payloads = [notice.as_payload() for notice in notices]
    if len(payloads) == 1:
        return dict(payloads[0])
    text = "\n".join(tell(notice) for notice in notices)
    shared = {key: payloads[0][key] if len({p[key] for p in payloads}) == 1 else "" for key in payloads[0]}
    since = min(payload["since"] for payload in payloads)
    return shared | {"kind": "several", "text": text, "since": since, "notices": payloads}


def make_mail(email: Email, notices: Sequence[Notice]) -> EmailMessage:
    """Return the mail for notices: headers of one line each, a plain text with all of them."""
    from email import policy
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    mail = EmailMessage(policy=policy.SMTP)
    if len(notices) == 1:
        subject = f"[Runstart] {_STATES[notices[0].state]}{notices[0].condition.text}"
    else:
        subject = f"[Runstart] {len(notices)} notices, the first: {notices[0].condition.text}"
    mail["Subject"] = one_line(subject, MOST_IN_SUBJECT)
    mail["From"] = email.sender
    mail["To"] = ", ".join(email.recipients)
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=email.sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    blocks = []
    for notice in notices:
        condition = notice.condition
        lines = [tell(notice), f"  since {tell_time(condition.since)}"]
        blocks.append("\n".join([*lines, f"  {condition.link}"] if condition.link else lines))
    mail.set_content("\n\n".join(blocks) + "\n")
    return mail


def tell(notice: Notice) -> str:
    """Return a notice as one line."""
    return f"{_STATES[notice.state]}{notice.condition.text}"


_STATES = {"new": "", "reminder": "Still: ", "over": "Over: "}


def _secret(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable)
    if not value:
        raise Undelivered(f"the environment variable {variable} is not set")
    return value


def _verified_by() -> str | bool:
    """Return the certificates that requests would trust by itself."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _told_refusals(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{recipient}: {code} {_told_reply(reason)}" for recipient, (code, reason) in refused.items())


def _told_reply(reply: bytes | str) -> str:
    return one_line(reply if isinstance(reply, str) else reply.decode("utf-8", "replace"), 200)
