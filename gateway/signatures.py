"""Signatures of Ocean's routes: who has signed a text, and what the signer may do.

What is signed is the Keccak-256 digest of the text, with Ethereum's prefix for messages. The text is the owner's address,
then the job's id if the request names a job, then the nonce: `owner + nonce` or `owner + jobId + nonce`. Since an address
has 42 characters, a job id 32, and a nonce at most 29, no two requests have the same text.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from gateway.errors import Refusal
from gateway.settings import GatewaySettings

_recursion_limit = sys.getrecursionlimit()
from eth_account import Account  # noqa: E402
from eth_account.messages import encode_defunct  # noqa: E402
from eth_keys.exceptions import BadSignature  # noqa: E402
from eth_utils.crypto import keccak  # noqa: E402
from eth_utils.exceptions import ValidationError  # noqa: E402

# py_ecc, which they import, raises it to 100,000: a deeply nested body would then end the process by a fault.
sys.setrecursionlimit(_recursion_limit)

__all__ = ["Signer", "is_address", "recover_signer", "signed_text"]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SIGNATURE = re.compile(r"(0x)?[0-9a-fA-F]{130}")
_NOT_RECOVERED = "Failed to recover address"


@dataclass(frozen=True)
class Signer:
    """Who has signed a request.

    Attributes
    ----------
    address : str
        In lower case.
    is_provider, is_admin : bool
        Whether the deployment allows it to act for every owner, and to stop every job.
    """

    address: str
    is_provider: bool
    is_admin: bool

    @classmethod
    def of(cls, address: str, settings: GatewaySettings) -> Signer:
        """Return a signer as a deployment knows it."""
        return cls(address, address in settings.allowed_providers, address in settings.allowed_admins)

    def is_owner(self, owner: str) -> bool:
        """Tell whether this is the address of an owner."""
        return self.address == owner.lower()

    def may_start(self, owner: str, settings: GatewaySettings) -> bool:
        """Tell whether the signer may start jobs for an owner."""
        return self.is_provider or (self.is_owner(owner) and not settings.providers_only)

    def may_follow(self, owner: str) -> bool:
        """Tell whether the signer may see and stop an owner's jobs."""
        return self.is_provider or self.is_admin or self.is_owner(owner)

    def may_fetch(self, owner: str) -> bool:
        """Tell whether the signer may fetch results of an owner's jobs."""
        return self.is_provider or self.is_owner(owner)


def is_address(text: str) -> bool:
    """Tell whether a text is an address: 0x and 40 hexadecimal digits."""
    return _ADDRESS.fullmatch(text) is not None


def signed_text(owner: str, job_id: str, nonce: str) -> str:
    """Return the text that must have been signed.

    Parameters
    ----------
    owner, job_id : str
        As the request has them; empty for what it has not.
    nonce : str
        As the request has it.
    """
    return f"{owner}{job_id}{nonce}"


def recover_signer(text: str, signature: str) -> str:
    """Return the address of who has signed a text, in lower case.

    Parameters
    ----------
    text : str
        The text.
    signature : str
        65 bytes as hexadecimal digits, with or without 0x; the last byte is 27 or 28, or 0 or 1.

    Raises
    ------
    Refusal
        400: it is no signature.
    """
    if not _SIGNATURE.fullmatch(signature):
        raise Refusal(400, _NOT_RECOVERED)
    message = encode_defunct(primitive=keccak(text=text))
    try:
        address: str = Account.recover_message(message, signature=bytes.fromhex(signature.removeprefix("0x")))
    except (BadSignature, ValidationError, ValueError):
        raise Refusal(400, _NOT_RECOVERED) from None
    return address.lower()
