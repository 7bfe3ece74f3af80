"""What a microscope is: where its scans arrive, what is computed of them, and what a batch of frames may take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from runstart.frames.recipe import Recipe
from runstart.storage import check_key

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"
SMALLEST_BATCH, LARGEST_BATCH = 2**20, 2**36

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Calibration(_Frozen):
    """Lengths of a scan in physical units; what a file says about itself goes before."""

    scan_step_nm: Positive | None = None
    """Distance of neighbouring scan positions; without it axes are in positions."""

    mrad_per_pixel: Positive | None = None
    """Angle that a pixel of the camera subtends, before binning; without it axes are in pixels."""

    voltage_kv: Positive | None = None
    """Acceleration voltage."""


class Phase(_Frozen):
    """How the phase is integrated of the centre of mass: see `integrate_phase`."""

    rotation_deg: Annotated[float, Field(ge=-360, le=360)] = 0.0
    """By which the camera's axes are turned against the scan's."""

    flip: bool = False
    """Whether the camera's rows run against the scan's."""

    regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Damps the largest structures."""


class BeamCompensation(_Frozen):
    """Removes the drift of the beam by the centre of mass of a vacuum scan."""

    vacuum_scan: str
    """The scan of the same microscope, by its partition key; it must be done."""

    method: Literal["interpolate", "plane"] = "interpolate"


class Announcements(_Frozen):
    """A Kafka topic on which scans are announced as JSON."""

    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    kafka: str = "default"
    """A cluster of instruments.toml."""

    frames_topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    """Where batches of sparse frames of streamed scans come; without it only files are announced."""


class Toleration(_Frozen):
    """A Kubernetes toleration of pods that process frames."""

    key: str
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Pods(_Frozen):
    """Where heavy steps run on Kubernetes; memory and CPU follow from the batch size and the threads."""

    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()


class Microscope(_Frozen):
    """A scanning electron microscope with one camera."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Its table in `microscopes.toml`."""

    title: str = ""
    """For people."""

    scans: str
    """Where scans arrive: `file:FOLDER` (relative to `microscopes.toml`) or `s3://BUCKET/PREFIX`."""

    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """A file of a format that does not say when it is finished is finished when it has not changed for this long."""

    give_up_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """A scan to which nothing has been added for this long was broken off."""

    display_interval: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    """Seconds between two pictures of a scan that goes on."""

    batch_bytes: Annotated[int, Field(ge=SMALLEST_BATCH, le=LARGEST_BATCH)] = 2**30
    """Frames that one step takes, in bytes; the file may say '512MiB'."""

    threads: Annotated[int, Field(ge=1, le=256)] = 2
    """Of one step."""

    missing_fraction: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Part of the frames that may be missing without a warning."""

    recipe: Recipe = Recipe()
    calibration: Calibration = Calibration()
    phase: Phase = Phase()
    beam_compensation: BeamCompensation | None = None
    announcements: Announcements | None = None
    pods: Pods = Pods()

    @field_validator("beam_compensation")
    @classmethod
    def _check_vacuum_scan(cls, given: BeamCompensation | None) -> BeamCompensation | None:
        if given is not None:
            check_key(given.vacuum_scan)
        return given

    def folder(self, scan: str) -> str:
        """Return the prefix under which a scan's objects lie in the object store."""
        return check_key(f"scans/{self.name}/{scan}")

    @property
    def path(self) -> Path | None:
        """The folder in which scans arrive; None if it is a bucket."""
        if not self.scans.startswith("file:"):
            return None
        folder = self.scans.removeprefix("file:")
        return Path(folder.removeprefix("//") if folder.startswith("///") else folder)
