"""Makes the product of a scan from its sums, publishes it, and says which result counts.

A result lies in a folder of its own that never changes. `current.json` names the one that counts; it is replaced unless
the new one has seen fewer frames of the same file.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert, Transient
from runstart.frame_files import ScanHeader, write_counted
from runstart.frames import (
    Partial,
    center_of_mass_map,
    frame_count_map,
    integrate_phase,
    virtual_image_maps,
)
from runstart.microscopes import Microscope
from runstart.scans.axes import phase_scale
from runstart.scans.digest import digest_product
from runstart.scans.model import Accounting, ScanProduct, ScanResult
from runstart.scans.nexus import write_scan_nexus
from runstart.scans.pictures import scan_pictures
from runstart.scans.plan import Plan
from runstart.scans.thumbnails import scan_thumbnails
from runstart.scans.work import ScanWork
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

COMPLETE, CLOSED, BROKEN_OFF = "complete", "closed", "broken off"
_TRIES = 5


def make_product(work: ScanWork, plan: Plan, partial: Partial, accounting: Accounting, ended: str) -> ScanProduct:
    """Return the maps of a scan.

    Parameters
    ----------
    work : ScanWork
        The scan.
    plan : Plan
        How it was processed.
    partial : Partial
        Sums over all frames that count so far.
    accounting : Accounting
        What became of the frames.
    ended : str
        Why the scan has ended; empty if it goes on.
    """
    header = work.calibrated(plan.header)
    shape = header.scan_shape
    center_of_mass = center_of_mass_map(partial, shape)
    names = [detector.name for detector in plan.recipe.detectors]
    images = dict(zip(names, virtual_image_maps(partial, shape), strict=True)) if names else {}
    pattern = partial.pattern
    if pattern is None:
        raise ValueError("the frames were not summed")
    return ScanProduct(
        microscope=work.microscope.name,
        scan=work.record.scan,
        header=header,
        recipe=plan.recipe,
        accounting=accounting,
        center=plan.center,
        frame_counts=frame_count_map(partial, shape),
        center_of_mass=center_of_mass,
        virtual_images=images,
        pattern=pattern,
        phase=_integrate(work, plan, header, center_of_mass),
        events=partial.events,
        ended=ended,
    )


def _integrate(
    work: ScanWork, plan: Plan, header: ScanHeader, center_of_mass: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the phase; NaN where nothing was detected."""
    if not np.isfinite(center_of_mass).all(axis=0).any():
        return np.full(header.scan_shape, np.nan, np.float32)
    settings = work.microscope.phase
    phase = integrate_phase(
        center_of_mass,
        rotation_deg=settings.rotation_deg,
        flip=settings.flip,
        regularization=settings.regularization,
        # Without compensation the beam drifts, and only its mean says where it is undeflected.
        center=plan.center if work.shifts_digest else None,
    )
    return (phase * phase_scale(header, plan.recipe)).astype(np.float32)


def publish(work: ScanWork, plan: Plan, product: ScanProduct) -> ScanResult:
    """Store the product of a scan with its pictures, and return the result that counts from now on.

    Raises
    ------
    Alert
        If the scratch disk is full.
    Transient
        If the store does not answer.
    """
    digest = digest_product(product)
    folder = f"{work.microscope.folder(work.record.scan)}/results/{_folder_name(product, digest)}"
    objects: dict[str, str] = {}
    for name, data in product_files(product).items():
        objects[name] = f"{folder}/{name}"
        work.store.put(objects[name], data)
    result = ScanResult(
        microscope=product.microscope,
        scan=product.scan,
        version=plan.version,
        digest=digest,
        plan=plan.key,
        folder=folder,
        objects=objects,
        thumbnails=scan_thumbnails(product),
        figures=_figures(product),
        accounting=product.accounting,
        ended=product.ended,
        code_version=plan.code_version,
    )
    work.store.put(f"{folder}/result.json", result.to_bytes())
    return _make_current(work, result)


def product_files(product: ScanProduct) -> dict[str, bytes]:
    """Return the files of a product by name: `scan.nxs`, `counted.h5` of a counted scan, and pictures.

    Raises
    ------
    Alert
        If the scratch disk is full.
    """
    files: dict[str, bytes] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="runstart-scan-") as scratch:
            nexus = Path(scratch) / "scan.nxs"
            write_scan_nexus(nexus, product)
            files[nexus.name] = nexus.read_bytes()
            if product.events is not None:
                counted = Path(scratch) / "counted.h5"
                header, events = product.header, product.events
                write_counted(counted, events, header.scan_shape, events.frame_shape, header.frames_per_position)
                files[counted.name] = counted.read_bytes()
    except OSError as error:
        what = f"The results of {product.scan} cannot be written to {tempfile.gettempdir()!a}: {error.strerror}."
        raise Alert(what, "Make room there, or set TMPDIR to another disk, and launch the scan again.") from error
    return files | scan_pictures(product)


def load_current(store: ObjectStore, microscope: Microscope, scan: str) -> ScanResult | None:
    """Return the result of a scan that counts; None if there is none.

    Raises
    ------
    Alert
        If it is damaged.
    Transient
        If the store does not answer.
    """
    try:
        named = json.loads(store.get(_current_key(microscope, scan)).data)
        return ScanResult.from_bytes(store.get(f"{named['folder']}/result.json").data)
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError) as error:
        what = f"What names the result of {scan} of {microscope.name} is damaged: {error}."
        raise Alert(
            what, f"Remove {_current_key(microscope, scan)} from the object store, and process it again."
        ) from error


def _folder_name(product: ScanProduct, digest: str) -> str:
    """Return a name that no product with other files has."""
    told = json.dumps([digest, asdict(product.header), product.ended], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def _make_current(work: ScanWork, result: ScanResult) -> ScanResult:
    key = _current_key(work.microscope, work.record.scan)
    wanted = {"folder": result.folder, "version": result.version, "seen": result.accounting.seen}
    data = json.dumps(wanted, sort_keys=True).encode()
    for _ in range(_TRIES):
        try:
            present = work.store.get(key)
        except ObjectMissing:
            present = None
        try:
            if present is None:
                work.store.put_if_absent(key, data)
                return result
            named = json.loads(present.data)
            if named == wanted:
                return result
            if named["version"] == result.version and named["seen"] > result.accounting.seen:
                work.tell(
                    f"An earlier result has seen {named['seen']:,} frames, this one {result.accounting.seen:,}: the "
                    f"earlier one stays. This one lies in {result.folder}."
                )
                return ScanResult.from_bytes(work.store.get(f"{named['folder']}/result.json").data)
            work.store.put_if_match(key, data, present.etag)
            return result
        except PreconditionFailed:
            continue
    raise Transient(f"Others keep publishing results of {work.record.scan}")


def _current_key(microscope: Microscope, scan: str) -> str:
    return f"{microscope.folder(scan)}/current.json"


def _figures(product: ScanProduct) -> dict[str, Any]:
    """Return what is worth plotting over scans."""
    total = float(product.pattern.sum())
    seen = max(product.accounting.seen, 1)
    figures: dict[str, Any] = {
        **product.accounting.as_dict(),
        "covered": round(product.accounting.covered, 6),
        "total": total,
        "per_frame": total / seen,
        "center_row": product.center[0],
        "center_column": product.center[1],
    }
    if product.events is not None:
        figures["electrons"] = len(product.events.events)
    deflection = [
        float(np.nanmean(part)) if np.isfinite(part).any() else math.nan for part in product.center_of_mass
    ]
    figures |= {"mean_column": deflection[0], "mean_row": deflection[1]}
    return figures
