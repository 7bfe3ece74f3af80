from __future__ import annotations

import pytest
from facility_gateway import make_facility, open_facility
from gateway_kit import FakeDagster, bearer
from live_page_kit import NIGHT, put_night

from gateway.tokens import Scope
from runstart.storage import FileStore

SITE = make_facility().sites["SIMOBS"]


@pytest.fixture
def store(file_store: FileStore) -> FileStore:
    put_night(file_store, {name: f"the {name}".encode() for name in ("fits", "large", "small")})
    return file_store


def test_the_newest_night_is_told_with_its_pictures(store: FileStore) -> None:
    with open_facility(store) as client:
        (site,) = client.get("/api/nights/").json()
        assert client.get("/api/nights/SIMOBS/").json() == [NIGHT]
    last = site["last"]
    assert (site["name"], site["nights"], last["night"], last["exposures"], last["troubles"]) == (
        "SIMOBS",
        1,
        NIGHT,
        2,
        2,
    )
    assert [(product["asset"], product["number"], product["name"]) for product in last["products"]] == [
        ("stacks", 0, "M51 gp")
    ]


def test_a_night_is_told_in_full(store: FileStore) -> None:
    with open_facility(store) as client:
        told = client.get(f"/api/nights/SIMOBS/{NIGHT}").json()
    assert [(each["asset"], each["has_picture"], each["trouble"]) for each in told["products"]] == [
        ("stacks", True, ""),
        ("color_images", False, "there is one filter"),
    ]
    assert told["remarks"] == ["A remark."]


@pytest.mark.parametrize("size", ["large", "small"])
def test_the_picture_of_a_product_is_a_jpeg(store: FileStore, size: str) -> None:
    with open_facility(store) as client:
        answer = client.get(f"/api/nights/SIMOBS/{NIGHT}/stacks/0/{size}.jpg")
    assert (answer.content, answer.headers["content-type"]) == (f"the {size}".encode(), "image/jpeg")


@pytest.mark.parametrize(
    "path",
    [
        "/api/nights/NOWHERE/",
        "/api/nights/SIMOBS/2026-03-29",
        "/api/nights/SIMOBS/2026-02-30",
        "/api/nights/SIMOBS/..%2F..",
        f"/api/nights/SIMOBS/{NIGHT}/stacks/1/large.jpg",
        f"/api/nights/SIMOBS/{NIGHT}/color_images/0/large.jpg",
        f"/api/nights/SIMOBS/{NIGHT}/..%2Fstacks/0/large.jpg",
    ],
)
def test_what_is_not_there_is_not_found(store: FileStore, path: str) -> None:
    with open_facility(store) as client:
        assert client.get(path).status_code == 404


def test_a_night_is_reduced_by_its_job(store: FileStore) -> None:
    dagster = FakeDagster()
    with open_facility(store, dagster, bearer(store, Scope.LAUNCH)) as client:
        assert client.post(f"/api/nights/SIMOBS/{NIGHT}/runs").status_code == 202
        assert client.post("/api/nights/SIMOBS/2026-13-01/runs").status_code == 404
        (listed,) = client.get(f"/api/nights/SIMOBS/{NIGHT}/runs").json()
    assert (listed["job"], listed["partition"]) == ("night_SIMOBS", NIGHT)
