"""Times ours and its peers in interleaved rounds, and says the outcome as one JSON object a line.

Whatever else the machine does meanwhile slows all of them alike: each round times every contestant once, in an
order that rotates, and what is reported are medians over the rounds. `ratio` is how many times better ours is
than the peer: the median of the rounds' ratios, above 1 when ours wins, whatever the unit.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

SHORTEST_SAMPLE = 0.02  # seconds; a contestant that is quicker is called several times a round


@dataclass(frozen=True)
class Scale:
    """How much a benchmark does.

    Attributes
    ----------
    quick : bool
        The smallest sizes that still run every line of the benchmark; the figures mean nothing then.
    rounds : int
        Interleaved rounds.
    """

    quick: bool

    @property
    def rounds(self) -> int:
        """Interleaved rounds of a benchmark that computes in memory."""
        return 2 if self.quick else 15

    def pick(self, full: Any, quick: Any) -> Any:
        """Return the one or the other size."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    name : str
        Benchmark and case, such as `decode.ev44.100000`.
    ours, peer : float
        Medians, in `unit`.
    peer_name : str
        What ours is compared with.
    unit : str
        Of `ours` and `peer`.
    ratio : float
        How many times better ours is.
    packages : sequence of str
        Distributions whose versions matter.
    parameters : mapping
        Sizes and settings.
    notes : str
        What each side computes, where it is not the same.
    """

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    packages: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    def to_json(self) -> str:
        """Return the row as one line of JSON."""
        fields: dict[str, Any] = {
            "name": self.name,
            "ours": _rounded(self.ours),
            "peer": _rounded(self.peer),
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": _rounded(self.ratio),
            "versions": versions(*self.packages),
        }
        if self.parameters:
            fields["parameters"] = dict(self.parameters)
        if self.notes:
            fields["notes"] = self.notes
        return json.dumps(fields)


def time_interleaved(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of one call, for each contestant and round.

    Parameters
    ----------
    contestants : mapping of str to callable
        Each is called once before any is timed, which warms caches and compilers.
    rounds : int
        Samples of each.
    """
    calls = {name: _calls_per_sample(run) for name, run in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                run, repeats = contestants[name], calls[name]
                began = time.perf_counter()
                for _ in range(repeats):
                    run()
                seconds[name].append((time.perf_counter() - began) / repeats)
    finally:
        gc.enable()
    return seconds


def compare_rates(
    name: str,
    contestants: Mapping[str, Callable[[], object]],
    amount: float,
    unit: str,
    scale: Scale,
    *,
    packages: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    notes: str = "",
) -> list[Row]:
    """Return one row for each peer, as rates.

    Parameters
    ----------
    name : str
        Name of the rows.
    contestants : mapping of str to callable
        `ours` and the peers by name.
    amount : float
        What one call handles, in the unit's own unit: `unit` is that per second.
    unit : str
        Such as `events/s`.
    scale : Scale
        Says how many rounds.
    packages, parameters, notes
        See `Row`.
    """
    seconds = time_interleaved(contestants, scale.rounds)
    ours = seconds.pop("ours")
    return [
        Row(
            name=name,
            ours=amount / statistics.median(ours),
            peer=amount / statistics.median(theirs),
            peer_name=peer,
            unit=unit,
            ratio=statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
            packages=packages,
            parameters=parameters or {},
            notes=notes,
        )
        for peer, theirs in seconds.items()
    ]


@cache
def versions(*packages: str) -> dict[str, str]:
    """Return what the figures depend on: Runstart, Python, the processor, and these distributions."""
    found = {name: metadata.version(name) for name in ("runstart", "numpy", *packages)}
    return found | {"python": platform.python_version(), "machine": f"{_processor()}, {_cores()} cores"}


def _calls_per_sample(run: Callable[[], object]) -> int:
    run()
    began = time.perf_counter()
    run()
    once = time.perf_counter() - began
    return max(1, round(SHORTEST_SAMPLE / max(once, 1e-9)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
