"""Processes the batches of a plan, each once, and merges what came of them.

A partial result is kept under a key that the plan decides: a batch that is done is not computed again, whoever asks. A
damaged frame is replaced by an intact duplicate if there is one; that is done when partial results are merged, since only
then all damaged frames are known.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from runstart.errors import Alert
from runstart.frame_files import FrameSource
from runstart.frames import Partial, merge_partials, partial_from_bytes, partial_to_bytes
from runstart.scans.model import Accounting
from runstart.scans.passes import make_pass, process_range
from runstart.scans.plan import Plan, partial_key
from runstart.scans.work import ScanWork
from runstart.storage import ObjectMissing

_LENGTH = struct.Struct("<Q")

_Done: TypeAlias = tuple[Partial | None, list[int]]  # sums, and the indices of damaged frames


def process_batch(work: ScanWork, plan: Plan, number: int) -> bool:
    """Process a batch and keep its partial result; return False if that was there already.

    Raises
    ------
    Alert
        If the file is gone, was replaced, or is damaged.
    Transient
        If disk or store do not answer.
    """
    key = partial_key(work, plan.key, number)
    if work.store.head(key) is not None:
        return False
    batch = plan.batches[number]
    with work.open() as source:
        check_unchanged(work, source, plan)
        frame_pass = make_pass(source, plan.recipe, work.microscope.threads)
        partial, damaged = process_range(work, source, frame_pass, batch.start, batch.stop, batch.left_out)
    told = json.dumps(damaged).encode()
    data = b"" if partial is None else partial_to_bytes(partial)
    work.store.put(key, _LENGTH.pack(len(told)) + told + data)
    return True


def merge_batches(work: ScanWork, plan: Plan) -> tuple[Partial, Accounting]:
    """Return the sums over the whole scan, and the final account of its frames.

    Raises
    ------
    Alert
        If a partial result is gone or damaged, or no frame is intact.
    Transient
        If disk or store do not answer.
    """
    return _merge(work, plan, [_load(work, plan, batch.number) for batch in plan.batches])


def process_whole(
    work: ScanWork, source: FrameSource, plan: Plan, on_batch: Callable[[int], object] | None = None
) -> tuple[Partial, Accounting]:
    """Return what `process_batch` and `merge_batches` give, at once and without keeping anything.

    Parameters
    ----------
    work : ScanWork
        The scan.
    source : FrameSource
        Its file.
    plan : Plan
        As `make_plan` returned it.
    on_batch : callable, optional
        Is told of the number of frames of each batch that is done.

    Raises
    ------
    Alert, Transient
        As these.
    """
    frame_pass = make_pass(source, plan.recipe, work.microscope.threads)
    done = []
    for batch in plan.batches:
        done.append(process_range(work, source, frame_pass, batch.start, batch.stop, batch.left_out))
        if on_batch is not None:
            on_batch(batch.frames)
    return _merge(work, plan, done, source)


def check_unchanged(work: ScanWork, source: FrameSource, plan: Plan) -> None:
    """Refuse a file, or a vacuum scan, that is no longer what was planned with.

    Raises
    ------
    Alert
        If the header has changed, the file has become shorter, or the vacuum scan has another result.
    """
    if work.shifts_digest != plan.shifts:
        what = f"The vacuum scan that {plan.scan} is compensated by has another result since this scan was planned."
        raise Alert(what, "Launch the scan again.")
    last = plan.batches[-1].stop if plan.batches else 0
    if source.header != plan.header or source.frame_count < last:
        what = f"The file of {plan.scan} has changed since its frames were counted."
        raise Alert(what, "Launch the scan again when nothing writes to its file any more.")


def _merge(
    work: ScanWork, plan: Plan, done: Sequence[_Done], source: FrameSource | None = None
) -> tuple[Partial, Accounting]:
    """Return the sums over all batches, with duplicates in the place of damaged frames, and the final account.

    The file is opened only if a frame is damaged and no `source` is given.
    """
    partials = [partial for partial, _ in done if partial is not None]
    damaged = [index for _, bad in done for index in bad]
    accounting = plan.accounting
    if damaged:
        with work.open() if source is None else contextlib.nullcontext(source) as opened:
            check_unchanged(work, opened, plan)
            mended, accounting = _mend(work, opened, plan, damaged)
        partials += mended
        work.tell(f"{accounting.damaged} frames are damaged; {len(mended)} of them had an intact duplicate.")
    if not partials:
        raise Alert(f"No frame of {plan.scan} is intact.", "Look at the disk that the camera writes to.")
    return merge_partials(partials), accounting


def _load(work: ScanWork, plan: Plan, number: int) -> _Done:
    key = partial_key(work, plan.key, number)
    remedy = "Launch the scan again: this batch is then processed anew."
    try:
        data = work.store.get(key).data
    except ObjectMissing as error:
        raise Alert(f"The partial result {key} is gone.", remedy) from error
    try:
        (length,) = _LENGTH.unpack_from(data)
        damaged: list[int] = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        rest = data[_LENGTH.size + length :]
        return (partial_from_bytes(rest) if rest else None), damaged
    except (ValueError, struct.error) as error:
        work.store.delete(key)
        raise Alert(f"The partial result {key} was damaged, and has been removed.", remedy) from error


def _mend(
    work: ScanWork, source: FrameSource, plan: Plan, damaged: Sequence[int]
) -> tuple[list[Partial], Accounting]:
    """Return the sums over duplicates that stand in for damaged frames, and the account after that."""
    frame_pass = make_pass(source, plan.recipe, work.microscope.threads)
    spares: dict[int, list[int]] = {}
    for index in plan.spares:
        spares.setdefault(int(source.slots(index, index + 1)[0]), []).append(index)
    mended: list[Partial] = []
    bad_spares = 0
    for index in damaged:
        slot = int(source.slots(index, index + 1)[0])
        for spare in spares.get(slot, ()):
            partial, _ = process_range(work, source, frame_pass, spare, spare + 1)
            if partial is not None:
                mended.append(partial)
                break
            bad_spares += 1
    account = plan.accounting
    return mended, replace(
        account,
        seen=account.seen - len(damaged) + len(mended),
        duplicate=account.duplicate - len(mended) - bad_spares,
        damaged=account.damaged + len(damaged) + bad_spares,
    )
