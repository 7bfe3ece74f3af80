"""What Dagster's pages show of a night: rows, pictures and figures of its records, and what the columns mean."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.metadata import plain_markdown, show_jpeg
from ops.pictures import fit_jpeg

if TYPE_CHECKING:
    from runstart.nights import Exposure, Product, Record
    from runstart.storage import ObjectStore

MOST_ROWS = 300  # of a table in Dagster's event log
MOST_PICTURES, MOST_LARGER_PICTURES = 8, 4
LARGER_PICTURES = ("stacks", "color_images")  # of which a larger picture is kept in the event log too

EXPOSURE_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("time", "string", "Begin, UTC"),
        dg.TableColumn("kind", "string", "bias, dark, flat, science or other"),
        dg.TableColumn("object", "string", "What was observed"),
        dg.TableColumn("filter", "string", "Filter in the beam"),
        dg.TableColumn("exposure", "float", "Exposure time, s"),
        dg.TableColumn("median", "float", "Median of the raw pixels, ADU"),
        dg.TableColumn("noise", "float", "Robust noise of the raw pixels, ADU"),
        dg.TableColumn("saturated", "string", "Part of the pixels that is saturated, %"),
        dg.TableColumn("WCS", "string", "Whether the header says where on the sky it is"),
        dg.TableColumn("trouble", "string", "Why it cannot be used"),
        dg.TableColumn("name", "string", "Name below the site's folder or bucket"),
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


def describe_record(record: Record, store: ObjectStore) -> dict[str, Any]:
    """Return the metadata of a materialization of one asset of one night: pictures first, digests last.

    Parameters
    ----------
    record : Record
        The asset.
    store : ObjectStore
        Has the pictures of its products.
    """
    shown = _describe_exposures(record) if record.asset == "exposures" else _describe_products(record, store)
    remarks = {
        "remarks": dg.MetadataValue.md("\n".join(f"- {plain_markdown(remark)}" for remark in record.remarks))
    }
    return (remarks if record.remarks else {}) | shown | {"made of": record.made_of}


def _describe_exposures(record: Record) -> dict[str, Any]:
    kinds = Counter(exposure.kind for exposure in record.exposures)
    metadata: dict[str, Any] = {"dagster/row_count": len(record.exposures)}
    metadata |= {f"{kind} exposures": kinds[kind] for kind in ("bias", "dark", "flat", "science")}
    metadata["damaged"] = sum(bool(exposure.trouble) for exposure in record.exposures)
    if record.exposures:
        metadata["summary"] = dg.MetadataValue.table(_summarize(record.exposures))
        rows = [dg.TableRecord(_exposure_row(exposure)) for exposure in record.exposures[:MOST_ROWS]]
        metadata["exposures"] = dg.MetadataValue.table(rows, EXPOSURE_COLUMNS)
    return metadata


def _summarize(exposures: Sequence[Exposure]) -> list[dg.TableRecord]:
    """Return a row for each kind, object and filter, in the order in which they were taken."""
    groups: dict[tuple[str, str, str], list[Exposure]] = {}
    for exposure in exposures:
        groups.setdefault((exposure.kind, exposure.object, exposure.filter), []).append(exposure)
    return [
        dg.TableRecord(
            {
                "kind": kind,
                "object": target,
                "filter": of_filter,
                "files": len(group),
                "damaged": sum(bool(exposure.trouble) for exposure in group),
                "exposure, s": _range(exposure.exposure_s for exposure in group),
                "median, ADU": _range(exposure.median for exposure in group),
                "noise, ADU": _range(exposure.noise for exposure in group),
            }
        )
        for (kind, target, of_filter), group in groups.items()
    ]


def _range(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    low, high = (_short(value) for value in (min(known), max(known))) if known else ("-", "-")
    return low if low == high else f"{low} to {high}"


def _exposure_row(exposure: Exposure) -> dict[str, Any]:
    return {
        "time": exposure.time[11:19],
        "kind": exposure.kind,
        "object": exposure.object,
        "filter": exposure.filter,
        "exposure": exposure.exposure_s,
        "median": math.nan if exposure.median is None else exposure.median,
        "noise": math.nan if exposure.noise is None else round(exposure.noise, 3),
        "saturated": f"{exposure.saturated_fraction:.2%}" if exposure.saturated_fraction else "",
        "WCS": "yes" if exposure.has_wcs else "",
        "trouble": exposure.trouble,
        "name": exposure.name,
    }


def _describe_products(record: Record, store: ObjectStore) -> dict[str, Any]:
    made = [product for product in record.products if not product.trouble]
    pictures = {
        f"{product.name} ": dg.MetadataValue.md(product.thumbnail)  # the space keeps it from hiding a figure
        for product in made[:MOST_PICTURES]
        if product.thumbnail
    }
    metadata: dict[str, Any] = dict(pictures)
    if record.asset in LARGER_PICTURES:
        for product in made[:MOST_LARGER_PICTURES]:
            larger = _larger_picture(store, product)
            metadata |= {f"{product.name}, larger": larger} if larger else {}
    if record.asset == "source_catalog":
        metadata["dagster/row_count"] = sum(product.figures.get("sources", 0) for product in made)
    else:
        metadata["dagster/row_count"] = len(made)
    metadata["not made"] = len(record.products) - len(made)
    if record.products:
        rows = [dg.TableRecord(row) for row in _product_rows(record)]
        metadata["products"] = dg.MetadataValue.table(rows)
    return metadata


def _larger_picture(store: ObjectStore, product: Product) -> dg.MarkdownMetadataValue | None:
    """Return a product's picture, shown at a click; None if it has been removed meanwhile."""
    from runstart.operation_kit import load_entry

    entry = load_entry(store, product.key)
    for output in entry.outputs if entry is not None else ():
        if output.basename == product.basename:
            return show_jpeg(fit_jpeg(store.get(output.objects["large"]).data), product.name)
    return None


def _product_rows(record: Record) -> list[dict[str, Any]]:
    """Return a row for each product, with a column for each figure and the long names last."""
    products = record.products[:MOST_ROWS]
    figures = list(dict.fromkeys(name for product in products for name in product.figures))
    has_trouble = any(product.trouble for product in products)
    stands_in = any(product.night != record.night for product in products)
    return [
        {
            "product": product.name,
            **({"trouble": product.trouble} if has_trouble else {}),
            **({"night": product.night} if stands_in else {}),
            "inputs": len(product.inputs),
            **{name.replace("_", " "): _short(product.figures.get(name, "")) for name in figures},
            "basename": product.basename,
        }
        for product in products
    ]


def _short(value: object) -> str:
    """Return a figure with four digits, thousands in full."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
