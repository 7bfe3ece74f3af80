"""The products of nights that must stay, and whether they are still there.

A record names its products by key, so whoever prunes the cache of data operations has to ask which keys are named.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from runstart.errors import Alert
from runstart.nights.calendar import is_night
from runstart.nights.record import (
    CALIBRATED,
    CATALOGS,
    COLOR_IMAGES,
    MASTER_BIAS,
    MASTER_DARK,
    MASTER_FLAT,
    STACKS,
    Record,
)
from runstart.operation_kit.entry import entry_folder
from runstart.storage import ObjectMissing, ObjectStore

_ASSETS = {MASTER_BIAS, MASTER_DARK, MASTER_FLAT, CALIBRATED, STACKS, COLOR_IMAGES, CATALOGS}
_AT_ONCE = 16
_MOST_LOOKED_AT = 32
_DAY_S = 86_400


def kept_keys(store: ObjectStore) -> set[str]:
    """Return the keys of all products that records of any night name, of sites that are no longer declared too.

    Parameters
    ----------
    store : ObjectStore
        Holds the records.

    Raises
    ------
    Alert
        If a record is damaged, since nobody knows then what it names.
    Transient
        If the store does not answer.
    """
    names = [name for name in store.list("nights/") if _is_record(name)]
    with ThreadPoolExecutor(_AT_ONCE, "records") as pool:
        return {key for keys in pool.map(lambda name: set(_keys_in(store, name)), names) for key in keys}


def has_products(store: ObjectStore, record: Record) -> bool:
    """Tell whether the products that a record names are still there.

    Of a record with many products some are looked at, every day others, so that hundreds of nights cost little.
    """
    keys = list(dict.fromkeys(product.key for product in record.products if product.key))
    return all(store.head(f"{entry_folder(key)}/entry.json") is not None for key in _todays(keys))


def _todays(keys: Sequence[str]) -> Sequence[str]:
    if len(keys) <= _MOST_LOOKED_AT:
        return keys
    first = int(time.time() // _DAY_S) * _MOST_LOOKED_AT % len(keys)
    return [*keys[first:], *keys[:first]][:_MOST_LOOKED_AT]


def _is_record(name: str) -> bool:
    """Tell whether an object is `nights/SITE/NIGHT/ASSET.json`, of an asset with products."""
    parts = name.split("/")
    return len(parts) == 4 and is_night(parts[2]) and parts[3].removesuffix(".json") in _ASSETS


def _keys_in(store: ObjectStore, name: str) -> Iterator[str]:
    try:
        record = Record.from_json(store.get(name).data)
    except ObjectMissing:
        return
    except Alert as alert:
        raise Alert(f"{name}: {alert.what}", "Materialize the night again, or delete this object.") from alert
    yield from (product.key for product in record.products if product.key)
