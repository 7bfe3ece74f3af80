"""What Dagster keeps of a run, taken away: all of it, or all but what its pages need.

`DagsterInstance.delete_run` leaves check evaluations, captured logs and, on SQLite, the run's database file behind; and
Dagster has no call that takes away a part of a run's events. So this module speaks to the tables of Dagster's SQL
storages (SQLite, PostgreSQL, MySQL). Each function can be killed and called again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

THIN_TAG = "runstart/thinned"
LOCK_SECONDS = 20.0

# The events that the pages of asset, partition and run are made of: about fifteen a run.
KEPT_EVENTS = frozenset(
    {
        "ASSET_MATERIALIZATION_PLANNED",
        "ASSET_MATERIALIZATION",
        "ASSET_CHECK_EVALUATION_PLANNED",
        "ASSET_CHECK_EVALUATION",
        "PIPELINE_ENQUEUED",
        "PIPELINE_STARTING",
        "PIPELINE_START",
        "PIPELINE_SUCCESS",
        "PIPELINE_FAILURE",
        "PIPELINE_CANCELED",
        "STEP_START",
        "STEP_SUCCESS",
        "STEP_FAILURE",
    }
)


def find_holders(instance: dg.DagsterInstance, asset_key: dg.AssetKey) -> dict[str, str]:
    """Return for each partition of an asset the run that made its newest materialization.

    Raises
    ------
    dagster.Failure
        If the instance keeps its events in no SQL database.
    """
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events

    query = (
        db.select(Events.c.partition, Events.c.run_id)
        .where(Events.c.asset_key == asset_key.to_string())
        .where(Events.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value)
        .where(Events.c.partition.is_not(None))
        .order_by(Events.c.id)
    )
    with _storage(instance).index_connection() as connection:
        return dict(connection.execute(query).all())


def find_partition_times(instance: dg.DagsterInstance, partitions_name: str) -> dict[str, float]:
    """Return when each dynamic partition was added, in seconds since 1970.

    Raises
    ------
    dagster.Failure
        If the instance keeps its events in no SQL database.
    """
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import DynamicPartitionsTable as Partitions

    query = (
        db.select(Partitions.c.partition, Partitions.c.create_timestamp)
        .where(Partitions.c.partitions_def_name == partitions_name)
        .order_by(Partitions.c.id)
    )
    with _storage(instance).index_connection() as connection:
        rows = connection.execute(query).all()
    return {key: added.replace(tzinfo=UTC).timestamp() for key, added in rows}


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a finished run with its events, check evaluations and captured logs; the run itself goes last."""
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks

    storage = _storage(instance)
    _delete_captured_logs(instance, run_id)
    with storage.index_connection() as connection:
        connection.execute(db.delete(Checks).where(Checks.c.run_id == run_id))
        storage.delete_events_for_run(connection, run_id)
    for path in _files(storage, run_id):
        path.unlink(missing_ok=True)
    instance.run_storage.delete_run(run_id)


def thin_run(instance: dg.DagsterInstance, run_id: str, date: str) -> None:
    """Take away a finished run's observations, log lines, captured logs and the pictures of its materialization.

    What stays are the figures of its materialization, its checks, and how its steps ended.

    Parameters
    ----------
    instance : DagsterInstance
        Keeps the run.
    run_id : str
        The run; it gets the tag `runstart/thinned`.
    date : str
        Value of that tag.
    """
    storage = _storage(instance)
    _delete_captured_logs(instance, run_id)
    with storage.run_connection(run_id) as connection:
        _thin(connection, run_id)
    with storage.index_connection() as connection:  # SQLite mirrors asset events there; elsewhere it is the same
        _thin(connection, run_id)
    _shrink(storage, run_id)
    instance.add_run_tags(run_id, {THIN_TAG: date})


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not _is_sql(storage):
        raise dg.Failure(
            f"This Dagster instance keeps its events in {type(storage).__name__}, which is no SQL database: nothing "
            "was pruned.",
            allow_retries=False,
        )
    return storage  # type: ignore[return-value]


def _is_sql(storage: object) -> bool:
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    return isinstance(storage, SqlEventLogStorage)


def _thin(connection: Any, run_id: str) -> None:
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import AssetEventTagsTable as Tags
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events

    kind = Events.c.dagster_event_type
    going = db.and_(Events.c.run_id == run_id, db.or_(kind.is_(None), kind.not_in(KEPT_EVENTS)))
    connection.execute(db.delete(Tags).where(Tags.c.event_id.in_(db.select(Events.c.id).where(going))))
    connection.execute(db.delete(Events).where(going))
    materializations = db.select(Events.c.id, Events.c.event).where(
        Events.c.run_id == run_id, kind == dg.DagsterEventType.ASSET_MATERIALIZATION.value
    )
    for number, text in connection.execute(materializations).fetchall():
        thinner = _without_pictures(text)
        if thinner is not None:
            connection.execute(db.update(Events).where(Events.c.id == number).values(event=thinner))


def _without_pictures(text: str) -> str | None:
    """Return a materialization event without its pictures; None if it has none."""
    from dagster._core.events import StepMaterializationData
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import deserialize_value, serialize_value

    entry: EventLogEntry = deserialize_value(text, EventLogEntry)
    event = entry.dagster_event
    if event is None or not isinstance(event.event_specific_data, StepMaterializationData):
        return None
    data = event.event_specific_data
    metadata = data.materialization.metadata
    kept = {name: value for name, value in metadata.items() if not _is_picture(value)}
    if len(kept) == len(metadata):
        return None
    data = data._replace(materialization=data.materialization.with_metadata(kept))
    return serialize_value(entry._replace(dagster_event=event._replace(event_specific_data=data)))


def _is_picture(value: object) -> bool:
    return isinstance(value, dg.MarkdownMetadataValue) and "data:image/" in (value.md_str or "")


def _delete_captured_logs(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.compute_log_manager.delete_logs(prefix=[run_id])


def _files(storage: SqlEventLogStorage, run_id: str) -> Iterator[Path]:
    """Yield the files of a run's own database; only SQLite has one for each run."""
    from dagster._core.storage.event_log import SqliteEventLogStorage

    if isinstance(storage, SqliteEventLogStorage):
        path = storage.path_for_shard(run_id)
        yield from (Path(path + suffix) for suffix in ("", "-wal", "-shm"))


def _shrink(storage: SqlEventLogStorage, run_id: str) -> None:
    for path in _files(storage, run_id):
        if path.suffix == ".db" and path.exists():
            # Somebody who reads the run's page locks its file: it stays as large, and nothing else is missed.
            with (
                contextlib.suppress(sqlite3.OperationalError),
                contextlib.closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection,
            ):
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
