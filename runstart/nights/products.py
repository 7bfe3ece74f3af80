"""What is made of a night's science exposures: calibrated exposures, stacks, colour images and catalogues.

Each exposure is calibrated by a request of its own, so that a new one costs only itself. Stacks are made of all
calibrated exposures of an object through a filter, registered by their WCS; what cannot be made is told, and the
others are made without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, TypeVar

from runstart.nights.masters import INPUTS, SCIENCE, find_master
from runstart.nights.record import (
    CALIBRATED,
    STACKS,
    Exposure,
    Product,
)
from runstart.nights.work import Contents, NightWork, camera_inputs, stored, taken

_SAME_TIME = 1.01  # shutters report what they have done: 60.012 s, 60.015 s
_BLACK, _WHITE = 1.0, 60.0  # in standard deviations above the sky
T = TypeVar("T")


def make_calibrated(work: NightWork) -> Contents:
    """Calibrate the science exposures of a night, each with the masters that fit it."""
    records = {asset: work.record(asset) for asset in INPUTS}
    products = []
    without: dict[str, list[str]] = {}
    for exposure in work.each(work.usable(SCIENCE), lambda exposure: exposure.name):
        masters = {asset: find_master(record, exposure) for asset, record in records.items()}
        missing = [asset for asset, master in masters.items() if master is None]
        for asset in missing:
            without.setdefault(asset, []).append(exposure.name)
        products.append(_calibrate(work, exposure, masters))
    remarks = [f"Calibrated without {asset}: {_few(names)}." for asset, names in without.items()]
    for assumed, of in _grouped(products, lambda product: product.figures.get("taken_for_granted", "")).items():
        if assumed:
            names = _few([product.name for product in of])
            remarks.append(
                f"Calibrated with {assumed}, since the header has none under the site's keywords: {names}."
            )
    return Contents(products=tuple(products), remarks=tuple(remarks))


def make_stacks(work: NightWork) -> Contents:
    """Stack the calibrated exposures of each object, filter and exposure time, since they are in electrons."""
    calibrated = [product for product in work.record(CALIBRATED).products if product.key]
    pairs = _grouped(calibrated, lambda p: (p.object, p.filter))
    groups = [
        (pair, alike, len(times) > 1) for pair, of in pairs.items() for times in [_by_time(of)] for alike in times
    ]
    products, remarks = [], []
    for (of, through), members, is_one_of_several in work.each(groups, lambda group: " ".join(group[0])):
        seconds = median(member.figures["exposure_s"] for member in members)
        time = _time_name(members[0].figures["exposure_s"]) if is_one_of_several else ""
        product = Product(
            name=_name(of, through, time),
            object=of,
            filter=through,
            night=work.night,
            inputs=tuple(member.name for member in members),
            figures={"frames": len(members), "exposure_s": seconds},
        )
        if len(members) == 1:
            remarks.append(f"{product.name} is one exposure, as it was calibrated: there is nothing to stack.")
            product = replace(members[0], name=product.name, inputs=product.inputs, figures=product.figures)
        else:
            given = {"input_files": [stored(member) for member in members], "registration": "wcs"}
            product = work.make(product, "mean_stack", given)
        products.append(_measured(work, product, members))
    return Contents(products=tuple(products), remarks=tuple(remarks))


def make_color_images(work: NightWork) -> Contents:
    """Compose a colour image of each object with stacks through two filters or more that `site.colors` names."""
    colors = work.site.colors
    stacks = [stack for stack in work.record(STACKS).products if stack.key and stack.filter in colors]
    groups = {of: _deepest(members) for of, members in _grouped(stacks, lambda stack: stack.object).items()}
    several = [(of, members) for of, members in groups.items() if len(members) >= 2]
    products = []
    for of, members in work.each(several, lambda group: group[0]):
        product = Product(
            name=_name(of),
            object=of,
            night=work.night,
            inputs=tuple(member.name for member in members),
        )
        channels = [_channel(work, stack) for stack in members]
        products.append(work.make(product, "color_image", {"color_channels": channels}))
    return Contents(products=tuple(products))


def make_source_catalog(work: NightWork) -> Contents:
    """Extract the sources of each stack."""
    stacks = [stack for stack in work.record(STACKS).products if stack.key]
    products = [_catalog(work, stack) for stack in work.each(stacks, lambda stack: stack.name)]
    return Contents(products=tuple(products))


def _measured(work: NightWork, stack: Product, members: Sequence[Product]) -> Product:
    """Return a stack with its sky, its noise and its seeing; the catalogue that tells it is one of the night's."""
    if not stack.key:
        return stack
    sky = median(member.figures.get("median_electrons", 0.0) for member in members)
    read_noise = median(member.figures["read_noise"] for member in members)
    noise = math.sqrt((max(sky, 0.0) + read_noise**2) / len(members))
    found = _catalog(work, stack).figures
    told = {name: found[name] for name in ("sources", "seeing_arcsec") if name in found}
    return replace(stack, figures={**stack.figures, "sky": sky, "noise": noise, **told})


def _catalog(work: NightWork, stack: Product) -> Product:
    product = Product(
        name=stack.name, object=stack.object, filter=stack.filter, night=work.night, inputs=(stack.name,)
    )
    return work.make(product, "source_catalog", {"input_files": [stored(stack)]})


def _channel(work: NightWork, stack: Product) -> dict[str, Any]:
    """Return a stack as a channel: its sky nearly black, and white what is far above the noise.

    The stack is taken with its catalogue, if it has one, since that aligns the channels.
    """
    sky, noise = stack.figures["sky"], stack.figures["noise"]
    catalog = _catalog(work, stack)
    return {
        **stored(catalog if catalog.key else stack),
        "color": dict(zip("rgb", work.site.colors[stack.filter], strict=True)),
        "zmin": sky + _BLACK * noise,
        "zmax": sky + _WHITE * noise,
    }


def _calibrate(work: NightWork, exposure: Exposure, masters: dict[str, Product | None]) -> Product:
    given: dict[str, Any] = {"input_files": [taken(work.site, exposure)], **camera_inputs(work.site)}
    given |= {INPUTS[asset]: [] if master is None else [stored(master)] for asset, master in masters.items()}
    product = Product(
        name=exposure.name,
        object=exposure.object,
        filter=exposure.filter,
        night=work.night,
        inputs=(exposure.name, *(master.name for master in masters.values() if master is not None)),
        figures={"exposure_s": exposure.exposure_s},
    )
    return work.make(product, "calibration", given)


def _grouped(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return dict(sorted(groups.items()))


def _by_time(exposures: Iterable[Product]) -> list[list[Product]]:
    """Return exposures grouped by their time, the shortest first; in a group it is up to 1 % above its first's."""
    groups: list[list[Product]] = []
    for exposure in sorted(exposures, key=lambda p: p.figures["exposure_s"]):
        seconds = exposure.figures["exposure_s"]
        if not groups or seconds > _SAME_TIME * groups[-1][0].figures["exposure_s"]:
            groups.append([])
        groups[-1].append(exposure)
    return groups


def _time_name(seconds: float) -> str:
    """Return an exposure time with three digits, which tell times apart that differ by more than 1 %."""
    return f"{float(f'{seconds:.3g}'):g}s"


def _deepest(stacks: Iterable[Product]) -> list[Product]:
    """Return the stack of the longest total exposure for each filter, by filter."""
    groups = _grouped(stacks, lambda stack: stack.filter)
    return [max(group, key=lambda p: p.figures["frames"] * p.figures["exposure_s"]) for group in groups.values()]


def _name(of: str, *more: str) -> str:
    return " ".join(filter(None, (of or "unnamed", *more)))


def _few(names: list[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
