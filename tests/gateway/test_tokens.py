from __future__ import annotations

import hashlib
import math

import pytest
from gateway_kit import bearer, open_gateway

from gateway.tokens import Caller, Scope, TokenBook
from runstart.errors import Alert
from runstart.storage import FileStore, ObjectStore

INFO = "/api/v1/operator/info"


def test_a_token_is_known_by_its_text_and_kept_only_as_its_digest(store: ObjectStore) -> None:
    text, token = TokenBook(store).new("maria", Scope.LAUNCH, ["instrument/*"])
    assert TokenBook(store).find(text) == Caller("maria", Scope.LAUNCH, ("instrument/*",))
    (key,) = store.list("gateway/tokens/")
    assert key == f"gateway/tokens/{hashlib.sha256(text.encode()).hexdigest()}.json"
    assert text.encode() not in store.get(key).data
    assert token.id == key.split("/")[2][:12]


@pytest.mark.parametrize("text", ["", "x", "runstart_", "runstart_" + "a" * 43, "../" * 10, "runstart_" + "ü" * 43])
def test_what_is_no_token_is_nobodys(store: ObjectStore, text: str) -> None:
    TokenBook(store).new("maria", Scope.READ)
    assert TokenBook(store).find(text) is None


def test_a_token_ends_when_its_time_is_over(store: ObjectStore) -> None:
    now = [1000.0]
    book = TokenBook(store, lambda: now[0])
    text, _ = book.new("maria", Scope.READ, days=1)
    now[0] += 86_399
    assert book.find(text) is not None
    now[0] += 1
    assert book.find(text) is None
    assert [token.name for token in book.list()] == ["maria"]


def test_a_revoked_token_is_unknown_at_once_and_others_stay(store: ObjectStore) -> None:
    book = TokenBook(store)
    text, token = book.new("maria", Scope.READ)
    other, _ = book.new("maria", Scope.ADMIN)
    assert book.revoke(token.id) == token
    assert TokenBook(store).find(text) is None
    assert TokenBook(store).find(other) is not None
    with pytest.raises(Alert, match="There is no token"):
        book.revoke(token.id)


@pytest.mark.parametrize(
    ("name", "reads", "days"),
    [
        ("", ["*"], None),
        ("a\nb", ["*"], None),
        ("x", [], None),
        *(("x", ["*"], days) for days in (0, math.nan, math.inf)),
    ],
)
def test_tokens_that_make_no_sense_are_not_made(
    store: ObjectStore, name: str, reads: list[str], days: float | None
) -> None:
    with pytest.raises(Alert):
        TokenBook(store).new(name, Scope.READ, reads, days)
    assert store.list() == []


def test_each_scope_holds_those_before_it() -> None:
    held = {scope: [other for other in Scope if scope.holds(other)] for scope in Scope}
    assert held == {
        Scope.READ: [Scope.READ],
        Scope.LAUNCH: [Scope.READ, Scope.LAUNCH],
        Scope.ADMIN: [Scope.READ, Scope.LAUNCH, Scope.ADMIN],
    }


@pytest.mark.parametrize("header", ["Bearer runstart_" + "a" * 43, "Bearer x y"])
def test_an_unknown_token_is_refused(file_store: FileStore, header: str) -> None:
    with open_gateway(file_store) as client:
        answer = client.get(INFO, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_revoking_holds_for_a_gateway_that_knew_the_token(file_store: FileStore) -> None:
    headers = bearer(file_store, Scope.ADMIN)
    with open_gateway(file_store) as client:
        assert client.get(INFO, headers=headers).status_code == 200
        (token,) = TokenBook(file_store).list()
        TokenBook(file_store).revoke(token.id)
        assert client.get(INFO, headers=headers).status_code == 401
