"""Instruments as the facility declares them: frozen, and checked as a whole when they are made.

Every rule that live reduction relies on (whole nanoseconds in a TOF bin, disjoint detector ids, legal topic
names, memory that fits) is checked here once, so that nothing downstream has to check it again. A broken rule
is a `pydantic.ValidationError` whose text says what would fit; `read_instruments` turns it into an `Alert`
that names the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from runstart.instruments._base import NAME_PATTERN, Delay, Frozen, Interval
from runstart.instruments.collector import CollectorDeclaration
from runstart.instruments.script import Script

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

View = Literal["tof", "pixel", "image", "pixel_tof"]

NANOSECONDS_PER_MICROSECOND = 1000
MAX_TOF_NS = 2_147_483_647  # ev44 carries times of flight as int32 nanoseconds
MAX_DETECTOR_ID = 4_294_967_295  # ev42 carries detector ids as uint32

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")

_Microseconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Bank(Frozen):
    """A detector bank: pixels whose ids follow one another, row by row."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Name of the bank, shown in pictures and files."""

    shape: tuple[Annotated[StrictInt, Field(ge=1)], ...]
    """Number of pixels `(n,)`, or `(rows, columns)`: a tube is a row."""

    first_detector_id: Annotated[StrictInt, Field(ge=0, le=MAX_DETECTOR_ID)]
    """Detector id of the first pixel; the last has `first_detector_id + size - 1`."""

    @field_validator("shape")
    @classmethod
    def _check_dimensions(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (1, 2):
            raise ValueError(f"{list(shape)} has {len(shape)} dimensions; write [pixels] or [rows, columns]")
        return shape

    @field_validator("first_detector_id")
    @classmethod
    def _check_last_id(cls, first: int, info: ValidationInfo) -> int:
        last = first + math.prod(info.data.get("shape", (1,))) - 1
        if last > MAX_DETECTOR_ID:
            raise ValueError(f"the last pixel would have id {last}; the largest id is {MAX_DETECTOR_ID}")
        return first

    @property
    def size(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)


class TofAxis(Frozen):
    """Equal time-of-flight bins; each holds its lower edge and not its upper one."""

    start_us: _Microseconds
    """Lower edge of the first bin in microseconds, a whole number of nanoseconds."""

    stop_us: _Microseconds
    """Upper edge of the last bin in microseconds, a whole number of nanoseconds; at most 2,147,483.647."""

    bins: Annotated[StrictInt, Field(ge=1)]
    """Number of bins; each is a whole number of nanoseconds wide."""

    @field_validator("start_us", "stop_us")
    @classmethod
    def _check_edge(cls, edge_us: float) -> float:
        edge_ns = _nanoseconds(edge_us)
        if not 0 <= edge_ns <= MAX_TOF_NS:
            nearest = min(max(edge_ns, 0), MAX_TOF_NS)
            raise ValueError(f"{edge_us} us is no time of flight; the nearest that is: {_us(nearest)}")
        if edge_us != _microseconds(edge_ns):
            raise ValueError(f"{edge_us} us is not whole nanoseconds; the nearest that is: {_us(edge_ns)}")
        return edge_us

    @field_validator("stop_us")
    @classmethod
    def _check_order(cls, stop_us: float, info: ValidationInfo) -> float:
        start_us = info.data.get("start_us")
        if start_us is not None and not start_us < stop_us:
            raise ValueError(f"{stop_us} is not greater than start_us = {start_us}; write a later stop_us")
        return stop_us

    @field_validator("bins")
    @classmethod
    def _check_width(cls, bins: int, info: ValidationInfo) -> int:
        if "start_us" not in info.data or "stop_us" not in info.data:
            return bins
        start_ns, stop_ns = _nanoseconds(info.data["start_us"]), _nanoseconds(info.data["stop_us"])
        span_ns = stop_ns - start_ns
        if span_ns % bins:
            nearest_bins = min(_divisors(span_ns), key=lambda divisor: (abs(divisor - bins), divisor))
            fitting = f"bins = {nearest_bins}"
            nearest_stop_ns = start_ns + bins * max(1, round(span_ns / bins))
            if nearest_stop_ns <= MAX_TOF_NS:
                fitting += f", or keep the bins and write stop_us = {_us(nearest_stop_ns)}"
            raise ValueError(
                f"{bins} bins do not divide {span_ns} ns into whole nanoseconds; the nearest that fits is {fitting}"
            )
        return bins

    @property
    def start_ns(self) -> int:
        """Lower edge of the first bin in nanoseconds."""
        return _nanoseconds(self.start_us)

    @property
    def stop_ns(self) -> int:
        """Upper edge of the last bin in nanoseconds."""
        return _nanoseconds(self.stop_us)

    @property
    def width_ns(self) -> int:
        """Width of each bin in nanoseconds."""
        return (self.stop_ns - self.start_ns) // self.bins

    def edges_ns(self) -> NDArray[np.int64]:
        """Return the `(bins + 1,)` int64 bin edges in nanoseconds."""
        import numpy as np  # half of the time that the code location would take to load

        return self.start_ns + self.width_ns * np.arange(self.bins + 1, dtype=np.int64)


class Topics(Frozen):
    """The Kafka topics of an instrument, which default to its name with a suffix."""

    events: str
    """Event messages (ev42, ev44); an instrument's own, because events do not name their instrument."""

    run_info: str
    """RunStart (pl72) and RunStop (6s4t); instruments may share it."""

    sample_env: str
    """Sample environment logs (f142, f144); instruments may share it."""

    results: str | None = None
    """Where the run's results are published as da00; None publishes none."""

    @field_validator("events", "run_info", "sample_env", "results")
    @classmethod
    def _check_topic(cls, topic: str | None) -> str | None:
        if topic is not None and (not _TOPIC.fullmatch(topic) or topic in (".", "..")):
            raise ValueError(
                f"{topic!r} is not a Kafka topic name; "
                "use 1 to 249 of the characters A-Z a-z 0-9 . _ - (and not '.' or '..')"
            )
        return topic

    @model_validator(mode="after")
    def _check_distinct(self) -> Topics:
        named = [topic for _, topic in self if topic is not None]
        if len(set(named)) < len(named):
            raise ValueError(
                "events, run_info, sample_env and results are not different topics; rename one of them"
            )
        return self

    @classmethod
    def of(cls, instrument_name: str) -> Topics:
        """Return the default topics of an instrument."""
        return cls(**_default_topics(instrument_name))


class Instrument(Frozen):
    """A beamline whose runs are reduced live."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Name in RunStart messages, in Dagster and in the store; the name of its table in `instruments.toml`."""

    title: str = ""
    """A line for people."""

    live_reduction: StrictBool = True
    """Whether a RunStart starts a live run by itself."""

    kafka: str = "default"
    """Name of the Kafka cluster that carries the topics."""

    topics: Topics = Field(default_factory=lambda data: Topics.of(data["name"]))
    """Kafka topics; those not given default to `<name>_events`, `<name>_runInfo` and `<name>_sampleEnv`."""

    banks: Annotated[tuple[Bank, ...], Field(min_length=1)]
    """Detector banks with disjoint ids; their pixels in this order make up the pixel view."""

    tof: TofAxis
    """Bins of the time of flight."""

    views: tuple[View, ...] = ("tof", "pixel", "image")
    """What is kept and shown. TOF and pixels are always accumulated; `pixel_tof` only when listed here."""

    snapshot_interval: Interval = 30.0
    """Seconds between snapshots of a live run."""

    display_interval: Interval = 2.0
    """Seconds between pictures of a live run."""

    grace: Delay = 5.0
    """Seconds after RunStop in which events of the run may still arrive."""

    hold_back: Delay = 2.0
    """Seconds of the newest pulses that are kept apart until it is known that the run goes on past them."""

    seek_margin: Delay = 60.0
    """Seconds before the run's start at which reading begins, against differing clocks."""

    max_memory_mb: Annotated[StrictInt, Field(ge=1)] = 2048
    """Most memory that the views may take, over all periods, in megabytes (1,000,000 bytes)."""

    script: Script | None = None
    """Reduction script that turns the counts into the instrument's own results while the run is live."""

    collectors: dict[Annotated[str, Field(pattern=NAME_PATTERN)], CollectorDeclaration] = Field(
        default_factory=dict
    )
    """Collectors of time-series logs, by a name of your choice."""

    @field_validator("topics", mode="before")
    @classmethod
    def _fill_topics(cls, topics: object, info: ValidationInfo) -> object:
        if isinstance(topics, Mapping):
            return {**_default_topics(info.data.get("name", "instrument")), **topics}
        return topics

    @field_validator("banks")
    @classmethod
    def _check_banks(cls, banks: tuple[Bank, ...]) -> tuple[Bank, ...]:
        names = [bank.name for bank in banks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two banks are named {name!r}; give each its own name")
        for lower, upper in pairwise(sorted(banks, key=lambda bank: bank.first_detector_id)):
            last = lower.first_detector_id + lower.size - 1
            if upper.first_detector_id <= last:
                raise ValueError(
                    f"bank {lower.name!r} has detector ids {lower.first_detector_id} to {last}, and bank "
                    f"{upper.name!r} begins at {upper.first_detector_id}; begin at {last + 1} or later"
                )
        return banks

    @field_validator("views")
    @classmethod
    def _check_views(cls, views: tuple[View, ...]) -> tuple[View, ...]:
        if len(set(views)) < len(views):
            raise ValueError(f"{list(views)} lists a view twice; list each once")
        return views

    @field_validator("max_memory_mb")
    @classmethod
    def _check_memory(cls, max_memory_mb: int, info: ValidationInfo) -> int:
        if not {"banks", "tof", "views"} <= info.data.keys():
            return max_memory_mb
        needed_mb = math.ceil(_memory_bytes(info.data["banks"], info.data["tof"], info.data["views"]) / 1e6)
        if needed_mb > max_memory_mb:
            raise ValueError(
                f"the views need {needed_mb} MB a period, more than max_memory_mb = {max_memory_mb}; write "
                f"max_memory_mb = {needed_mb} or more, or fewer TOF bins, or leave 'pixel_tof' out of views"
            )
        return max_memory_mb

    # The default is validated too, or a table that says nothing of memory would escape the check.
    model_config = ConfigDict(validate_default=True)

    @property
    def pixel_count(self) -> int:
        """Number of pixels of all banks."""
        return sum(bank.size for bank in self.banks)

    def memory_bytes(self, n_periods: int) -> int:
        """Return the bytes that the views take for a number of periods.

        Parameters
        ----------
        n_periods : int
            Number of periods of the run.

        Returns
        -------
        int
            8 bytes a TOF bin, 4 a pixel, and 4 a pixel x TOF cell if that view is declared.
        """
        return n_periods * _memory_bytes(self.banks, self.tof, self.views)


def _nanoseconds(microseconds: float) -> int:
    return round(microseconds * NANOSECONDS_PER_MICROSECOND)


def _microseconds(nanoseconds: int) -> float:
    return nanoseconds / NANOSECONDS_PER_MICROSECOND


def _us(nanoseconds: int) -> str:
    return f"{_microseconds(nanoseconds):.3f}".rstrip("0").rstrip(".")


def _divisors(number: int) -> list[int]:
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return small + [number // divisor for divisor in small]


def _default_topics(name: str) -> dict[str, Any]:
    return {"events": f"{name}_events", "run_info": f"{name}_runInfo", "sample_env": f"{name}_sampleEnv"}


def _memory_bytes(banks: tuple[Bank, ...], tof: TofAxis, views: tuple[View, ...]) -> int:
    pixels = sum(bank.size for bank in banks)
    cells = pixels * tof.bins if "pixel_tof" in views else 0
    return 8 * tof.bins + 4 * (pixels + cells)
