"""The headers of raw binary frames: at the beginning of a `.frames` file, or in a JSON file beside one without.

A `.frames` file begins with the line `RUNSTART FRAMES 1`, the length of the header as a little-endian uint32, and the
header: JSON, padded with spaces so that the frames begin at a multiple of 64 bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runstart.errors import Alert
from runstart.frame_files._limits import MOST_PER_POSITION, check_header, refused
from runstart.frame_files.blob import Blob
from runstart.frame_files.source import ScanHeader

__all__ = ["MAGIC", "RawHeader", "Sidecar", "header_to_bytes", "read_header", "read_sidecar"]

MAGIC = b"RUNSTART FRAMES 1\n"
_ALIGNMENT = 64
_LONGEST = 2**16
_LENGTH = np.dtype("<u4")

_Side = Annotated[int, Field(ge=1, le=2**26)]
_Gap = Annotated[int, Field(ge=0, le=2**20)]


class _ScanFields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    scan_shape: tuple[_Side, _Side]
    frame_shape: tuple[_Side, _Side]
    dtype: Literal["uint8", "uint16", "uint32", "float32"]
    frames_per_position: Annotated[int, Field(ge=1, le=MOST_PER_POSITION)] = 1
    scan: Annotated[str, Field(max_length=200)] = ""
    started: Annotated[str, Field(max_length=64)] = ""
    calibration: dict[
        Literal["scan_step_nm", "mrad_per_pixel", "voltage_kv"],
        Annotated[float, Field(gt=0, allow_inf_nan=False)],
    ] = {}

    @field_validator("started")
    @classmethod
    def _check_started(cls, started: str) -> str:
        if started and datetime.fromisoformat(started).tzinfo is None:
            raise ValueError("give the time with its zone, such as 2026-05-01T12:00:00Z")
        return started

    def scan_header(self, name: str) -> ScanHeader:
        """Return what every file says about its scan."""
        header = ScanHeader(
            scan_shape=self.scan_shape,
            frame_shape=self.frame_shape,
            dtype=self.dtype,
            frames_per_position=self.frames_per_position,
            scan=self.scan,
            started=self.started,
            calibration={str(key): value for key, value in self.calibration.items()},
        )
        return check_header(header, name)


class RawHeader(_ScanFields):
    """The JSON header of a `.frames` file."""

    version: Literal[1] = 1
    slot_records: bool = True
    """Whether a record with slot and checksum stands before each frame; otherwise frames are in the order of slots."""


class Sidecar(_ScanFields):
    """The JSON file beside raw frames that have no header."""

    offset_bytes: Annotated[int, Field(ge=0, le=2**40)] = 0
    """What stands before the first frame."""

    byte_order: Literal["little", "big"] = "little"
    frame_header_bytes: _Gap = 0
    frame_footer_bytes: _Gap = 0


_Model = TypeVar("_Model", bound=_ScanFields)


def header_to_bytes(header: RawHeader) -> bytes:
    """Return what stands before the frames of a `.frames` file."""
    text = header.model_dump_json().encode()
    fixed = len(MAGIC) + _LENGTH.itemsize
    text += b" " * (-(fixed + len(text)) % _ALIGNMENT)
    return MAGIC + np.array(len(text), _LENGTH).tobytes() + text


def read_header(blob: Blob) -> tuple[RawHeader, int]:
    """Return the header of a `.frames` file, and the offset of its first frame.

    Raises
    ------
    Alert
        If the file ends within its header, or the header cannot be.
    """
    fixed = len(MAGIC) + _LENGTH.itemsize
    begin = blob.read(0, fixed)
    if not begin.startswith(MAGIC[: len(begin)]):
        raise refused(blob.name, f"does not begin with {MAGIC.decode().strip()!r}", "Give a .frames file.")
    size = blob.size()
    if len(begin) < fixed:
        raise refused(blob.name, f"ends within its header, after {size} bytes", "Wait until it is written.")
    length = int(np.frombuffer(begin[len(MAGIC) :], _LENGTH)[0])
    if length > _LONGEST:
        raise refused(blob.name, f"claims a header of {length} bytes; the longest has {_LONGEST}")
    text = blob.read(fixed, length)
    if len(text) < length:
        what = f"claims a header of {length} bytes, but has {size} bytes in all"
        raise refused(blob.name, what, "Wait until it is written, or copy it again.")
    if (fixed + length) % _ALIGNMENT:
        raise refused(blob.name, f"claims a header of {length} bytes, which does not end at a multiple of 64")
    return _parsed(RawHeader, text, f"The header of {blob.name}"), fixed + length


def read_sidecar(text: bytes, name: str) -> Sidecar:
    """Return what a JSON file says about the raw frames beside it.

    Raises
    ------
    Alert
        If it says too little, or what cannot be.
    """
    if len(text) > _LONGEST:
        raise refused(name, f"has more than {_LONGEST} bytes", "Give a JSON file that describes the frames.")
    return _parsed(Sidecar, text, name)


def _parsed(model: type[_Model], text: bytes, name: str) -> _Model:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"{name} is wrong at {place}: {first['msg']}." if place else f"{name} is no JSON: {first['msg']}."
        raise Alert(what, "Have it written anew, or correct it.") from error
