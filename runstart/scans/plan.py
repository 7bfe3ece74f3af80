"""Plans how a scan is processed: which stored frames count, in which batches, around which centre.

A plan is a function of the file's version, the microscope's settings and the library's sources; its key is a digest of all
of these. So whoever processes a batch, in this process or in a pod, and however often, writes the same partial result
under the same key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart import source_digest
from runstart.errors import Alert
from runstart.frame_files import FrameSource, ScanHeader, split_into_batches
from runstart.frames import Recipe
from runstart.scans.accounting import Accountant
from runstart.scans.model import Accounting
from runstart.scans.passes import find_scan_center
from runstart.scans.work import ScanWork
from runstart.storage import ObjectMissing

FORMAT = 1
_SOURCES = ("frames", "frame_files", "scans")
_LOOKED_AT_ONCE = 65_536  # frames


@dataclass(frozen=True)
class Batch:
    """Successive stored frames that one step takes.

    Attributes
    ----------
    number : int
        From 0 on.
    start, stop : int
        Their indices in the file.
    left_out : tuple of int
        Those between that do not count: duplicates, and frames of no position.
    """

    number: int
    start: int
    stop: int
    left_out: tuple[int, ...] = ()

    @property
    def frames(self) -> int:
        """How many count."""
        return self.stop - self.start - len(self.left_out)


@dataclass(frozen=True)
class Plan:
    """How a scan is processed.

    Attributes
    ----------
    microscope, scan, version : str
        Whose, and of which version of its file.
    key : str
        Digest of all that results depend on.
    code_version : str
        Of the library.
    header : ScanHeader
        What the file says.
    recipe : Recipe
        With its centre.
    accounting : Accounting
        By slots alone.
    batches : tuple of Batch
        In the order of the file.
    spares : tuple of int
        Indices of duplicates: they count if what came before is damaged.
    shifts : str
        Digest of what the beam is compensated by; empty without compensation.
    """

    microscope: str
    scan: str
    version: str
    key: str
    code_version: str
    header: ScanHeader
    recipe: Recipe
    accounting: Accounting
    batches: tuple[Batch, ...]
    spares: tuple[int, ...] = ()
    shifts: str = ""

    @property
    def center(self) -> tuple[float, float]:
        """(row, column) around which crop and detectors lie."""
        if self.recipe.center is None:
            raise ValueError("a plan has a centre")
        return self.recipe.center

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps({**asdict(self), "recipe": self.recipe.model_dump(mode="json")}, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """Return what `to_bytes` wrote."""
        fields = json.loads(data)
        header = fields["header"]
        shapes = {name: tuple(header[name]) for name in ("scan_shape", "frame_shape")}
        return cls(
            **{
                **fields,
                "header": ScanHeader(**{**header, **shapes}),
                "recipe": Recipe.model_validate(fields["recipe"]),
                "accounting": Accounting(**fields["accounting"]),
                "batches": tuple(Batch(**{**b, "left_out": tuple(b["left_out"])}) for b in fields["batches"]),
                "spares": tuple(fields["spares"]),
            }
        )


def make_plan(work: ScanWork, source: FrameSource) -> Plan:
    """Return the plan of a scan, as its file is now.

    Parameters
    ----------
    work : ScanWork
        The scan.
    source : FrameSource
        Its file, open.

    Raises
    ------
    Alert
        If the file is damaged, has no frame of the scan, or the vacuum scan is not done.
    """
    accountant = Accountant(source.header)
    stretches = [source.slots(start, stop) for start, stop in _stretches(source.frame_count)]
    slots = np.concatenate([np.zeros(0, np.int64), *stretches])
    counts = accountant.take(slots)
    accounting = accountant.account()
    if accounting.seen == 0:
        what = f"{work.record.name or work.record.scan} has no frame of its scan yet."
        raise Alert(what, "Look at its header, and whether the camera has written anything.")
    recipe = work.microscope.recipe
    if recipe.bin_by > min(source.header.frame_shape):
        rows, columns = source.header.frame_shape
        what = f"Frames of {rows} x {columns} pixels cannot be binned by {recipe.bin_by}."
        raise Alert(what, f"Correct bin_by of {work.microscope.name} in microscopes.toml.")
    if recipe.center is None:
        recipe = recipe.model_copy(update={"center": find_scan_center(work, source, counts)})
    batches = _divide(source, counts, work.microscope.batch_bytes)
    left_out = np.flatnonzero(~counts)
    spares = tuple(left_out[slots[left_out] >= 0].tolist()) if accounting.duplicate else ()
    code_version = source_digest.library_version(*_SOURCES)
    made_of = {
        "format": FORMAT,
        "code": code_version,
        "record": [work.record.microscope, work.record.scan, work.record.version, work.record.name],
        "header": asdict(source.header),
        "recipe": recipe.model_dump(mode="json"),
        "shifts": work.shifts_digest,
        "phase": work.microscope.phase.model_dump(mode="json"),
        "calibration": work.calibrated(source.header).calibration,
        "batches": [[b.start, b.stop] for b in batches],
    }
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Plan(
        microscope=work.record.microscope,
        scan=work.record.scan,
        version=work.record.version,
        key=hashlib.sha256(canonical.encode()).hexdigest(),
        code_version=code_version,
        header=source.header,
        recipe=recipe,
        accounting=accounting,
        batches=batches,
        spares=spares,
        shifts=work.shifts_digest,
    )


def save_plan(work: ScanWork, plan: Plan) -> str:
    """Keep a plan for the steps that process its batches; return its key."""
    work.store.put(f"{_folder(work, plan.key)}/plan.json", plan.to_bytes())
    return plan.key


def load_plan(work: ScanWork, key: str) -> Plan:
    """Return a plan that `save_plan` kept.

    Raises
    ------
    Alert
        If it is gone (its work was finished, or swept), or was made by other sources of the library.
    """
    try:
        plan = Plan.from_bytes(work.store.get(f"{_folder(work, key)}/plan.json").data)
    except ObjectMissing as error:
        what = f"The plan of {work.record.scan} is gone: another run has finished this scan meanwhile."
        raise Alert(what, "Launch the scan again if its results are not what you want.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Alert(f"The plan of {work.record.scan} is damaged: {error}.", "Launch the scan again.") from error
    if plan.code_version != source_digest.library_version(*_SOURCES):
        what = f"The code has changed since {work.record.scan} was planned: its batches would not fit each other."
        raise Alert(what, "Launch the scan again as a whole.")
    return plan


def partial_key(work: ScanWork, plan_key: str, number: int) -> str:
    """Return the object key of a batch's partial result."""
    return f"{_folder(work, plan_key)}/partial-{number:05d}"


def sweep_work(work: ScanWork) -> None:
    """Remove plans and partial results of a scan."""
    for key in work.store.list(work.microscope.folder(work.record.scan) + "/work/"):
        work.store.delete(key)


def _folder(work: ScanWork, plan_key: str) -> str:
    return f"{work.microscope.folder(work.record.scan)}/work/{plan_key[:32]}"


def _stretches(count: int) -> list[tuple[int, int]]:
    return [(start, min(start + _LOOKED_AT_ONCE, count)) for start in range(0, count, _LOOKED_AT_ONCE)]


def _divide(source: FrameSource, counts: NDArray[np.bool_], batch_bytes: int) -> tuple[Batch, ...]:
    sizes: NDArray[Any] = source.sizes(0, source.frame_count)
    ranges = split_into_batches(sizes, batch_bytes, piece=source.piece)
    return tuple(
        Batch(number, start, stop, tuple(int(i) + start for i in np.flatnonzero(~counts[start:stop])))
        for number, (start, stop) in enumerate((a, b) for a, b in ranges if counts[a:b].any())
    )
