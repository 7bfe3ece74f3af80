"""Pods that ran out of memory get more, within limits."""

from __future__ import annotations

import pytest

from runstart.pod_ends import MOST_DOUBLINGS, double_memory, parse_quantity, quantity

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1Gi", GIB),
        ("2304Mi", 2304 * 2**20),
        ("512Ki", 2**19),
        ("1.5Gi", 1.5 * GIB),
        ("500M", 500e6),
        ("1e9", 1e9),
        ("128974848000m", 128_974_848),
        ("1073741824", GIB),
        ("2k", 2000),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: str, size: float) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "1 GB", "1GiB", "-1", "1..5Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity of Kubernetes"):
        parse_quantity(text)


def test_memory_doubles_and_nothing_else() -> None:
    before = {"limits": {"memory": "2Gi", "cpu": "3"}, "requests": {"memory": "1Gi", "cpu": "2"}}

    assert double_memory(before, 0) == {
        "limits": {"memory": "4096Mi", "cpu": "3"},
        "requests": {"memory": "2048Mi", "cpu": "2"},
    }


def test_memory_doubles_so_often_and_not_once_more() -> None:
    before = {"limits": {"memory": "1Gi"}}

    assert all(double_memory(before, done) for done in range(MOST_DOUBLINGS))
    assert double_memory(before, MOST_DOUBLINGS) is None


def test_pod_without_a_request_asks_for_its_limit() -> None:
    grown = double_memory({"limits": {"memory": "1Gi"}}, 0)

    assert grown is not None
    assert grown["requests"] == {"memory": "2048Mi"}


def test_memory_grows_to_the_limit_of_the_site_and_not_beyond() -> None:
    before = {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}}
    grown = double_memory(before, 0, 3 * GIB)

    assert grown is not None
    assert (grown["limits"]["memory"], grown["requests"]["memory"]) == ("3072Mi", "1536Mi")
    assert double_memory(grown, 1, 3 * GIB) is None


def test_pod_without_a_limit_cannot_get_more() -> None:
    assert double_memory({}, 0) is None
    assert double_memory({"requests": {"memory": "1Gi"}}, 0) is None


def test_quantities_are_rounded_up() -> None:
    assert quantity(1.0) == "1Mi"
