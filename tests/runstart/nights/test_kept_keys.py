from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from runstart.errors import Alert
from runstart.nights import Product, Record, Site, has_products, kept_keys, save_record
from runstart.storage import FileStore

NIGHT = "2026-03-28"
KEYS = [f"{number:064x}" for number in range(100)]


def record_of(site: str, asset: str, *keys: str) -> Record:
    return Record(site, NIGHT, asset, "1", "", products=tuple(Product(key or "failed", key=key) for key in keys))


def save(store: FileStore, record: Record) -> None:
    save_record(store, Site(name=record.site, first_night=date(2026, 1, 1), exposures="file:/x"), record)


def put_entry(store: FileStore, key: str) -> None:
    store.put(f"operations/{key}/entry.json", b"{}")


def test_all_keys_that_nights_of_any_site_name_are_kept(file_store: FileStore) -> None:
    assert kept_keys(file_store) == set()
    save(file_store, record_of("hill", "stacks", KEYS[0], "", KEYS[1]))
    save(file_store, record_of("hill", "master_bias", KEYS[1]))
    save(file_store, record_of("vale", "source_catalog", KEYS[2]))
    save(file_store, record_of("vale", "exposures"))
    file_store.put(f"nights/vale/{NIGHT}/attempts.json", b"{")
    file_store.put(f"nights/vale/arrivals/{NIGHT}.json", b"{")
    assert kept_keys(file_store) == set(KEYS[:3])


def test_nobody_knows_what_a_damaged_record_keeps(file_store: FileStore) -> None:
    save(file_store, record_of("hill", "stacks", KEYS[0]))
    file_store.put(f"nights/hill/{NIGHT}/calibrated.json", b"{")
    with pytest.raises(Alert, match=f"nights/hill/{NIGHT}/calibrated.json"):
        kept_keys(file_store)


def test_a_record_has_its_products_if_each_has_its_entry(file_store: FileStore) -> None:
    for key in KEYS[:2]:
        put_entry(file_store, key)
    assert has_products(file_store, record_of("hill", "stacks"))
    assert has_products(file_store, record_of("hill", "stacks", KEYS[0], "", KEYS[1]))
    assert not has_products(file_store, record_of("hill", "stacks", KEYS[0], KEYS[2]))


def test_of_many_products_some_are_looked_at_and_all_within_days(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in KEYS[:-1]:
        put_entry(file_store, key)
    asked: list[str] = []
    head = FileStore.head

    def counted(store: FileStore, key: str) -> str | None:
        asked.append(key)
        return head(store, key)

    monkeypatch.setattr(FileStore, "head", counted)
    found = []
    for day in range(1, 5):
        monkeypatch.setattr("runstart.nights.kept.time", SimpleNamespace(time=lambda day=day: day * 86_400.0))
        asked.clear()
        found.append(has_products(file_store, record_of("hill", "calibrated", *KEYS)))
        assert len(asked) <= 32
    assert False in found
