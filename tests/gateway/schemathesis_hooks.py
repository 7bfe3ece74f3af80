"""What Schemathesis is told beside the description: how to sign, and of what the gateway knows.

Only cases that are meant to be right are helped, three of four of them; the others stay as they were made.
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
from typing import Any

import schemathesis
from gateway_kit import ENVIRONMENT, Wallet, make_workflow

WALLET = Wallet(os.environ["RUNSTART_TEST_WALLET"])
KNOWN: dict[str, dict[str, str]] = json.loads(os.environ["RUNSTART_TEST_KNOWN"])
OPERATOR = "/api/v1/operator/"
SIGNED = {("POST", "compute"), ("PUT", "compute"), ("GET", "compute"), ("GET", "getResult")}
_turn = itertools.count()


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Put in what is known, and sign what has to be signed."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    method = case.method.upper()
    # What is removed would be missing afterwards.
    if next(_turn) % 4 and method != "DELETE":
        _put_in_known(case)
    if (method, case.path.removeprefix(OPERATOR)) in SIGNED:
        _sign(case, method)


def _put_in_known(case: Any) -> None:
    known = next((known for begin, known in KNOWN.items() if case.path.startswith(begin)), {})
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            place |= {name: value for name, value in known.items() if name in place}


def _sign(case: Any, method: str) -> None:
    arguments = case.query if method == "GET" else case.body
    if not isinstance(arguments, dict):
        return
    job_id = "" if method == "POST" else str(arguments.get("jobId") or "")
    arguments |= WALLET.signed(WALLET.address, job_id if len(job_id) > 1 else "")
    if method == "POST":
        arguments |= {
            "workflow": make_workflow(),
            "environment": ENVIRONMENT.name,
            "agreementId": f"0x{uuid.uuid4().hex}",
        }
