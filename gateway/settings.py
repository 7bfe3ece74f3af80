"""What a deployment says about its gateway, in the environment: Ocean's variables under their names, and ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runstart.errors import Alert
from runstart.sizes import parse_size

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_YES, _NO = {"1", "yes", "true", "on"}, {"0", "no", "false", "off"}


class GatewaySettings(BaseModel):
    """What a deployment says about its gateway.

    Attributes
    ----------
    dagster_url : str
        Address of Dagster's webserver.
    dagster_page_url : str
        Address of Dagster's pages as browsers reach them, for links; empty for none.
    dagster_location : str
        Name of the code location there.
    dagster_timeout_s : float
        Longest time that Dagster may take for an answer, in seconds.
    operator_address : str
        Address of this service on the chain, as `GET /` tells it.
    algo_time_limit, storage_expiry : float or None
        Longest time of an algorithm and life of results, as `GET /` tells them.
    providers_only : bool
        Whether only allowed providers may start compute jobs, or owners too.
    allowed_providers, allowed_admins : frozenset of str
        Addresses in lower case.
    cors_origins : tuple of str
        Origins whose pages may read answers; none by default.
    longest_body : int
        Most bytes of a request's body.
    body_timeout_s : float
        Longest time that a body may take to arrive, in seconds.
    rate, burst : float
        Requests a second that each client may make in the long run, and at once.
    crowd : int
        Requests that are answered at once, of all clients; streams of live pages count too.
    open_reading : bool
        Whether who has no token may read: for a laptop, where everything listens on loopback.
    oidc_issuer, oidc_audience : str
        Whose tokens are taken beside the gateway's own, and for whom they are made; empty for none.
    oidc_user : str
        The claim of these tokens that tells users apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dagster_url: str = "http://127.0.0.1:3000"
    dagster_page_url: str = ""
    dagster_location: str = "definitions"
    dagster_timeout_s: float = Field(default=10.0, gt=0, le=60)
    operator_address: str = ""
    algo_time_limit: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    storage_expiry: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    providers_only: bool = True
    allowed_providers: frozenset[str] = frozenset()
    allowed_admins: frozenset[str] = frozenset()
    cors_origins: tuple[str, ...] = ()
    longest_body: int = Field(default=2 * 2**20, ge=1024)
    body_timeout_s: float = Field(default=30.0, gt=0)
    rate: float = Field(default=50.0, gt=0)
    burst: float = Field(default=200.0, ge=1)
    crowd: int = Field(default=1000, ge=1)
    open_reading: bool = False
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_user: str = "sub"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GatewaySettings:
        """Read the settings from environment variables.

        Parameters
        ----------
        environ : mapping of str to str
            RUNSTART_DAGSTER_URL, RUNSTART_DAGSTER_PAGE_URL, RUNSTART_DAGSTER_LOCATION,
            RUNSTART_DAGSTER_TIMEOUT_S; OPERATOR_ADDRESS, ALGO_POD_TIMEOUT, STORAGE_EXPIRY,
            SIGNATURE_REQUIRED, ALLOWED_PROVIDERS, ALLOWED_ADMINS (JSON lists of addresses);
            RUNSTART_GATEWAY_CORS (origins, separated by commas), RUNSTART_GATEWAY_BODY (such as 2MiB),
            RUNSTART_GATEWAY_BODY_TIMEOUT_S, RUNSTART_GATEWAY_RATE, RUNSTART_GATEWAY_BURST, RUNSTART_GATEWAY_CROWD,
            RUNSTART_GATEWAY_OPEN_READING (1 or 0), RUNSTART_OIDC_ISSUER, RUNSTART_OIDC_AUDIENCE,
            RUNSTART_OIDC_USER. What is not set or empty has its default.

        Raises
        ------
        Alert
            A variable does not have its form.
        """
        given = {variable: environ.get(variable, "").strip() for variable in _FIELDS}
        if given["RUNSTART_OIDC_ISSUER"] and not given["RUNSTART_OIDC_AUDIENCE"]:
            remedy = "Set it to whom the issuer makes tokens for, or tokens for others would open this gateway."
            raise Alert("RUNSTART_OIDC_ISSUER needs RUNSTART_OIDC_AUDIENCE.", remedy)
        values: dict[str, object] = {
            field: _read(variable, given[variable]) for variable, field in _FIELDS.items() if given[variable]
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            variable = next(name for name, field in _FIELDS.items() if field == first["loc"][0])
            raise Alert(
                f"{variable} is {given[variable]!r}: {first['msg']}.", "Mend it, or leave it out."
            ) from None


def _read(variable: str, text: str) -> object:
    match variable:
        case "ALLOWED_PROVIDERS" | "ALLOWED_ADMINS":
            return _addresses(variable, text)
        case "SIGNATURE_REQUIRED" | "RUNSTART_GATEWAY_OPEN_READING":
            return _truth(variable, text)
        case "RUNSTART_GATEWAY_CORS":
            return _origins(variable, text)
        case "RUNSTART_GATEWAY_BODY":
            return parse_size(text, variable)
        case "RUNSTART_DAGSTER_URL" | "RUNSTART_DAGSTER_PAGE_URL":
            return _url(variable, text)
        case "RUNSTART_OIDC_ISSUER":
            return _issuer(variable, text)
    return text


def _addresses(variable: str, text: str) -> frozenset[str]:
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(e, str) and _ADDRESS.fullmatch(e) for e in listed):
        remedy = 'Write it like ["0x0123456789012345678901234567890123456789"].'
        raise Alert(f"{variable} is not a JSON list of addresses.", remedy)
    return frozenset(address.lower() for address in listed)


def _truth(variable: str, text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise Alert(f"{variable} is {text!r}.", "Write 1 or 0.")
    return text.lower() in _YES


def _origins(variable: str, text: str) -> tuple[str, ...]:
    origins = tuple(filter(None, (origin.strip() for origin in text.split(","))))
    for origin in origins:
        if not re.fullmatch(r"https?://[^\s/?#@*]+", origin):
            raise Alert(f"{variable}: {origin!r} is no origin.", "Write origins like https://portal.example.org.")
    return origins


def _issuer(variable: str, text: str) -> str:
    if not re.fullmatch(r"(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1)(:\d+)?)(/[^\s?#]*)?", text):
        remedy = "Write it like https://login.example.org/realms/facility; its keys are believed over https only."
        raise Alert(f"{variable} is not the address of an issuer.", remedy)
    return text


def _url(variable: str, text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise Alert(f"{variable} is not the address of a server.", "Write it like http://dagster:3000.")
    return text.rstrip("/")


_FIELDS = {
    "RUNSTART_DAGSTER_URL": "dagster_url",
    "RUNSTART_DAGSTER_PAGE_URL": "dagster_page_url",
    "RUNSTART_DAGSTER_LOCATION": "dagster_location",
    "RUNSTART_DAGSTER_TIMEOUT_S": "dagster_timeout_s",
    "OPERATOR_ADDRESS": "operator_address",
    "ALGO_POD_TIMEOUT": "algo_time_limit",
    "STORAGE_EXPIRY": "storage_expiry",
    "SIGNATURE_REQUIRED": "providers_only",
    "ALLOWED_PROVIDERS": "allowed_providers",
    "ALLOWED_ADMINS": "allowed_admins",
    "RUNSTART_GATEWAY_CORS": "cors_origins",
    "RUNSTART_GATEWAY_BODY": "longest_body",
    "RUNSTART_GATEWAY_BODY_TIMEOUT_S": "body_timeout_s",
    "RUNSTART_GATEWAY_RATE": "rate",
    "RUNSTART_GATEWAY_BURST": "burst",
    "RUNSTART_GATEWAY_CROWD": "crowd",
    "RUNSTART_GATEWAY_OPEN_READING": "open_reading",
    "RUNSTART_OIDC_ISSUER": "oidc_issuer",
    "RUNSTART_OIDC_AUDIENCE": "oidc_audience",
    "RUNSTART_OIDC_USER": "oidc_user",
}
