"""What an observer looks at in a night, as checks of its records against the site's limits.

A check judges what was recorded and reads no image. Its text says how many, the limit, and which files. An error
means that the asset is not what it should be; if the check is blocking too, nothing is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from runstart.nights.exposures import LEFT_OUT
from runstart.nights.masters import BIAS, DARK, FLAT, SCIENCE
from runstart.nights.record import (
    CALIBRATED,
    CATALOGS,
    COLOR_IMAGES,
    EXPOSURES,
    MASTER_BIAS,
    MASTER_DARK,
    MASTER_FLAT,
    STACKS,
    Exposure,
    Product,
    Record,
)
from runstart.nights.site import Site

Records = Mapping[str, Record]
Severity = Literal["error", "warn"]
_MOST_NAMES = 5


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    passed : bool
        Whether all is well.
    severity : str
        `error` or `warn`, if it did not pass.
    text : str
        For people, with numbers, limits and files.
    figures : mapping of str to number
        The numbers alone.
    """

    passed: bool
    severity: Severity
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_error(self) -> bool:
        """Whether the asset is not what it should be."""
        return not self.passed and self.severity == "error"


@dataclass(frozen=True)
class Check:
    """A check of an asset of a night.

    Attributes
    ----------
    asset, name : str
        Of what, and which.
    blocking : bool
        Whether an error keeps what is made of the asset from being made.
    description : str
        For people.
    judge : callable
        Takes the site, and the night's records by asset: of the check's asset and of `needs`.
    needs : tuple of str
        Other assets whose records it looks at.
    """

    asset: str
    name: str
    blocking: bool
    description: str
    judge: Callable[[Site, Records], Verdict]
    needs: tuple[str, ...] = (EXPOSURES,)


def _readable(_site: Site, records: Records) -> Verdict:
    exposures = records[EXPOSURES].exposures
    damaged = [f"{e.name} ({e.trouble})" for e in exposures if e.trouble]
    figures = {"exposures": len(exposures), "damaged": len(damaged)}
    left_out = [f" {remark}" for remark in records[EXPOSURES].remarks if remark.startswith(LEFT_OUT)]
    text = f"All {len(exposures)} files can be read."
    if damaged:
        text = f"{len(damaged)} of {len(exposures)} files cannot be used: {_few(damaged)}."
    return Verdict(not damaged, "warn", text + "".join(left_out), figures)


def _wcs_present(_site: Site, records: Records) -> Verdict:
    science = _usable(records, SCIENCE)
    without = [e.name for e in science if not e.has_wcs]
    figures = {"science": len(science), "without_wcs": len(without)}
    if not without:
        return Verdict(True, "error", f"All {len(science)} science exposures have a WCS.", figures)
    text = f"{len(without)} of {len(science)} science exposures have no WCS and cannot be stacked: {_few(without)}."
    return Verdict(False, "error", text, figures)


def _saturation(site: Site, records: Records) -> Verdict:
    limit = site.limits.saturated_fraction
    science = _usable(records, SCIENCE)
    above = [f"{e.name} ({e.saturated_fraction:.2%})" for e in science if e.saturated_fraction > limit]
    figures = {
        "saturated": len(above),
        "largest_fraction": max((e.saturated_fraction for e in science), default=0.0),
    }
    if not above:
        return Verdict(True, "warn", f"No science exposure is saturated in more than {limit:.2%} of it.", figures)
    text = (
        f"{len(above)} of {len(science)} science exposures are saturated in more than {limit:.2%}: {_few(above)}."
    )
    return Verdict(False, "warn", text, figures)


def _enough(
    what: str, kind: str, asset: str, limit_of: Callable[[Site], int]
) -> Callable[[Site, Records], Verdict]:
    def judge(site: Site, records: Records) -> Verdict:
        limit, count = limit_of(site), len(_usable(records, kind))
        text = f"{count} good {what} exposures; at least {limit} are wanted."
        standing_in = _stand_ins(records[asset])
        if standing_in:
            text += f" {_few(standing_in)}."
        failed = _failures(records[asset].products)
        if failed:
            text += f" Not made: {_few(failed)}."
        return Verdict(count >= limit and not failed, "warn", text, {"exposures": count, "limit": limit})

    return judge


def _bias_level(site: Site, records: Records) -> Verdict:
    lowest, highest = site.limits.bias_level
    levels = {e.name: e.median for e in _usable(records, BIAS) if e.median is not None}
    if not levels:
        return Verdict(True, "error", "There is no bias exposure to look at.")
    middle = median(levels.values())
    outside = [f"{name} ({level:,.0f})" for name, level in levels.items() if not lowest <= level <= highest]
    text = f"The median bias level is {middle:,.1f} ADU; {lowest:,.0f} to {highest:,.0f} are allowed."
    if outside:
        text += f" Outside: {_few(outside)}."
    return Verdict(lowest <= middle <= highest, "error", text, {"level_adu": middle, "outside": len(outside)})


def _bias_noise(site: Site, records: Records) -> Verdict:
    limit = site.limits.bias_noise
    noises = {e.name: e.noise for e in _usable(records, BIAS) if e.noise is not None}
    if not noises:
        return Verdict(True, "error", "There is no bias exposure to look at.")
    middle = median(noises.values())
    above = [f"{name} ({noise:,.1f})" for name, noise in noises.items() if noise > limit]
    text = f"The median noise of a bias is {middle:,.1f} ADU; at most {limit:,.1f} is allowed."
    if above:
        text += f" Above: {_few(above)}."
    return Verdict(middle <= limit, "error", text, {"noise_adu": middle, "above": len(above)})


def _enough_flats(site: Site, records: Records) -> Verdict:
    limit = site.limits.flats
    lowest, highest = site.limits.flat_level
    used = sorted({e.filter for e in _usable(records, SCIENCE)})
    failed = _failures(records[MASTER_FLAT].products)
    not_made = f" Not made: {_few(failed)}." if failed else ""
    if not used:
        return Verdict(not failed, "warn", f"No science exposure needs a flat.{not_made}")
    flats = [e for e in _usable(records, FLAT) if e.median is not None and lowest <= e.median <= highest]
    counts = {of: sum(e.filter == of for e in flats) for of in used}
    few = {of: count for of, count in counts.items() if count < limit}
    standing_in = {
        p.filter: p.night for p in records[MASTER_FLAT].products if _is_stand_in(records[MASTER_FLAT], p)
    }
    told = [
        f"{of or 'no filter'}: {count}"
        + (f", the master of {standing_in[of]} stands in" if of in standing_in else "")
        for of, count in few.items()
    ]
    figures = {f"flats {of}": count for of, count in counts.items()}
    lost = _without_master(records[MASTER_FLAT]).intersection(used)
    severity: Severity = "warn" if set(few) <= set(standing_in) and not lost else "error"
    text = f"All {len(used)} filters have {limit} good flats or more."
    if few:
        text = f"{len(few)} of {len(used)} filters have fewer than {limit} good flats ({'; '.join(told)})."
    return Verdict(not few and not failed, severity, text + not_made, figures)


def _without_master(record: Record) -> set[str]:
    """Return the filters of which a master could not be made, and none of the same shape stands in."""

    def fits(product: Product) -> tuple[str, Any, Any]:
        return product.filter, product.figures.get("rows"), product.figures.get("cols")

    there = {fits(product) for product in record.products if product.key}
    return {product.filter for product in record.products if not product.key and fits(product) not in there}


def _all_calibrated(_site: Site, records: Records) -> Verdict:
    science = len(_usable(records, SCIENCE))
    return _all_made(records[CALIBRATED].products, science, "science exposures", "calibrated", "error")


def _all_steps(_site: Site, records: Records) -> Verdict:
    remarks = records[CALIBRATED].remarks
    return Verdict(
        not remarks, "warn", " ".join(remarks) or "Every exposure has bias, dark, flat, gain and read noise."
    )


def _stacks_made(_site: Site, records: Records) -> Verdict:
    groups = {(p.object, p.filter) for p in records[CALIBRATED].products if p.key}
    stacks = records[STACKS].products
    return _all_made(stacks, max(len(groups), len(stacks)), "stacks", "made", "error")


def _seeing(site: Site, records: Records) -> Verdict:
    limit = site.limits.seeing_arcsec
    measured = {p.name: p.figures.get("seeing_arcsec") for p in records[STACKS].products if p.key}
    known = {name: seeing for name, seeing in measured.items() if seeing is not None}
    above = [f'{name} ({seeing:.1f}")' for name, seeing in known.items() if seeing > limit]
    figures: dict[str, Any] = {"measured": len(known), "above": len(above)}
    if not known:
        return Verdict(True, "warn", "There is no stack whose seeing is known.", figures)
    figures["median_arcsec"] = median(known.values())
    text = f'The median seeing of {len(known)} stacks is {figures["median_arcsec"]:.1f}"; at most {limit:.1f}" is allowed.'
    if above:
        text += f" Above: {_few(above)}."
    return Verdict(not above, "warn", text, figures)


def _pictures_made(site: Site, records: Records) -> Verdict:
    stacks = [p for p in records[STACKS].products if p.key and p.filter in site.colors]
    filters = {(p.object, p.filter) for p in stacks}
    objects = [of for of, _ in filters]
    pictures = records[COLOR_IMAGES].products
    several = {of for of in objects if objects.count(of) >= 2}
    verdict = _all_made(pictures, len(several), "objects with several filters", "pictured", "warn")
    crooked = [p.name for p in pictures if "not_aligned" in p.figures]
    if not crooked:
        return verdict
    text = f"{verdict.text} The filters are not aligned in the pictures of {_few(crooked)}."
    return Verdict(False, "warn", text, {**verdict.figures, "not_aligned": len(crooked)})


def _not_empty(site: Site, records: Records) -> Verdict:
    limit = site.limits.sources
    catalogs = records[CATALOGS].products
    counts = {p.name: int(p.figures.get("sources", 0)) for p in catalogs}
    trouble = {p.name: p.trouble for p in catalogs}
    few = [f"{name} ({trouble[name] or count})" for name, count in counts.items() if count < limit]
    figures = {"catalogs": len(counts), "sources": sum(counts.values()), "too_few": len(few)}
    if not few:
        text = f"{len(counts)} catalogues have {figures['sources']:,} sources, each at least {limit}."
        return Verdict(True, "error", text, figures)
    return Verdict(
        False,
        "error",
        f"{len(few)} of {len(counts)} catalogues have fewer than {limit} sources: {_few(few)}.",
        figures,
    )


CHECKS: tuple[Check, ...] = (
    Check(EXPOSURES, "readable", False, "No file of the night is damaged.", _readable),
    Check(
        EXPOSURES,
        "wcs_present",
        False,
        "Every science exposure has a WCS, so that it can be stacked.",
        _wcs_present,
    ),
    Check(EXPOSURES, "saturation", False, "No science exposure is saturated in a large part.", _saturation),
    Check(
        MASTER_BIAS,
        "enough_biases",
        False,
        "There are as many bias exposures as a good master needs.",
        _enough("bias", BIAS, MASTER_BIAS, lambda site: site.limits.biases),
    ),
    Check(MASTER_BIAS, "bias_level", True, "The level of the bias is as always.", _bias_level),
    Check(MASTER_BIAS, "bias_noise", True, "The read noise of the bias is as always.", _bias_noise),
    Check(
        MASTER_DARK,
        "enough_darks",
        False,
        "There are as many dark exposures as a good master needs.",
        _enough("dark", DARK, MASTER_DARK, lambda site: site.limits.darks),
    ),
    Check(
        MASTER_FLAT,
        "enough_flats",
        True,
        "There are enough good flats through every filter that was used; a warning if a recent master stands in.",
        _enough_flats,
    ),
    Check(CALIBRATED, "all_calibrated", False, "Every science exposure is calibrated.", _all_calibrated),
    Check(
        CALIBRATED,
        "all_steps",
        False,
        "Every exposure was calibrated with bias, dark and flat, and with a gain and a read noise that are known.",
        _all_steps,
        (),
    ),
    Check(STACKS, "made", False, "Every object is stacked, through every filter.", _stacks_made, (CALIBRATED,)),
    Check(STACKS, "seeing", False, "The stars of the stacks are sharp.", _seeing, ()),
    Check(
        COLOR_IMAGES, "made", False, "Every object with several filters has a picture.", _pictures_made, (STACKS,)
    ),
    Check(CATALOGS, "not_empty", False, "Every stack has sources.", _not_empty, ()),
)


def _all_made(products: Sequence[Product], wanted: int, what: str, done: str, severity: Severity) -> Verdict:
    made = sum(bool(product.key) for product in products)
    failed = _failures(products)
    text = f"{made} of {wanted} {what} are {done}."
    if failed:
        text += f" Not: {_few(failed)}."
    return Verdict(made >= wanted and not failed, severity, text, {"made": made, "wanted": wanted})


def _failures(products: Iterable[Product]) -> list[str]:
    return [f"{product.name} ({product.trouble})" for product in products if not product.key]


def _usable(records: Records, kind: str) -> list[Exposure]:
    return [e for e in records[EXPOSURES].exposures if e.kind == kind and not e.trouble]


def _is_stand_in(record: Record, product: Product) -> bool:
    return bool(product.key) and product.night != record.night


def _stand_ins(record: Record) -> list[str]:
    return [f"The {p.name} of {p.night} stands in" for p in record.products if _is_stand_in(record, p)]


def _few(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
