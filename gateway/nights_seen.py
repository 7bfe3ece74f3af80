"""Nights as the object store has them: what was made of each, with its pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from gateway.errors import Refusal
from runstart.nights import is_night, load_record
from runstart.nights.record import (
    CALIBRATED,
    CATALOGS,
    COLOR_IMAGES,
    EXPOSURES,
    MASTER_BIAS,
    MASTER_DARK,
    MASTER_FLAT,
    STACKS,
)
from runstart.operation_kit import load_entry
from runstart.storage import ObjectMissing

if TYPE_CHECKING:
    from runstart.nights import Site
    from runstart.nights.record import Product, Record
    from runstart.storage import ObjectStore, StoredObject

LIST_SECONDS = 20.0
MOST_NIGHTS = 400
SHOWN = 24  # pictures of a night at a glance
ASSETS = (EXPOSURES, MASTER_BIAS, MASTER_DARK, MASTER_FLAT, CALIBRATED, STACKS, COLOR_IMAGES, CATALOGS)
_BEST = (COLOR_IMAGES, STACKS)  # what a page shows of a night, in this order

Size = Literal["large", "small"]


class ProductState(BaseModel):
    """One product of a night."""

    asset: str = Field(examples=["stacks"])
    number: int = Field(description="Its place among the products of the asset, from 0.")
    name: str = Field(examples=["M51 gp"])
    object: str = ""
    filter: str = ""
    has_picture: bool = False
    trouble: str = Field("", description="Why it could not be made.")
    figures: dict[str, Any] = {}


class NightState(BaseModel):
    """A night at a glance."""

    site: str = Field(examples=["SIMOBS"])
    night: str = Field(examples=["2026-03-28"])
    exposures: int = 0
    troubles: int = Field(0, description="Exposures and products that cannot be used or made.")
    products: list[ProductState] = Field([], description="Its colour images and stacks.")


class NightDetail(NightState):
    """A night in full: all products."""

    remarks: list[str] = []


class SiteState(BaseModel):
    """A site and its newest night with products."""

    name: str = Field(examples=["SIMOBS"])
    title: str = ""
    nights: int = Field(0, description="How many nights have records.")
    last: NightState | None = None


class NightsSeen:
    """The nights of a facility's sites.

    Parameters
    ----------
    store : ObjectStore
        Holds records and products.
    sites : mapping of str to Site
        As declared.
    """

    def __init__(self, store: ObjectStore, sites: Mapping[str, Site]) -> None:
        self._store = store
        self._sites = dict(sites)
        self._listed: dict[str, tuple[float, dict[str, set[str]]]] = {}

    def overview(self) -> list[SiteState]:
        """Return every site with its newest night that has pictures, as it was a few seconds ago.

        Raises
        ------
        Transient
            If the store does not answer.
        """
        return [self._site_state(site) for site in self._sites.values()]

    def nights(self, site: str) -> list[str]:
        """Return the nights of a site that have records, the newest first.

        Raises
        ------
        Refusal
            404, if there is no such site.
        """
        return sorted(self._list(self._check(site)), reverse=True)[:MOST_NIGHTS]

    def night(self, site: str, night: str) -> NightDetail:
        """Return all that was made of a night.

        Raises
        ------
        Refusal
            404, if it has no record.
        """
        declared = self._check(site, night)
        records = [record for asset in ASSETS if (record := load_record(self._store, declared, night, asset))]
        if not records:
            raise Refusal(404, f"Nothing was made of the night {night} of {site} yet.")
        products = [state for record in records for state in _states(record)]
        return NightDetail(
            site=site,
            night=night,
            exposures=sum(len(record.exposures) for record in records),
            troubles=_count_troubles(records),
            products=products,
            remarks=[remark for record in records for remark in record.remarks],
        )

    def picture(self, site: str, night: str, asset: str, number: int, size: Size) -> StoredObject:
        """Return the JPEG of a product.

        Raises
        ------
        Refusal
            404, if there is none.
        """
        declared = self._check(site, night)
        record = load_record(self._store, declared, night, asset) if asset in ASSETS else None
        missing = Refusal(404, f"The night {night} of {site} has no such picture.")
        if record is None or not 0 <= number < len(record.products):
            raise missing
        product = record.products[number]
        entry = load_entry(self._store, product.key) if product.key else None
        for output in entry.outputs if entry is not None else ():
            if output.basename == product.basename and size in output.objects:
                try:
                    return self._store.get(output.objects[size])
                except ObjectMissing:
                    break
        raise missing

    def _check(self, site: str, night: str | None = None) -> Site:
        declared = self._sites.get(site)
        if declared is None:
            raise Refusal(404, "There is no such site.")
        if night is not None and not is_night(night):
            raise Refusal(404, f"{site} has no such night.")
        return declared

    def _list(self, site: Site) -> dict[str, set[str]]:
        """Return which assets have a record, by night, as it was a few seconds ago."""
        now = time.monotonic()
        at, nights = self._listed.get(site.name, (-LIST_SECONDS, {}))
        if now - at >= LIST_SECONDS:
            nights = {}
            prefix = f"nights/{site.name}/"
            for key in self._store.list(prefix):
                night, _, name = key.removeprefix(prefix).partition("/")
                if is_night(night):
                    nights.setdefault(night, set()).add(name.removesuffix(".json"))
            self._listed[site.name] = (now, nights)
        return nights

    def _site_state(self, site: Site) -> SiteState:
        nights = self._list(site)
        state = SiteState(name=site.name, title=site.title, nights=len(nights))
        with_pictures = [night for night, assets in nights.items() if assets & set(_BEST)]
        for night in sorted(with_pictures, reverse=True)[:1]:
            records = [r for asset in (EXPOSURES, *_BEST) if (r := load_record(self._store, site, night, asset))]
            products = [product for record in records for product in _states(record) if product.has_picture]
            state.last = NightState(
                site=site.name,
                night=night,
                exposures=sum(len(record.exposures) for record in records),
                troubles=_count_troubles(records),
                products=sorted(products, key=lambda product: _BEST.index(product.asset))[:SHOWN],
            )
        return state


def _states(record: Record) -> list[ProductState]:
    return [_product_state(record.asset, number, product) for number, product in enumerate(record.products)]


def _product_state(asset: str, number: int, product: Product) -> ProductState:
    return ProductState(
        asset=asset,
        number=number,
        name=product.name,
        object=product.object,
        filter=product.filter,
        has_picture=bool(product.key),
        trouble=product.trouble,
        figures=dict(product.figures),
    )


def _count_troubles(records: list[Record]) -> int:
    exposures = sum(bool(exposure.trouble) for record in records for exposure in record.exposures)
    return exposures + sum(bool(product.trouble) for record in records for product in record.products)
