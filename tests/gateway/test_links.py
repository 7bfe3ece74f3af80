from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.links import LINK_SECONDS, Links
from runstart.storage import FileStore

PATH = "/api/outputs/ab/0/fits"


def signed(links: Links, path: str = PATH) -> tuple[str, int, str]:
    parts = urlsplit(links.sign(path))
    query = parse_qs(parts.query)
    return parts.path, int(query["expires"][0]), query["signature"][0]


def test_a_link_is_taken_by_any_gateway_until_its_time_is_over(file_store: FileStore) -> None:
    now = [1000.0]
    path, expires, signature = signed(Links(file_store, lambda: now[0]))
    other = Links(FileStore(file_store.root), lambda: now[0])
    now[0] += LINK_SECONDS - 1
    other.check(path, expires, signature)
    now[0] = expires
    with pytest.raises(Refusal) as refused:
        other.check(path, expires, signature)
    assert refused.value.status == 403


def test_an_address_stays_the_same_for_a_while(file_store: FileStore) -> None:
    assert Links(file_store, lambda: 7200.0).sign(PATH) == Links(file_store, lambda: 7999.0).sign(PATH)
    assert Links(file_store, lambda: 7200.0).sign(PATH) != Links(file_store, lambda: 10_800.0).sign(PATH)


def test_gateways_that_begin_at_once_have_one_key(file_store: FileStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Links(file_store, lambda: 0.0).sign(PATH), range(8)))
    assert len(set(made)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(max_size=80), st.integers(0, 2**53), st.text(max_size=80))
def test_what_was_not_signed_is_refused(file_store: FileStore, path: str, expires: int, signature: str) -> None:
    with pytest.raises(Refusal):
        Links(file_store, lambda: 0.0).check(path, expires, signature)
