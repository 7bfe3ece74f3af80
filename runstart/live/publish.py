"""Publishes the finished counts of a run as a new version of its result.

All files of a version lie in a folder of their own and exist for readers only once the run's head names the
version. It becomes the current one if its offsets cover those of the version before; otherwise (the broker has
dropped data since) the better one stays current, and both are kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

import runstart
from runstart.live.accumulation import Accumulation
from runstart.live.display import VIEWS_NAME, views_json
from runstart.live.head import Frozen, Lease, Version
from runstart.live.membership import FOREVER_NS
from runstart.live.record import RunRecord
from runstart.live.result import NEXUS_NAME, Result, find_shortcomings
from runstart.product import (
    RunProduct,
    content_digest,
    log_thumbnails,
    nexus_bytes,
    pictures_png,
    thumbnails,
)
from runstart.storage import ObjectStore

if TYPE_CHECKING:
    import h5py

    from runstart.live.script_run import ShownOutcome
    from runstart.logs import LogSeries

_MEMORY_PART = "memory."


@dataclass(frozen=True)
class ScriptPart:
    """What a reduction script adds to a result.

    Attributes
    ----------
    shown : ShownOutcome or None
        Of its execution on the finished run; None if there was none.
    trouble : str
        Why there was none, or what it ended with; empty if all is well.
    """

    shown: ShownOutcome | None = None
    trouble: str = ""

    @property
    def pictures(self) -> dict[str, bytes]:
        """PNG pictures by file name."""
        return {} if self.shown is None else self.shown.pictures

    @property
    def thumbnails(self) -> dict[str, str]:
        """Small pictures as markdown, by name."""
        return {} if self.shown is None else self.shown.thumbnails

    def write_arrays(self, entry: h5py.Group) -> None:
        """Write what the script returned into a NeXus entry."""
        if self.shown is not None:
            from runstart.scripts.nexus import write_script_arrays

            write_script_arrays(entry.create_group("reduction_script"), self.shown.outcome)

    def result_fields(self) -> dict[str, str]:
        """Return the fields of `Result` that tell of the script."""
        if self.shown is None:
            return {"script_error": self.trouble}
        outcome = self.shown.outcome
        return {
            "script_sha256": outcome.sha256,
            "script_error": self.trouble,
            "script_output": outcome.output,
            "isolation": outcome.isolation,
        }


NO_SCRIPT = ScriptPart()


def make_product(
    record: RunRecord,
    finished: Accumulation,
    frozen: Frozen,
    run_id: str,
    logs: Mapping[str, LogSeries] = MappingProxyType({}),
) -> RunProduct:
    """Return what a run's NeXus file and pictures show."""
    provenance = {
        "program": "runstart",
        "version": runstart.__version__,
        "dagster_run_id": run_id,
        "stop_reason": frozen.reason,
        "instrument": finished.instrument.model_dump_json(),
        "topic": finished.instrument.topics.events,
        "first_offsets": json.dumps(frozen.first_offsets),
        "end_offsets": json.dumps(frozen.end_offsets),
        "lost_offsets": json.dumps(finished.lost),
    }
    return RunProduct(
        instrument=finished.instrument,
        partition_key=record.partition_key,
        run_name=record.start.run_name,
        start_time_ns=record.start_time_ns,
        stop_time_ns=None if frozen.stop_time_ns == FOREVER_NS else frozen.stop_time_ns,
        n_periods=finished.n_periods,
        views=finished.views,
        series=finished.series,
        ledger=finished.ledger(frozen.stop_time_ns).as_dict(),
        provenance=provenance,
        detector_spectrum_map=record.start.detector_spectrum_map,
        logs=logs,
    )


def make_live_product(
    record: RunRecord,
    accumulation: Accumulation,
    ledger: dict[str, int],
    *,
    whole: bool = False,
) -> RunProduct:
    """Return what a run that is live shows: a copy that other threads may use.

    Parameters
    ----------
    record : RunRecord
        The run.
    accumulation : Accumulation
        Its counts so far.
    ledger : dict of str to int
        Its ledger so far.
    whole : bool
        Whether the pixel x TOF table is copied too: it is large, and not in the overview picture.
    """
    views = accumulation.views
    return RunProduct(
        instrument=accumulation.instrument,
        partition_key=record.partition_key,
        run_name=record.start.run_name,
        start_time_ns=record.start_time_ns,
        stop_time_ns=None,
        n_periods=accumulation.n_periods,
        views=views.copy() if whole else views.copy_for_overview(),
        series=accumulation.series.copy(),
        ledger=ledger,
        provenance={},
    )


def publish_result(
    store: ObjectStore,
    lease: Lease,
    folder: str,
    product: RunProduct,
    counts: tuple[Accumulation, Accumulation],
    script: ScriptPart = NO_SCRIPT,
) -> tuple[Result, bool]:
    """Write a version and make it the current one if it covers the one before.

    Parameters
    ----------
    store : ObjectStore
        Where results go.
    lease : Lease
        Publishes the version; its head holds the frozen offsets.
    folder : str
        The run's folder.
    product : RunProduct
        The run's data.
    counts : (Accumulation, Accumulation)
        The finished counts and those of late events.
    script : ScriptPart
        What the reduction script made of the run.

    Returns
    -------
    result : Result
        The new version.
    promoted : bool
        Whether it is the current one now.

    Raises
    ------
    LeaseLost
        If another run has taken over.
    """
    finished, late = counts
    frozen = lease.head.frozen
    if frozen is None:
        raise AssertionError("Only a frozen run is published.")
    version_folder = f"{folder}/results/{lease.head.epoch:06d}"
    nexus = nexus_bytes(product, script.write_arrays)
    views = views_json(product, None if script.shown is None else script.shown.outcome)
    files = {NEXUS_NAME: nexus, VIEWS_NAME: views, **pictures_png(product), **script.pictures}
    late_events = late.events_in_views
    if late_events:
        files["late_events.npz"] = _late_archive(late)
    result = Result(
        folder=version_folder,
        files=tuple(files),
        thumbnails=thumbnails(product) | log_thumbnails(product) | script.thumbnails,
        digest=content_digest(product.views, product.series, product.ledger),
        ledger=product.ledger,
        proton_charge_uah=product.series.total_charge_uah,
        stop_time_ns=frozen.stop_time_ns,
        stop_reason=frozen.reason,
        first_offsets={str(p): o for p, o in frozen.first_offsets.items()},
        end_offsets={str(p): o for p, o in frozen.end_offsets.items()},
        lost={str(p): [list(r) for r in ranges] for p, ranges in finished.lost.items()},
        late_events=late_events,
        shortcomings=find_shortcomings(product.ledger, finished.lost, frozen, late_events),
        code_version=runstart.__version__,
        run_id=lease.head.run_id,
        log_samples={name: len(series.time_ns) for name, series in product.logs.items()},
        **script.result_fields(),
    )
    for name, data in files.items():
        store.put(f"{version_folder}/{name}", data)
    store.put(f"{version_folder}/result.json", result.to_json())
    version = Version(
        number=lease.head.epoch,
        folder=version_folder,
        digest=result.digest,
        read=_ranges_read(frozen, finished.lost),
        run_id=lease.head.run_id,
        root_run_id=lease.head.root_run_id,
    )
    current = lease.head.current
    promoted = current is None or version.covers(current)
    lease.commit(versions=(*lease.head.versions, version), current=version if promoted else current)
    return result, promoted


def _ranges_read(frozen: Frozen, lost: dict[int, list[tuple[int, int]]]) -> dict[int, list[tuple[int, int]]]:
    """Return the offsets between the frozen ones that were there to be read."""
    read = {}
    for partition, end in frozen.end_offsets.items():
        begin = frozen.first_offsets[partition]
        ranges = []
        for first, last in sorted(lost.get(partition, [])):
            if begin < first:
                ranges.append((begin, min(first, end)))
            begin = max(begin, last)
        if begin < end:
            ranges.append((begin, end))
        read[partition] = ranges
    return read


def _late_archive(late: Accumulation) -> bytes:
    plain, arrays = late.state()
    header = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    kept = {name: array for name, array in arrays.items() if not name.startswith(_MEMORY_PART)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, header=header, **kept)
    return buffer.getvalue()
