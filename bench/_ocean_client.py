"""Somebody who orders compute jobs and follows them by Ocean's routes."""

from __future__ import annotations

from typing import Any


class OceanOwner:
    """An address whose key is at hand; its nonces grow."""

    def __init__(self) -> None:
        from eth_account import Account

        self._account = Account.create()
        self.address: str = self._account.address
        self._nonce = 0

    def sign(self, job_id: str = "") -> dict[str, str]:
        """Return the arguments by which a request is signed, about one job if it is named."""
        from eth_account.messages import encode_defunct
        from eth_utils.crypto import keccak

        self._nonce += 1
        nonce = str(self._nonce)
        message = encode_defunct(primitive=keccak(text=f"{self.address}{job_id}{nonce}"))
        signature = bytes(self._account.sign_message(message).signature).hex()
        signed = {"owner": self.address, "nonce": nonce, "providerSignature": signature}
        return signed | ({"jobId": job_id} if job_id else {})


def workflow(code: str) -> dict[str, Any]:
    """Return a workflow that runs Python code without inputs."""
    algorithm = {"rawcode": code, "container": {"image": "python", "entrypoint": "python3 $ALGO"}}
    return {"stages": [{"input": [], "compute": {}, "algorithm": algorithm, "output": {}}]}
