"""A gateway of a small facility, with a Dagster made of lists."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
from gateway_kit import FakeDagster, make_settings, serve_app
from live_page_kit import CHECKOUT, simulated_instruments

from gateway import make_app
from gateway.facility import Facility
from runstart.microscopes import read_microscopes
from runstart.nights import read_sites
from runstart.pipelines import find_pipelines
from runstart.storage import ObjectStore


def make_facility() -> Facility:
    return Facility(
        instruments=simulated_instruments("SIMSANS", "SANS2D"),
        microscopes=read_microscopes(CHECKOUT / "microscopes.toml", {}),
        sites=read_sites(CHECKOUT / "sites.toml", {}),
        pipelines=find_pipelines([CHECKOUT / "operators"]),
    )


@contextlib.contextmanager
def open_facility(
    store: ObjectStore, dagster: FakeDagster | None = None, headers: dict[str, str] | None = None, **settings: Any
) -> Iterator[httpx.Client]:
    """Yield a client of a gateway; reading is open unless settings say otherwise."""
    fake = FakeDagster() if dagster is None else dagster
    app = make_app(
        make_settings(**{"open_reading": True, **settings}), store, fake.client(), facility=make_facility()
    )
    with serve_app(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False, headers=headers) as client:
        yield client
