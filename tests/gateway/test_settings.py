from __future__ import annotations

import pytest

from gateway.settings import GatewaySettings
from runstart.errors import Alert

ONE, TWO = "0x" + "aB" * 20, "0x" + "1" * 40


def test_without_variables_everything_is_closed() -> None:
    settings = GatewaySettings.from_environment({})
    assert settings.providers_only
    assert settings.allowed_providers == settings.allowed_admins == frozenset()
    assert settings.cors_origins == ()
    assert settings.oidc_issuer == ""


def test_oceans_variables_are_read_under_their_names() -> None:
    settings = GatewaySettings.from_environment(
        {
            "OPERATOR_ADDRESS": TWO,
            "ALGO_POD_TIMEOUT": "3600",
            "STORAGE_EXPIRY": "24",
            "SIGNATURE_REQUIRED": "0",
            "ALLOWED_PROVIDERS": f'["{ONE}"]',
            "ALLOWED_ADMINS": f'["{ONE}", "{TWO}"]',
        }
    )
    assert (settings.operator_address, settings.algo_time_limit, settings.storage_expiry) == (TWO, 3600, 24)
    assert not settings.providers_only
    assert settings.allowed_providers == {ONE.lower()}
    assert settings.allowed_admins == {ONE.lower(), TWO}


def test_our_variables_are_read() -> None:
    settings = GatewaySettings.from_environment(
        {
            "RUNSTART_DAGSTER_URL": "http://dagster:3000/",
            "RUNSTART_GATEWAY_CORS": "https://one.org, https://two.org",
            "RUNSTART_GATEWAY_BODY": "1MiB",
            "RUNSTART_GATEWAY_RATE": "5",
        }
    )
    assert settings.dagster_url == "http://dagster:3000"
    assert settings.cors_origins == ("https://one.org", "https://two.org")
    assert (settings.longest_body, settings.rate) == (2**20, 5)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALLOWED_PROVIDERS", ONE),
        ("ALLOWED_PROVIDERS", '["somebody"]'),
        ("ALLOWED_ADMINS", "{}"),
        ("ALGO_POD_TIMEOUT", "an hour"),
        ("STORAGE_EXPIRY", "inf"),
        ("SIGNATURE_REQUIRED", "perhaps"),
        ("RUNSTART_DAGSTER_URL", "dagster:3000"),
        ("RUNSTART_DAGSTER_URL", "http://user:secret@dagster:3000"),
        ("RUNSTART_GATEWAY_BODY", "10"),
        ("RUNSTART_GATEWAY_RATE", "-1"),
        ("RUNSTART_GATEWAY_CORS", "*"),
        ("RUNSTART_GATEWAY_CORS", "https://one.org/page"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variable: str, value: str) -> None:
    with pytest.raises(Alert, match=variable):
        GatewaySettings.from_environment({variable: value})
