"""What Dagster's pages show of a night: rows, pictures and figures of its records, and what the columns mean."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from runstart.nights import Exposure, Product, Record

MOST_ROWS = 300  # of a table in Dagster's event log
MOST_PICTURES = 8

EXPOSURE_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("name", "string", "Name below the site's folder or bucket"),
        dg.TableColumn("kind", "string", "bias, dark, flat, science or other"),
        dg.TableColumn("object", "string", "What was observed"),
        dg.TableColumn("filter", "string", "Filter in the beam"),
        dg.TableColumn("exposure_s", "float", "Exposure time, s"),
        dg.TableColumn("time", "string", "Begin, UTC"),
        dg.TableColumn("median", "float", "Median of the raw pixels, ADU"),
        dg.TableColumn("noise", "float", "Robust noise of the raw pixels, ADU"),
        dg.TableColumn("saturated", "float", "Part of the pixels that is saturated"),
        dg.TableColumn("wcs", "bool", "Whether the header says where on the sky it is"),
        dg.TableColumn("trouble", "string", "Why it cannot be used"),
    ]
)

CATALOG_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("x", "float", "Column of the centre, px; the first pixel's centre is 1"),
        dg.TableColumn("y", "float", "Row of the centre, px; the first pixel's centre is 1"),
        dg.TableColumn("ra", "float", "Right ascension, degrees"),
        dg.TableColumn("dec", "float", "Declination, degrees"),
        dg.TableColumn("flux", "float", "Flux above the background, electrons"),
        dg.TableColumn("flux_err", "float", "Its standard deviation, electrons"),
        dg.TableColumn("peak", "float", "Brightest pixel above the background, electrons"),
        dg.TableColumn("fwhm", "float", "Full width at half maximum, px"),
        dg.TableColumn("ellipticity", "float", "1 - b/a"),
        dg.TableColumn("flag", "int", "0 for a clean detection"),
    ]
)


def describe_record(record: Record) -> dict[str, Any]:
    """Return the metadata of a materialization of one asset of one night."""
    shown = _describe_exposures(record) if record.asset == "exposures" else _describe_products(record)
    if record.remarks:
        shown["remarks"] = dg.MetadataValue.md("\n".join(f"- {remark}" for remark in record.remarks))
    return shown | {"made_of": record.made_of}


def _describe_exposures(record: Record) -> dict[str, Any]:
    kinds = Counter(exposure.kind for exposure in record.exposures)
    metadata: dict[str, Any] = {"dagster/row_count": len(record.exposures)}
    metadata |= {f"{kind}_exposures": kinds[kind] for kind in ("bias", "dark", "flat", "science")}
    metadata["damaged"] = sum(bool(exposure.trouble) for exposure in record.exposures)
    rows = [dg.TableRecord(_exposure_row(exposure)) for exposure in record.exposures[:MOST_ROWS]]
    if rows:
        metadata["exposures"] = dg.MetadataValue.table(rows, EXPOSURE_COLUMNS)
    return metadata


def _exposure_row(exposure: Exposure) -> dict[str, Any]:
    return {
        "name": exposure.name,
        "kind": exposure.kind,
        "object": exposure.object,
        "filter": exposure.filter,
        "exposure_s": exposure.exposure_s,
        "time": exposure.time,
        "median": math.nan if exposure.median is None else exposure.median,
        "noise": math.nan if exposure.noise is None else exposure.noise,
        "saturated": exposure.saturated_fraction,
        "wcs": exposure.has_wcs,
        "trouble": exposure.trouble,
    }


def _describe_products(record: Record) -> dict[str, Any]:
    made = [product for product in record.products if not product.trouble]
    pictures = {
        f"{product.name} ": dg.MetadataValue.md(product.thumbnail)  # the space keeps it from hiding a figure
        for product in made[:MOST_PICTURES]
        if product.thumbnail
    }
    metadata: dict[str, Any] = dict(pictures)
    sources = [product.figures["sources"] for product in made if "sources" in product.figures]
    metadata["dagster/row_count"] = sum(sources) if sources else len(made)
    metadata["not_made"] = len(record.products) - len(made)
    rows = [dg.TableRecord(_product_row(product)) for product in record.products[:MOST_ROWS]]
    if rows:
        metadata["products"] = dg.MetadataValue.table(rows)
    return metadata


def _product_row(product: Product) -> dict[str, Any]:
    figures = ", ".join(f"{name} {_short(value)}" for name, value in product.figures.items())
    return {
        "product": product.name,
        "basename": product.basename,
        "made of": len(product.inputs),
        "night": product.night,
        "figures": figures,
        "trouble": product.trouble,
    }


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
