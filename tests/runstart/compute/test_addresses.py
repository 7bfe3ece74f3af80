"""Addresses: whatever leads inside is known, however it is written, and a host with one such address is not asked."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.compute.addresses import InternalAddress, is_public, resolve
from runstart.errors import Alert, Transient

INTERNAL = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_is_known_however_it_is_written(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_no_way_to_write_an_internal_address_in_ipv6_makes_it_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for network in ("::ffff:0:0", "::", "64:ff9b::"):
        assert not is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(network)) + number)))
    assert not is_public(str(ipaddress.IPv6Address((0x2002 << 112) + (number << 80))))


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "[::1]"]
)
def test_no_spelling_of_this_machine_is_let_through(host: str) -> None:
    with pytest.raises(Alert):
        resolve(host.strip("[]"), 80, "shown", may_be_internal=False)


def test_a_name_with_one_internal_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _let_names_mean(monkeypatch, ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(InternalAddress, match="which is not on the public Internet"):
        resolve("example.org", 80, "http://example.org/x", may_be_internal=False)
    assert resolve("example.org", 80, "shown", may_be_internal=True) == ["1.1.1.1", "10.0.0.1"]


def test_a_name_that_is_none_is_an_alert_and_one_that_is_not_known_now_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fail_look_ups(monkeypatch, socket.EAI_NONAME)
    with pytest.raises(Alert, match="does not exist"):
        resolve("nowhere.invalid", 80, "shown", may_be_internal=False)
    _fail_look_ups(monkeypatch, socket.EAI_AGAIN)
    with pytest.raises(Transient, match="cannot be looked up"):
        resolve("example.org", 80, "shown", may_be_internal=False)
    with pytest.raises(Alert):
        resolve("x" * 70 + ".org", 80, "shown", may_be_internal=False)


def _let_names_mean(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def _fail_look_ups(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = socket.getaddrinfo

    def fail(host: str, *more: object, **named: object) -> object:
        if len(host) > 63:
            return real(host, *more, **named)  # type: ignore[arg-type]
        raise socket.gaierror(number, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
