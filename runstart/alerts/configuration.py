"""`alerts.toml`: what people are told, when and where. Secrets are never in it, only names of environment variables."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    field_validator,
    model_validator,
)

from runstart.alerts.judging import Policy
from runstart.alerts.outbox import QuietHours

NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
_HTTP = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?")
_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Limit = Annotated[float, Field(strict=True, ge=0, le=31 * 86_400, allow_inf_nan=False)]
ToldKind = Literal[
    "failed_run", "failed_check", "lag", "gap", "script_failing", "collector_trouble", "snapshot_age", "silence"
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Rules(_Strict):
    """Which conditions are told; a limit of 0 turns a condition off."""

    failed_run: StrictBool = True
    """A Dagster run failed; over when a later one of the same partition (or job) succeeds."""

    failed_check: StrictBool = True
    """An asset check failed; over when it passes for the same partition."""

    gap: StrictBool = True
    """Message ids are missing in a live run."""

    script_failing: StrictBool = True
    """The reduction script of a live run raises, hangs or cannot be fetched."""

    collector_trouble: StrictBool = True
    """A collector of a live run gets nothing: an IOC is gone or hung."""

    lag_seconds: Limit = 60.0
    """A live run is further behind than this."""

    snapshot_age_seconds: Limit = 300.0
    """The newest snapshot of a live run is older than this."""

    silence_seconds: Limit = 120.0
    """A live run has not told its status for so long."""


class QuietTable(_Strict):
    """Hours in which notices are held back; they are sent together afterwards."""

    begin: str = Field(alias="from")
    end: str = Field(alias="to")
    time_zone: str = "UTC"
    except_: tuple[ToldKind, ...] = Field(default=(), alias="except")

    @field_validator("begin", "end")
    @classmethod
    def _check_clock(cls, clock: str) -> str:
        if not _CLOCK.fullmatch(clock):
            raise ValueError(f"{clock!r} is no time of day; write it like '22:00'")
        return clock

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no time zone; write it like 'Europe/London'") from error
        return name

    @model_validator(mode="after")
    def _check_length(self) -> QuietTable:
        if self.begin == self.end:
            raise ValueError(f"from and to are both {self.begin!r}; a day that is quiet throughout tells nobody")
        return self

    @property
    def hours(self) -> QuietHours:
        """The hours as `runstart.alerts.outbox` judges them."""
        return QuietHours(
            time.fromisoformat(self.begin),
            time.fromisoformat(self.end),
            ZoneInfo(self.time_zone),
            frozenset(self.except_),
        )


class Webhook(_Strict):
    """An HTTP address that gets each notice as JSON by POST."""

    name: Annotated[str, Field(pattern=NAME)]
    url: str | None = Field(default=None, repr=False)
    url_variable: Annotated[str, Field(pattern=VARIABLE)] | None = None
    """Environment variable with the address, for addresses that are secrets themselves."""

    token_variable: Annotated[str, Field(pattern=VARIABLE)] | None = None
    """Environment variable with a token."""

    header: Annotated[str, Field(pattern=_HEADER)] = "Authorization"
    """Header that carries the token: `Bearer TOKEN` in `Authorization`, the bare token in any other."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None and not is_http_address(url):
            raise ValueError("is no HTTP address; write one like 'https://chat.example.org/hooks/runs'")
        return url

    @model_validator(mode="before")
    @classmethod
    def _check_source(cls, table: Any) -> Any:
        if isinstance(table, dict) and (table.get("url") is None) == (table.get("url_variable") is None):
            raise ValueError("needs exactly one of url and url_variable")
        return table


class Email(_Strict):
    """A mail server and who gets mail."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,255}$")]
    security: Literal["none", "starttls", "tls"] = "starttls"
    port: Annotated[StrictInt, Field(ge=1, le=65535)] | None = None
    """By default 587 for starttls, 465 for tls and 25 for none."""

    username: str | None = None
    password_variable: Annotated[str, Field(pattern=VARIABLE)] | None = None
    """Environment variable with the password."""

    sender: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    ca_file: Path | None = None
    """Certificates to trust instead of the system's; relative to `alerts.toml`."""

    @field_validator("sender")
    @classmethod
    def _check_sender(cls, sender: str) -> str:
        return _address(sender)

    @field_validator("recipients")
    @classmethod
    def _check_recipients(cls, recipients: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address(recipient) for recipient in recipients)

    @model_validator(mode="after")
    def _check_login(self) -> Email:
        if (self.username is None) != (self.password_variable is None):
            raise ValueError("username and password_variable go together; write both or neither")
        if self.username is not None and self.security == "none" and self.host not in _LOOPBACK:
            raise ValueError("would send the password in clear; set security to 'starttls' or 'tls'")
        return self

    @property
    def port_number(self) -> int:
        """The port, or the usual one for this security."""
        return self.port if self.port is not None else _PORTS[self.security]


class AlertsConfiguration(_Strict):
    """All of `alerts.toml`."""

    link: str = ""
    """Address of Dagster's UI, as the readers of notices reach it."""

    remind_after_hours: Annotated[float, Field(strict=True, ge=0.1, le=24 * 31, allow_inf_nan=False)] = 4.0
    reminders: Annotated[StrictInt, Field(ge=0, le=1000)] = 6
    """Reminders that a condition gets at most."""

    over_after_seconds: Limit = 60.0
    """How long a condition must be gone to be over."""

    quiet_hours: QuietTable | None = None
    rules: Rules = Rules()
    instruments: dict[str, Rules] = Field(default_factory=dict)
    """Rules of single instruments; what they leave out is as in `rules`."""

    webhooks: tuple[Webhook, ...] = ()
    email: Email | None = None

    @field_validator("link")
    @classmethod
    def _check_link(cls, link: str) -> str:
        if link and not is_http_address(link):
            raise ValueError(f"{link!r} is no HTTP address; write one like 'https://dagster.example.org'")
        return link.rstrip("/")

    @field_validator("webhooks")
    @classmethod
    def _check_names(cls, webhooks: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
        names = [webhook.name for webhook in webhooks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two webhooks are named {name!r}; give each a name of its own")
        return webhooks

    def rules_of(self, instrument: str) -> Rules:
        """Return the rules of an instrument."""
        own = self.instruments.get(instrument)
        if own is None:
            return self.rules
        return self.rules.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    @property
    def policy(self) -> Policy:
        """How often people are told."""
        return Policy(self.remind_after_hours * 3600.0, self.reminders, self.over_after_seconds)

    @property
    def quiet(self) -> QuietHours | None:
        """The quiet hours, if there are any."""
        return None if self.quiet_hours is None else self.quiet_hours.hours


def is_http_address(text: str) -> bool:
    """Tell whether a text is an address of HTTP or HTTPS."""
    return _HTTP.fullmatch(text) is not None and text.isprintable()


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is no mail address; write one like 'sans@example.org'")
    return text
