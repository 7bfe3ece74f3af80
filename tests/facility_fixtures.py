"""The facility of the end-to-end tests, on the broker and the store of the tier."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from dagster_kit import DagsterFacility, small_instrument

if TYPE_CHECKING:
    from runstart.facility import Broker, S3Server

Place: TypeAlias = tuple[str, Mapping[str, str]]
_serial = itertools.count(1)


@pytest.fixture(scope="session")
def store_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Gives the URL of a new store and the environment that it needs."""
    if not request.config.getoption("--real"):
        return lambda: (f"file:{tmp_path_factory.mktemp('store')}", {})
    server: S3Server = request.getfixturevalue("s3_server")

    def place() -> Place:
        return f"s3://runstart-tests/facility-{secrets.token_hex(4)}", server.environment

    return place


@pytest.fixture(scope="session")
def new_name() -> Callable[[], str]:
    """Gives instruments names, and so topics, that no other test uses."""
    prefix = f"T{secrets.token_hex(3)}"
    return lambda: f"{prefix}_{next(_serial)}"


@pytest.fixture
def facility(
    broker: Broker, store_place: Callable[[], Place], tmp_path: Path, new_name: Callable[[], str]
) -> Iterator[DagsterFacility]:
    """Two small instruments and an instance without a daemon: runs are executed by `facility.work`."""
    tables = small_instrument(new_name()) + small_instrument(new_name())
    with DagsterFacility(tmp_path / "facility", tables, broker.bootstrap_servers, *store_place()) as made:
        yield made


@pytest.fixture
def instrument(facility: DagsterFacility) -> str:
    """The name of the facility's first instrument."""
    return next(iter(facility.instruments))
