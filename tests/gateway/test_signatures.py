from __future__ import annotations

import sys

import pytest
from gateway_kit import Wallet, make_settings
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.signatures import Signer, recover_signer, signed_text

WALLET = Wallet()


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_the_signer_of_any_text_is_recovered(text: str) -> None:
    assert recover_signer(text, WALLET.sign(text)) == WALLET.address.lower()


def test_the_last_byte_may_be_written_in_two_ways_and_0x_may_be_left_out() -> None:
    signature = WALLET.sign("text").removeprefix("0x")
    last = int(signature[-2:], 16) - 27
    for written in (signature, f"0x{signature}", f"{signature[:-2]}{last:02x}", signature.upper()):
        assert recover_signer("text", written) == WALLET.address.lower()


@given(
    signature=st.one_of(
        st.text(), st.binary(max_size=80).map(bytes.hex), st.binary(min_size=65, max_size=65).map(bytes.hex)
    )
)
def test_what_is_no_signature_is_refused_and_breaks_nothing(signature: str) -> None:
    try:
        signer = recover_signer("text", signature)
    except Refusal as refusal:
        told = (refusal.status, refusal.text)
    else:
        told = (400, "Failed to recover address") if signer != WALLET.address.lower() else (200, signer)
    assert told == (400, "Failed to recover address")


@given(
    owner=st.one_of(st.just(""), st.just(WALLET.address)),
    job_id=st.one_of(st.just(""), st.text("0123456789abcdef", min_size=32, max_size=32)),
    nonce=st.from_regex(r"[0-9]{1,19}(\.[0-9]{1,9})?", fullmatch=True),
    other_owner=st.one_of(st.just(""), st.just(WALLET.address)),
    other_job_id=st.one_of(st.just(""), st.text("0123456789", min_size=32, max_size=32)),
    other_nonce=st.from_regex(r"[0-9]{1,19}(\.[0-9]{1,9})?", fullmatch=True),
)
def test_different_requests_have_different_texts(
    owner: str, job_id: str, nonce: str, other_owner: str, other_job_id: str, other_nonce: str
) -> None:
    one, other = (owner, job_id, nonce), (other_owner, other_job_id, other_nonce)
    assert (signed_text(*one) == signed_text(*other)) == (one == other)


def test_importing_the_cryptography_leaves_pythons_recursion_limit_alone() -> None:
    assert sys.getrecursionlimit() < 10_000


@pytest.mark.parametrize("providers_only", [True, False])
def test_who_may_do_what(providers_only: bool) -> None:
    owner, provider, admin = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "c" * 40
    settings = make_settings(
        providers_only=providers_only, allowed_providers=frozenset({provider}), allowed_admins=frozenset({admin})
    )

    def rights(address: str) -> tuple[bool, bool, bool]:
        signer = Signer.of(address, settings)
        return signer.may_start(owner.upper(), settings), signer.may_follow(owner), signer.may_fetch(owner)

    assert rights(owner) == (not providers_only, True, True)
    assert rights(provider) == (True, True, True)
    assert rights(admin) == (False, True, False)
    assert rights("0x" + "d" * 40) == (False, False, False)
