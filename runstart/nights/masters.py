"""Master bias, dark and flats of a night, one for each shape of the images (and filter), and what stands in for one.

A night without biases or darks, or with fewer flats through a filter than `limits.flats`, takes the master of the
newest earlier night of the site that has one, at most `limits.master_days` old. If there is none either, the master is
made of the few exposures that there are; without any, images are calibrated without that step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runstart.nights.record import (
    MASTER_BIAS,
    MASTER_DARK,
    MASTER_FLAT,
    Exposure,
    Product,
    Record,
)
from runstart.nights.work import Contents, NightWork, camera_inputs, stored, taken
from runstart.operation_kit import load_entry

BIAS, DARK, FLAT, SCIENCE = "bias", "dark", "flat", "science"
INPUTS = {MASTER_BIAS: "bias_file", MASTER_DARK: "dark_file", MASTER_FLAT: "flat_file"}
"""What data operations call the masters that they take."""

_KINDS = {MASTER_BIAS: BIAS, MASTER_DARK: DARK, MASTER_FLAT: FLAT}
Shape = tuple[int, int]


@dataclass(frozen=True)
class MasterPlan:
    """A master that a night needs.

    Attributes
    ----------
    name : str
        Such as `flat rp`.
    shape : (int, int)
        Rows and columns of the raw images.
    filter : str
        Empty for bias and dark.
    exposures : tuple of Exposure
        What the night has for it.
    stand_in : Product or None
        The earlier master that is used instead.
    """

    name: str
    shape: Shape
    filter: str
    exposures: tuple[Exposure, ...]
    stand_in: Product | None = None


def find_master(record: Record, exposure: Exposure) -> Product | None:
    """Return the master of a record that fits an exposure; None if there is none."""
    return _find(record, *_group(record.asset, exposure))


def plan_masters(work: NightWork, asset: str) -> list[MasterPlan]:
    """Return the masters of a kind that a night's exposures need, with those that stand in, from records only."""
    kind = _KINDS[asset]
    least = max(1, work.site.limits.flats) if asset == MASTER_FLAT else 1
    own = [e for e in work.usable(kind) if asset != MASTER_FLAT or is_good_flat(work, e)]
    needed = [*own, *(work.usable(SCIENCE) if asset == MASTER_FLAT else _all_usable(work))]
    groups = sorted({_group(asset, e) for e in needed})
    several_shapes = len({shape for shape, _ in groups}) > 1
    plans = []
    for shape, of_filter in groups:
        good = tuple(e for e in own if _group(asset, e) == (shape, of_filter))
        name = " ".join(filter(None, (kind, of_filter, f"{shape[0]}x{shape[1]}" if several_shapes else "")))
        stand_in = _find_earlier(work, asset, shape, of_filter, least) if len(good) < least else None
        plans.append(MasterPlan(name, shape, of_filter, good, stand_in))
    return plans


def stand_ins(work: NightWork, asset: str) -> list[list[str]]:
    """Return which earlier masters a night's asset would take now: names and keys."""
    return [[plan.name, plan.stand_in.key] for plan in plan_masters(work, asset) if plan.stand_in is not None]


def newest_masters(work: NightWork) -> list[list[str]]:
    """Return the keys of the newest earlier masters of each kind, whether the night needs them or not."""
    keys = []
    for asset in _KINDS:
        own = ([p.key for p in r.products if p.key and p.night == r.night] for r in work.earlier(asset))
        keys.append(next(filter(None, own), []))
    return keys


def is_good_flat(work: NightWork, exposure: Exposure) -> bool:
    """Tell whether a flat is neither too dark nor too bright."""
    lowest, highest = work.site.limits.flat_level
    return exposure.median is not None and lowest <= exposure.median <= highest


def make_master_bias(work: NightWork) -> Contents:
    """Make the master biases of a night."""
    return _make(work, MASTER_BIAS, ())


def make_master_dark(work: NightWork) -> Contents:
    """Make the master darks of a night."""
    return _make(work, MASTER_DARK, (MASTER_BIAS,))


def make_master_flat(work: NightWork) -> Contents:
    """Make the master flats of a night, one for each filter."""
    lowest, highest = work.site.limits.flat_level
    dropped = tuple(
        f"{e.name} is left out of the master flat: its level is "
        f"{'not known' if e.median is None else f'{e.median:,.0f} ADU'}, not {lowest:,.0f} to {highest:,.0f}."
        for e in work.usable(FLAT)
        if not is_good_flat(work, e)
    )
    made = _make(work, MASTER_FLAT, (MASTER_BIAS, MASTER_DARK))
    return Contents(products=made.products, remarks=(*dropped, *made.remarks))


def _make(work: NightWork, asset: str, masters: tuple[str, ...]) -> Contents:
    products: list[Product] = []
    remarks: list[str] = []
    records = {master: work.record(master) for master in masters}
    for plan in work.each(plan_masters(work, asset), lambda plan: plan.name):
        stand_in, why = plan.stand_in, _lack(asset, plan)
        if stand_in is None and plan.exposures:
            products.append(_make_own(work, asset, plan, records))
            if products[-1].trouble:
                why = f"it could not be made: {products[-1].trouble.rstrip('.')}"
                remarks.append(f"The night has no master {plan.name} of its own: {why}.")
                stand_in = _find_earlier(work, asset, plan.shape, plan.filter, 1)
        if stand_in is not None:
            products.append(stand_in)
            remarks.append(f"The master {plan.name} of {stand_in.night} stands in: {why}.")
        elif not plan.exposures:
            remarks.append(f"There is no master {plan.name}: {why}, and no recent master.")
    return Contents(products=tuple(products), remarks=tuple(remarks))


def _make_own(work: NightWork, asset: str, plan: MasterPlan, records: Mapping[str, Record]) -> Product:
    given: dict[str, Any] = {"input_files": [taken(work.site, e) for e in plan.exposures]}
    given |= camera_inputs(work.site)
    for master, record in records.items():
        found = _find(record, plan.shape, "")
        given[INPUTS[master]] = [] if found is None else [stored(found)]
    rows, cols = plan.shape
    product = Product(
        name=plan.name,
        filter=plan.filter,
        night=work.night,
        inputs=tuple(e.name for e in plan.exposures),
        figures={"frames": len(plan.exposures), "rows": rows, "cols": cols},
    )
    return work.make(product, asset, given)


def _lack(asset: str, plan: MasterPlan) -> str:
    count = len(plan.exposures)
    exposures = f"{count} good {_KINDS[asset]} exposure{'' if count == 1 else 's'}"
    return f"the night has {exposures}" if count else f"the night has no good {_KINDS[asset]} exposure"


def _find_earlier(work: NightWork, asset: str, shape: Shape, of_filter: str, least: int) -> Product | None:
    for record in work.earlier(asset):
        own = _find(record, shape, of_filter)
        is_own = own is not None and own.night == record.night and own.figures["frames"] >= least
        if own is not None and is_own and load_entry(work.workplace.store, own.key) is not None:
            return own
    return None


def _find(record: Record, shape: Shape, of_filter: str) -> Product | None:
    fitting = (
        product
        for product in record.products
        if product.key
        and product.filter == of_filter
        and (product.figures.get("rows"), product.figures.get("cols")) == shape
    )
    return next(fitting, None)


def _all_usable(work: NightWork) -> Iterator[Exposure]:
    for kind in (DARK, FLAT, SCIENCE):
        yield from work.usable(kind)


def _group(asset: str, exposure: Exposure) -> tuple[Shape, str]:
    """Return which master of an asset fits an exposure."""
    return (exposure.rows, exposure.cols), exposure.filter if asset == MASTER_FLAT else ""
