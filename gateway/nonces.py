"""Nonces: every signer's grow, and none is ever taken twice, by however many gateways at once.

A nonce is a number without sign, of at most 19 digits before and 9 after the point, compared exactly. It is taken after the
signer is known to be allowed and before anything is done; what fails afterwards needs a new one.
"""

from __future__ import annotations

import json
import re
import secrets
from decimal import Decimal

from gateway.errors import Refusal
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

__all__ = ["NonceBook", "parse_nonce"]

_NONCE = re.compile(r"[0-9]{1,19}(\.[0-9]{1,9})?")
_PREFIX = "gateway/nonces/"


def parse_nonce(value: object) -> str:
    """Return a nonce as it is signed.

    Parameters
    ----------
    value : object
        As it came, in a query or in JSON.

    Raises
    ------
    Refusal
        400: it is no nonce.
    """
    text = str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    if not _NONCE.fullmatch(text):
        raise Refusal(400, '"nonce" must be a number above the last one of this signer, such as the time.')
    return text


class NonceBook:
    """The last nonce of each signer, in an object store.

    Parameters
    ----------
    store : ObjectStore
        Keeps them.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def take(self, signer: str, nonce: str) -> None:
        """Take a nonce, once and for all.

        Parameters
        ----------
        signer : str
            Address of who signed it.
        nonce : str
            As `parse_nonce` returns it.

        Raises
        ------
        Refusal
            400: it is not above the last one that was taken.
        Transient
            The store does not answer; the nonce may be taken.
        """
        key = f"{_PREFIX}{signer.lower()}.json"
        # What competing gateways write must differ, also for one nonce: hence `by`.
        data = json.dumps({"last": nonce, "by": secrets.token_hex(8)}).encode()
        while True:
            try:
                stored = self._store.get(key)
            except ObjectMissing:
                stored = None
            if stored is not None and Decimal(nonce) <= Decimal(json.loads(stored.data)["last"]):
                raise Refusal(400, "The nonce must be above the last one that this signer has used.")
            try:
                if stored is None:
                    self._store.put_if_absent(key, data)
                else:
                    self._store.put_if_match(key, data, stored.etag)
            except PreconditionFailed:
                continue
            return
