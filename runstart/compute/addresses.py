"""Which addresses of the network are public: where a stranger's wish may lead, and where not.

An address counts as public only if every address that it carries inside is: IPv6 has many ways to write an IPv4 address,
and each of them is a way to this machine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

from runstart.errors import Alert, Transient

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))
_COMPATIBLE = ipaddress.ip_network("::/96")
_LAST_FOUR = 0xFFFFFFFF


class InternalAddress(Alert):
    """An address leads inside.

    Parameters
    ----------
    shown : str
        The address without its secrets.
    host : str
        Where it leads.
    """

    def __init__(self, shown: str, host: str) -> None:
        super().__init__(
            f"{shown} leads to {host}, which is not on the public Internet.",
            "Put it where everybody can reach it, or have the data owner name the host as an internal one.",
        )


def is_public(text: str) -> bool:
    """Tell whether an IP address is one of the public Internet, and carries none that is not.

    Parameters
    ----------
    text : str
        An IPv4 or IPv6 address.

    Raises
    ------
    ValueError
        It is none.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in _meant_by(address))


def resolve(host: str, port: int, shown: str, *, may_be_internal: bool) -> list[str]:
    """Return the addresses of a host, each to connect to as it is.

    Parameters
    ----------
    host : str
        A name, or an address.
    port : int
        Of the connection.
    shown : str
        What is asked for, for messages.
    may_be_internal : bool
        Whether any address will do.

    Raises
    ------
    InternalAddress
        One of them is not public: such a host is not asked at all.
    Alert
        There is no such host.
    Transient
        The name cannot be looked up now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as problem:
        if problem.errno == socket.EAI_AGAIN:
            raise Transient(f"The host {host} of {shown} cannot be looked up.") from problem
        raise Alert(f"The host {host} of {shown} does not exist.", "Correct the address.") from problem
    except (UnicodeError, OSError) as problem:
        raise Alert(f"The host {host[:100]} of {shown} cannot exist.", "Correct the address.") from problem
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not may_be_internal and not all(map(is_public, addresses)):
        raise InternalAddress(shown, host)
    return addresses


def _meant_by(address: _Address) -> Iterator[_Address]:
    """Yield what an address means: itself, and what it carries; a translated one means only what it carries."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    carried = _carried_by(address)
    is_translated = any(address in network for network in _TRANSLATED)
    if carried is None or not (is_translated or address.ipv4_mapped):
        yield address
    if carried is not None:
        yield carried
    if address.teredo is not None:
        yield from address.teredo


def _carried_by(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _COMPATIBLE or any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & _LAST_FOUR)
    return None
