"""Nights of an observing site: its exposures as they arrive, and what is made of them."""

from __future__ import annotations

from runstart.nights.again import (
    Choice,
    NightState,
    Reason,
    Rules,
    choose_nights,
    examine_nights,
    note_attempts,
    with_followers,
)
from runstart.nights.arrivals import Found, NightFiles, files_by_night, find_new, has_begun, list_arrivals
from runstart.nights.calendar import is_night, last_night, night_bounds, night_of
from runstart.nights.checks import CHECKS, Check, Verdict
from runstart.nights.exposures import (
    count_exposures,
    describe_exposures,
    exposure_source,
    has_celestial_wcs,
    index_files,
    kind_of,
    make_exposures,
)
from runstart.nights.kept import has_products, kept_keys
from runstart.nights.reading import EXPOSURES_VARIABLE, read_sites
from runstart.nights.record import Exposure, Product, Record, load_record, save_record
from runstart.nights.site import Keywords, Limits, Site
from runstart.nights.sources import add_sites, find_sites_file
from runstart.nights.steps import STEPS, Step, code_version, expected_made_of, find_step, make_night, make_step
from runstart.nights.work import NightWork
from runstart.places import Arrival, Listing

__all__ = [
    "CHECKS",
    "EXPOSURES_VARIABLE",
    "STEPS",
    "Arrival",
    "Check",
    "Choice",
    "Exposure",
    "Found",
    "Keywords",
    "Limits",
    "Listing",
    "NightFiles",
    "NightState",
    "NightWork",
    "Product",
    "Reason",
    "Record",
    "Rules",
    "Site",
    "Step",
    "Verdict",
    "add_sites",
    "choose_nights",
    "code_version",
    "count_exposures",
    "describe_exposures",
    "examine_nights",
    "expected_made_of",
    "exposure_source",
    "files_by_night",
    "find_new",
    "find_sites_file",
    "find_step",
    "has_begun",
    "has_celestial_wcs",
    "has_products",
    "index_files",
    "is_night",
    "kept_keys",
    "kind_of",
    "last_night",
    "list_arrivals",
    "load_record",
    "make_exposures",
    "make_night",
    "make_step",
    "night_bounds",
    "night_of",
    "note_attempts",
    "read_sites",
    "save_record",
    "with_followers",
]
