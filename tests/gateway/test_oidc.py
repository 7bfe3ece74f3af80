from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gateway_kit import FakeDagster, make_settings, serve_app
from waiting import wait_until

from gateway import make_app
from gateway.oidc import EitherTokens, IssuerAway, OidcTokens
from gateway.tokens import Caller, Scope, TokenBook
from runstart.storage import FileStore

AUDIENCE = "runstart"
SECRET = b"0123456789abcdef" * 4
SHARED = {"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).decode().rstrip("=")}


class Issuer:
    """An issuer on loopback: its keys, and how often it was asked for them."""

    def __init__(self) -> None:
        self.keys = {"one": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.asked = 0
        self.is_broken = False
        self.keys_address = ""
        self.may_answer = threading.Event()
        self.may_answer.set()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.may_answer.wait(60)
                body = b"<html>" if issuer.is_broken else json.dumps(issuer.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/realms/facility"

    def answer(self, path: str) -> dict[str, Any]:
        """Return a document of the issuer."""
        if path.endswith("openid-configuration"):
            return {"issuer": self.url, "jwks_uri": self.keys_address or f"{self.url}/keys"}
        algorithm = jwt.algorithms.RSAAlgorithm
        public = {name: json.loads(algorithm.to_jwk(key.public_key())) for name, key in self.keys.items()}
        keys = [{**key, "kid": name, "alg": "RS256", "use": "sig"} for name, key in public.items()]
        return {"keys": [*keys, SHARED]}

    def sign(self, key: str = "one", **changes: Any) -> str:
        """Return a token that is right, but for the changes; None leaves a claim out."""
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "1234",
            "preferred_username": "maria",
            "exp": time.time() + 600,
            "scope": "openid runstart:launch",
        }
        given = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(given, self.keys[key], "RS256", {"kid": key})

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    started = Issuer()
    yield started
    started.close()


def test_a_token_of_the_issuer_says_who_it_is_and_what_for(issuer: Issuer) -> None:
    tokens = OidcTokens(issuer.url, AUDIENCE)
    assert tokens.find(issuer.sign()) == Caller("1234", Scope.LAUNCH, ("*",))
    assert tokens.find(
        issuer.sign(scope="runstart:read runstart:admin", runstart_reads=["instrument/MERLIN"])
    ) == Caller("1234", Scope.ADMIN, ("instrument/MERLIN",))
    assert issuer.asked == 2


def test_users_are_told_apart_by_the_claim_that_the_facility_trusts(issuer: Issuer) -> None:
    # Users of many issuers choose their names themselves, also those of others.
    assert OidcTokens(issuer.url, AUDIENCE).find(issuer.sign(sub="666")) == Caller("666", Scope.LAUNCH)
    by_name = OidcTokens(issuer.url, AUDIENCE, "preferred_username")
    assert by_name.find(issuer.sign(sub="666")) == Caller("maria", Scope.LAUNCH)
    for wrong in (None, "", 5, ["maria"], "m" * 256):
        assert by_name.find(issuer.sign(preferred_username=wrong)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example.org"},
        {"exp": 1.0},
        {"exp": None},
        {"nbf": 9e9},
        {"sub": None},
        {"scope": "openid"},
        {"scope": "xrunstart:admin"},
        {"scope": None},
        {"runstart_reads": "everything"},
    ],
)
def test_a_token_that_is_not_for_this_gateway_is_nobodys(issuer: Issuer, changes: dict[str, Any]) -> None:
    assert OidcTokens(issuer.url, AUDIENCE).find(issuer.sign(**changes)) is None


def test_a_token_that_another_key_signed_is_nobodys(issuer: Issuer) -> None:
    claims = jwt.decode(issuer.sign(), options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head, body, signature = issuer.sign().split(".")
    forged = [
        jwt.encode(claims, stranger, "RS256", {"kid": "one"}),
        jwt.encode(claims, None, "none", {"kid": "one"}),  # type: ignore[arg-type] # as attackers do
        sign_with_the_public_key(issuer, claims),
        jwt.encode(claims, SECRET, "HS256", {"kid": "shared"}),
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        "a.b.c",
        "..",
        "x" * 100_000,
    ]
    tokens = OidcTokens(issuer.url, AUDIENCE)
    assert [tokens.find(text) for text in forged] == [None] * len(forged)


def sign_with_the_public_key(issuer: Issuer, claims: dict[str, Any]) -> str:
    """Return a token whose shared secret is what everybody knows."""
    public = issuer.keys["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    parts = ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims)
    signed = b".".join(_encoded(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + _encoded(hmac.digest(pem, signed, "sha256"))).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def test_a_new_key_is_asked_for_and_an_unknown_one_at_most_every_half_minute(issuer: Issuer) -> None:
    now = [1000.0]
    tokens = OidcTokens(issuer.url, AUDIENCE, clock=lambda: now[0])
    assert tokens.find(issuer.sign()) is not None
    issuer.keys["two"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for _ in range(20):
        assert tokens.find(issuer.sign("two")) is None
    assert issuer.asked == 2
    now[0] += 30
    assert tokens.find(issuer.sign("two")) is not None
    assert tokens.find(issuer.sign()) is not None
    assert issuer.asked == 4


def test_an_issuer_that_does_not_answer_is_told_until_it_does(issuer: Issuer) -> None:
    now = [1000.0]
    issuer.is_broken = True
    tokens = OidcTokens(issuer.url, AUDIENCE, clock=lambda: now[0])
    for _ in range(5):
        with pytest.raises(IssuerAway):
            tokens.find(issuer.sign())
    assert issuer.asked == 1
    issuer.is_broken = False
    now[0] += 5
    assert tokens.find(issuer.sign()) is not None
    issuer.is_broken = True
    assert tokens.find(issuer.sign()) is not None


def test_keys_are_not_fetched_from_where_they_cannot_be_believed(issuer: Issuer) -> None:
    issuer.keys_address = "file:///etc/keys.json"
    with pytest.raises(IssuerAway):
        OidcTokens(issuer.url, AUDIENCE).find(issuer.sign())
    secure = OidcTokens("https://login.example.org", AUDIENCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.oidc._fetch", lambda address: {"jwks_uri": f"{issuer.url}/keys"})
        with pytest.raises(IssuerAway, match="believed"):
            secure.find(issuer.sign())


def test_who_has_a_known_key_waits_for_nobody_while_the_issuer_hangs(issuer: Issuer) -> None:
    now = [1000.0]
    tokens = OidcTokens(issuer.url, AUDIENCE, clock=lambda: now[0])
    good, stranger = issuer.sign(), jwt.encode({"sub": "x"}, issuer.keys["one"], "RS256", {"kid": "unknown"})
    assert tokens.find(good) is not None
    now[0] += 60
    issuer.may_answer.clear()
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(tokens.find, stranger)
        wait_until(lambda: issuer.asked == 3, "the keys to be asked for")
        assert tokens.find(good) is not None
        assert not asking.done()
        issuer.may_answer.set()
        assert asking.result() is None


def test_a_gateway_takes_its_own_tokens_and_the_issuers(issuer: Issuer, file_store: FileStore) -> None:
    import httpx

    own, _ = TokenBook(file_store).new("somebody", Scope.ADMIN)
    tokens = EitherTokens(TokenBook(file_store), OidcTokens(issuer.url, AUDIENCE))
    app = make_app(make_settings(), file_store, FakeDagster().client(), tokens=tokens)
    asked = [own, issuer.sign(scope="runstart:admin"), issuer.sign(), issuer.sign(aud="another"), "x"]
    with serve_app(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        answers = [
            client.get("/api/v1/operator/info", headers={"Authorization": f"Bearer {text}"}).status_code
            for text in asked
        ]
    assert answers == [200, 200, 403, 401, 401]
