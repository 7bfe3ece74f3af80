"""Stacks of FITS files on disk against ccdproc, and against astropy with bottleneck.

Sky with cosmic rays; the files are in the page cache. Ours reads and computes in two threads, the peers in one: a
row says what one thread of ours does. Every contestant reads the files, ignores NaN, has no other mask, and takes
float32, but for the notes. Before timing, the results are checked: the median is the peers' bit for bit, the
clipped mean astropy's.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import _stack_peers as peers
from bench._measure import Row, Scale, time_interleaved
from bench._stack_files import write_exposures
from bench._stack_peak import measure_in_child
from runstart.images import stack_files

_PACKAGES = ("numba", "astropy", "ccdproc", "bottleneck")
_MEMORY_LIMIT = 512 * 2**20
_WITHOUT = "ccdproc.combine without uncertainty"

Contestants = dict[str, Callable[[], object]]


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of median, clipped mean, number of files and memory."""
    side = scale.pick(2048, 64)
    with tempfile.TemporaryDirectory(prefix="runstart-bench-") as folder:
        n = scale.pick(20, 5)
        for dtype, nan_share in (("float32", 0.0), ("float32", 0.01), ("uint16", 0.0)):
            place = Path(folder, f"{dtype}-{nan_share}")
            place.mkdir()
            paths = write_exposures(place, n, side, dtype, nan_share)
            case = f"{dtype}_with_nan" if nan_share else dtype
            parameters = {"files": n, "rows": side, "columns": side, "dtype": dtype, "nan_share": nan_share}
            yield from _medians(f"stacks.median.{case}", paths, scale, parameters)
            yield from _clipped_means(f"stacks.sigma_clipped_mean.{case}", paths, scale, parameters)
            for path in paths:
                path.unlink()
        yield from _numbers_of_files(Path(folder), side, scale)


def _medians(name: str, paths: Sequence[Path], scale: Scale, parameters: Mapping[str, Any]) -> Iterator[Row]:
    np.testing.assert_array_equal(stack_files(paths), peers.median_with_bottleneck(paths))
    contestants: Contestants = {
        "ours": partial(stack_files, paths, "median", _MEMORY_LIMIT),
        "astropy + bottleneck.nanmedian": partial(peers.median_with_bottleneck, paths),
        "ours in one thread": partial(stack_files, paths, "median", _MEMORY_LIMIT, threads=1),
        **_with_ccdproc(peers.median_with_ccdproc, paths, parameters),
    }
    notes = (
        "ccdproc.combine makes uncertainty and mask too; of the row without, only the mask. Of uint16 files the"
        " peers make float32, ours float64."
    )
    yield from _compare(name, contestants, scale, parameters, notes)


def _clipped_means(name: str, paths: Sequence[Path], scale: Scale, parameters: Mapping[str, Any]) -> Iterator[Row]:
    ours = partial(stack_files, paths, "sigma_clipped_mean", _MEMORY_LIMIT)
    np.testing.assert_array_max_ulp(ours(), peers.clipped_mean_with_astropy(paths), 1)
    contestants: Contestants = {
        "ours": ours,
        "astropy.stats.sigma_clip": partial(peers.clipped_mean_with_astropy, paths),
        "ours in one thread": partial(ours, threads=1),
        **_with_ccdproc(peers.clipped_mean_with_ccdproc, paths, parameters),
    }
    notes = (
        "3 sigma around the median; 5 iterations, but ccdproc does 1, and averages in float32 where the others use"
        " float64. ccdproc.combine makes uncertainty and mask too; of the row without, only the mask."
    )
    yield from _compare(name, contestants, scale, parameters, notes)


def _with_ccdproc(
    combine: Callable[..., object], paths: Sequence[Path], parameters: Mapping[str, Any]
) -> Contestants:
    """Return ccdproc's contestants: it takes so long that not every case has both."""
    contestants: Contestants = {}
    if not parameters["nan_share"]:
        contestants["ccdproc.combine"] = partial(combine, paths)
        if parameters["dtype"] == "float32":
            contestants[_WITHOUT] = partial(combine, paths, with_uncertainty=False)
    return contestants


def _compare(
    name: str, contestants: Contestants, scale: Scale, parameters: Mapping[str, Any], notes: str
) -> Iterator[Row]:
    seconds = time_interleaved(contestants, scale.pick(3, 1))
    ours = seconds.pop("ours")
    for peer, theirs in seconds.items():
        yield Row(
            name=name,
            ours=statistics.median(ours),
            peer=statistics.median(theirs),
            peer_name=peer,
            unit="s",
            ratio=statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
            packages=_PACKAGES,
            parameters=parameters,
            notes=notes,
        )


def _numbers_of_files(folder: Path, side: int, scale: Scale) -> Iterator[Row]:
    few, many = scale.pick((10, 40), (2, 8))
    paths = write_exposures(folder, many, side, "float32")
    parameters = {"rows": side, "columns": side, "dtype": "float32", "memory_limit_bytes": _MEMORY_LIMIT}
    for method in ("median", "sigma_clipped_mean"):
        contestants: Contestants = {
            "few": partial(stack_files, paths[:few], method, _MEMORY_LIMIT),
            "many": partial(stack_files, paths, method, _MEMORY_LIMIT),
        }
        seconds = time_interleaved(contestants, scale.pick(9, 1))
        few_seconds = _processor_seconds(contestants["few"], scale)
        growth = statistics.median(m / f for f, m in zip(seconds["few"], seconds["many"], strict=True))
        yield Row(
            name=f"stacks.time_of_more_files.{method}",
            ours=statistics.median(seconds["many"]),
            peer=4 * statistics.median(seconds["few"]),
            peer_name=f"4 times the time of {few} files",
            unit="s",
            ratio=4 / growth,
            packages=_PACKAGES,
            parameters={
                **parameters,
                "files": many,
                "time_ratio": round(growth, 3),
                "processor_time_ratio": round(_processor_seconds(contestants["many"], scale) / few_seconds, 3),
            },
            notes=f"Ratios: {many} files to {few} files. That of processor time, of the quickest of some runs, does"
            " not see what else the machine does.",
        )
        one, four = (measure_in_child(method, _MEMORY_LIMIT, paths[:n]) for n in (few, many))
        added = {
            f"added_mib_{n}_files": round(found["added_bytes"] / 2**20, 1)
            for n, found in ((few, one), (many, four))
        }
        yield Row(
            name=f"stacks.memory_of_more_files.{method}",
            ours=four["peak_bytes"] / 2**20,
            peer=one["peak_bytes"] / 2**20,
            peer_name=f"peak of {few} files",
            unit="MiB",
            ratio=one["peak_bytes"] / four["peak_bytes"],
            packages=_PACKAGES,
            parameters={**parameters, "files": many, **added},
            notes="Peak of the whole process, a new one each; added: beyond the libraries and a first stack of 1 file.",
        )


def _processor_seconds(run: Callable[[], object], scale: Scale) -> float:
    seconds = []
    for _ in range(scale.pick(9, 1)):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return min(seconds)
