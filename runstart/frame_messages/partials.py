"""Sums for the centre of mass as messages between center-of-mass-partial and -reduce.

The data are the archive of `runstart.frames.partial_to_bytes`: exact sums, not quotients, so that the result does not
depend on how a scan was split. The meta says which scan they are of.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from runstart.errors import Alert
from runstart.frame_messages.arrays import read_meta
from runstart.frame_messages.batches import ScanInfo
from runstart.frames import Partial, partial_from_bytes, partial_to_bytes
from runstart.operators import BytesMessage, MessageHeader

_REMEDY = "Wire center-of-mass-partial to this input."
_MOST = 2**26
_Length = Annotated[int, Field(ge=1, le=_MOST)]
_Natural = Annotated[int, Field(ge=0)]


class _Meta(BaseModel):
    scan_number: _Natural
    scan_shape: tuple[_Length, _Length]
    frame_shape: tuple[_Length, _Length]
    total_frames: _Natural | None = None


class ScanPartial(NamedTuple):
    """Sums over some frames, and the scan that they are of."""

    scan: ScanInfo
    partial: Partial


def partial_message(scan: ScanInfo, partial: Partial) -> BytesMessage:
    """Return sums as a message."""
    meta = scan._asdict() | {"media_type": "application/x-npz"}
    return BytesMessage(MessageHeader(meta=meta), partial_to_bytes(partial))


def read_partial(message: BytesMessage) -> ScanPartial:
    """Return the sums of a message.

    Raises
    ------
    Alert
        If it has none, or they do not fit the scan that it names.
    """
    try:
        meta = _Meta.model_validate(read_meta(message))
        partial = partial_from_bytes(bytes(message.data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Alert(f"The message holds no sums: {place} of its meta: {first['msg']}.", _REMEDY) from error
    except ValueError as error:
        raise Alert(f"The message holds no sums: {error}.", _REMEDY) from error
    scan = ScanInfo(meta.scan_number, meta.scan_shape, meta.frame_shape, meta.total_frames)
    if scan.positions > _MOST:
        raise Alert(f"A scan of {meta.scan_shape} cannot be.", _REMEDY)
    if tuple(partial.frame_shape) != scan.frame_shape:
        raise Alert(f"Sums over frames of {partial.frame_shape} are not of a scan of {scan.frame_shape}.", _REMEDY)
    if partial.intensity is None:
        raise Alert("The message holds no moments.", _REMEDY)
    return ScanPartial(scan, partial)
