"""Tables as messages: JSON `{"tables": {name: [record, ...]}}`, each record an object of the same columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from runstart.errors import Alert
from runstart.operators import BytesMessage, MessageHeader, publish
from runstart.operators.messages import BytesLike

Record = Mapping[str, Any]
_REMEDY = 'Send JSON such as {"tables": {"name": [{"column": 1}]}}.'


def table_message(tables: Mapping[str, Sequence[Record]], meta: Mapping[str, Any] | None = None) -> BytesMessage:
    """Return tables as a message.

    Parameters
    ----------
    tables : mapping of str to sequence of mapping
        Records by the table's name.
    meta : mapping of str to Any, optional
        What is said about them besides.
    """
    about = {**(meta or {}), "media_type": "application/json"}
    return BytesMessage(MessageHeader(meta=about), json.dumps({"tables": tables}, ensure_ascii=False).encode())


def read_tables(data: BytesLike) -> dict[str, list[dict[str, Any]]]:
    """Return the tables that a text holds.

    Raises
    ------
    Alert
        If it is no JSON object with tables, or a table no list of objects.
    """
    try:
        found = json.loads(bytes(data))
    except ValueError as error:
        raise Alert(f"The message is no table: it is no JSON ({error}).", _REMEDY) from error
    tables = found.get("tables") if isinstance(found, dict) else None
    if not isinstance(tables, dict):
        raise Alert("The message is no table: it is no JSON object with the field 'tables'.", _REMEDY)
    for name, records in tables.items():
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise Alert(f"The table {name!r} is no list of objects.", _REMEDY)
    return tables


def publish_tables(data: BytesLike, *, keep: bool = False) -> None:
    """Show the tables of a message by their names; of one alone, its records.

    Parameters
    ----------
    data : bytes-like
        As `read_tables` takes them.
    keep : bool, optional
        Whether they are kept, and not only the newest.

    Raises
    ------
    Alert
        If it is no table.
    """
    tables = read_tables(data)
    shown = next(iter(tables.values())) if len(tables) == 1 else {"tables": tables}
    publish("application/json", json.dumps(shown, ensure_ascii=False).encode(), ", ".join(tables), keep)


def csv_records(text: str) -> list[dict[str, Any]]:
    """Return the lines of a CSV text as records; what reads as a number becomes one."""
    rows = csv.DictReader(io.StringIO(text))
    return [{str(key): _value(value) for key, value in row.items() if key is not None} for row in rows]


def _value(text: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text
