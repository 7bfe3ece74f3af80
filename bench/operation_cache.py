"""A second identical request of a data operation, answered from the cache, against computing it with astropy.

The request is the median of images in a folder; ours finds the files, knows their content from the cache's memo, makes
the key and reads the entry. The peer is what the second request costs without a cache: astropy reads the files and
bottleneck computes the median. A row tells what the first request costs us, outputs and previews included.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter, sleep

from bench import _stack_peers as peers
from bench._measure import Row, Scale, compare_rates
from bench._stack_files import write_exposures
from runstart.fits import InputSettings, open_inputs
from runstart.operation_kit import Answer, Workplace, execute, find_operation
from runstart.storage import FileStore

_SETTLED_SECONDS = 2.5  # no digest is kept of a file younger than this


def run(scale: Scale) -> Iterator[Row]:
    """Yield the row of a repeated request for 20 images."""
    n, side = scale.pick(20, 3), scale.pick(2048, 64)
    with tempfile.TemporaryDirectory(prefix="runstart-bench-") as folder:
        images = Path(folder, "images")
        images.mkdir()
        paths = write_exposures(images, n, side, "float32", 0.0)
        sleep(_SETTLED_SECONDS)
        workplace = _open_workplace(Path(folder), images)
        request = partial(_ask, workplace, [f"images/{path.name}" for path in paths])
        began = perf_counter()
        assert request().computed
        first = perf_counter() - began
        assert not request().computed
        yield from compare_rates(
            "operation_cache.median",
            {"ours": request, "astropy + bottleneck.nanmedian": partial(peers.median_with_bottleneck, paths)},
            1.0,
            "requests/s",
            scale,
            packages=("astropy", "bottleneck"),
            parameters={"files": n, "rows": side, "columns": side, "first_request_seconds": round(first, 3)},
            notes="The peer makes no output file and no previews, and reads from the page cache.",
        )


def _open_workplace(folder: Path, images: Path) -> Workplace:
    store = FileStore(folder / "store")
    settings = InputSettings(folders={"images": str(images)}, cache_folder=str(folder / "cache"))
    return Workplace(store, open_inputs(settings, store, {}), folder / "scratch")


def _ask(workplace: Workplace, files: list[str]) -> Answer:
    return execute(find_operation("median", {}), {"input_files": files}, workplace)
