"""The digest that proves two products of scans equal: over what was found, not over how or when."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.scans.model import ScanProduct

__all__ = ["digest_product"]

_HASHED_AT_ONCE = 1 << 20


def digest_product(product: ScanProduct) -> str:
    """Return the SHA-256 of a product as 64 hexadecimal digits.

    It covers the name, type, shape and values of all arrays, electron events among them, the accounting, the centre and
    the recipe. Every NaN counts as the same; the machine's byte order does not matter.

    Parameters
    ----------
    product : ScanProduct
        Of a scan.
    """
    digest = hashlib.sha256()
    for name, array in sorted(_arrays(product).items()):
        canonical = array.dtype.newbyteorder("<")
        digest.update(json.dumps([name, canonical.str, array.shape]).encode())
        flat = array.reshape(-1)
        for first in range(0, flat.size, _HASHED_AT_ONCE):
            digest.update(_canonical(flat[first : first + _HASHED_AT_ONCE], canonical).data)
    told = {
        "accounting": product.accounting.as_dict(),
        "center": [float(part).hex() for part in product.center],
        "recipe": product.recipe.model_dump(mode="json"),
    }
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()


def _arrays(product: ScanProduct) -> dict[str, NDArray[Any]]:
    """Return all arrays by name."""
    arrays: dict[str, NDArray[Any]] = {
        "frame_counts": product.frame_counts,
        "center_of_mass": product.center_of_mass,
        "pattern": product.pattern,
        "phase": product.phase,
    }
    arrays |= {f"virtual_images/{name}": image for name, image in product.virtual_images.items()}
    if product.events is not None:
        events = product.events
        arrays |= {
            "events/positions": events.positions,
            "events/starts": events.starts,
            "events/events": events.events,
            "events/frame_shape": np.array(events.frame_shape, np.int64),
        }
    return arrays


def _canonical(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values in one byte order and with one kind of NaN."""
    same = np.ascontiguousarray(values, dtype)
    if dtype.kind == "f" and np.isnan(same).any():
        same = np.where(np.isnan(same), np.array(np.nan, dtype), same).astype(dtype)
    return same
