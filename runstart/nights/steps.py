"""The assets of a night and how each is made of the others.

What a record was made of is told by one digest: over the records that it needs, the site's settings that matter,
earlier masters that stand in, and the code. It can be computed without making anything, so that a night whose digests
are as expected need not be looked at again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runstart.nights.exposures import describe_exposures, make_exposures
from runstart.nights.masters import make_master_bias, make_master_dark, make_master_flat, stand_ins
from runstart.nights.products import (
    make_calibrated,
    make_color_images,
    make_source_catalog,
    make_stacks,
)
from runstart.nights.record import (
    CALIBRATED,
    CATALOGS,
    COLOR_IMAGES,
    EXPOSURES,
    MASTER_BIAS,
    MASTER_DARK,
    MASTER_FLAT,
    STACKS,
    Record,
    save_record,
)
from runstart.nights.work import Contents, NightWork, data_operations
from runstart.operation_kit import library_version


def _nothing(_work: NightWork) -> Any:
    return None


@dataclass(frozen=True)
class Step:
    """An asset of a night.

    Attributes
    ----------
    asset : str
        Its name.
    needs : tuple of str
        Assets of the same night that it is made of.
    make : callable
        Makes it, of the records in the store.
    version : str
        Raised when it is made in another way.
    description : str
        For people.
    kinds : tuple of str
        What it is, in short: for the tags of a catalogue.
    operation : str
        The data operation that makes it: an edit of its file is a new version of the asset's code.
    also : callable
        Returns what else it is made of, as plain JSON.
    """

    asset: str
    needs: tuple[str, ...]
    make: Callable[[NightWork], Contents]
    version: str
    description: str
    kinds: tuple[str, ...]
    operation: str = ""
    also: Callable[[NightWork], Any] = _nothing


STEPS: tuple[Step, ...] = (
    Step(
        EXPOSURES,
        (),
        make_exposures,
        "1",
        "What was taken in the night: an index of all FITS files with their headers and their quality.",
        ("fits", "table"),
        also=describe_exposures,
    ),
    Step(
        MASTER_BIAS,
        (EXPOSURES,),
        make_master_bias,
        "1",
        "The night's bias exposures, combined without outliers.",
        ("fits", "image"),
        operation=MASTER_BIAS,
        also=lambda work: stand_ins(work, MASTER_BIAS),
    ),
    Step(
        MASTER_DARK,
        (EXPOSURES, MASTER_BIAS),
        make_master_dark,
        "1",
        "Dark current per second, of the night's dark exposures without bias.",
        ("fits", "image"),
        operation=MASTER_DARK,
        also=lambda work: stand_ins(work, MASTER_DARK),
    ),
    Step(
        MASTER_FLAT,
        (EXPOSURES, MASTER_BIAS, MASTER_DARK),
        make_master_flat,
        "1",
        "Response of the pixels through each filter, of the night's flats that are neither too dark nor too bright.",
        ("fits", "image"),
        operation=MASTER_FLAT,
        also=lambda work: [stand_ins(work, MASTER_FLAT), work.site.limits.flat_level, work.site.limits.flats],
    ),
    Step(
        CALIBRATED,
        (EXPOSURES, MASTER_BIAS, MASTER_DARK, MASTER_FLAT),
        make_calibrated,
        "1",
        "Science exposures without bias and dark current, divided by the flat, with uncertainty and mask.",
        ("fits", "image"),
        operation="calibration",
    ),
    Step(
        STACKS,
        (CALIBRATED,),
        make_stacks,
        "1",
        "The calibrated exposures of each object through each filter, registered by their WCS and combined.",
        ("fits", "image"),
        operation="mean_stack",
    ),
    Step(
        COLOR_IMAGES,
        (STACKS,),
        make_color_images,
        "1",
        "A colour picture of each object with stacks through two filters or more that have a colour.",
        ("image", "jpeg"),
        operation="color_image",
        also=lambda work: sorted(work.site.colors.items()),
    ),
    Step(
        CATALOGS,
        (STACKS,),
        make_source_catalog,
        "1",
        "Positions, fluxes and shapes of the sources of each stack.",
        ("fits", "table"),
        operation="source_catalog",
    ),
)

_BY_ASSET = {step.asset: step for step in STEPS}


def find_step(asset: str) -> Step:
    """Return the step that makes an asset.

    Raises
    ------
    KeyError
        If there is no such asset.
    """
    return _BY_ASSET[asset]


def code_version(asset: str) -> str:
    """Return the version of the code that makes an asset: of its step, the library, and its data operation."""
    step = find_step(asset)
    if not step.operation:
        return f"{step.version}-{library_version()}"
    operation = data_operations()[step.operation]
    return f"{step.version}-{library_version()}-{operation.version}.{operation.source_sha256[:8]}"


def expected_made_of(work: NightWork, asset: str, code: str = "") -> str:
    """Return what the record of an asset would be made of now, without making it.

    Parameters
    ----------
    work : NightWork
        The night.
    asset : str
        Which.
    code : str, optional
        Version of the code; by default the present one.

    Raises
    ------
    Alert
        If an asset that it needs has not been made.
    Transient
        If the store or the exposures cannot be reached.
    """
    step = find_step(asset)
    told = {
        "asset": asset,
        "code": code or code_version(asset),
        "records": {need: work.record(need).digest for need in step.needs},
        "keywords": work.site.keywords.model_dump(mode="json"),
        "also": step.also(work),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def make_step(work: NightWork, asset: str) -> Record:
    """Make an asset of a night of what is there, save its record, and return it.

    Data operations that were computed before are not computed again.

    Raises
    ------
    Alert
        If an asset that it needs has not been made.
    Transient
        If it passes by itself: the store or a source does not answer.
    """
    # What comes while the asset is made is not in this digest: the record will count as made of something else.
    made_of = expected_made_of(work, asset)
    contents = find_step(asset).make(work)
    record = Record(
        site=work.site.name,
        night=work.night,
        asset=asset,
        code_version=code_version(asset),
        made_of=made_of,
        exposures=contents.exposures,
        products=contents.products,
        remarks=contents.remarks,
    )
    save_record(work.workplace.store, work.site, record)
    work.progress(1.0, f"Made {asset}")
    return record


def make_night(work: NightWork) -> dict[str, Record]:
    """Make all assets of a night, one after the other; return their records by asset."""
    return {step.asset: make_step(work, step.asset) for step in STEPS}
