"""Stacks of input files in fixed memory, with errors that name the file as the user does, and the first header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.operation_kit import FitsFile, Work
from runstart.operations._naming import naming

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header


def stack_inputs(
    work: Work, files: Sequence[FitsFile], method: str, begin: float = 0.0, end: float = 0.95, **settings: Any
) -> tuple[npt.NDArray[Any], Header]:
    """Return what `stack_files` makes of input files, and the header of the first.

    Parameters
    ----------
    work : Work
        Is told the progress, from `begin` to `end`.
    files : sequence of FitsFile
        In order.
    method : str
        As `stack_files` takes it.
    begin, end : float
        Fractions of the progress.
    **settings
        More for `stack_files`.

    Raises
    ------
    Alert
        A file has no image, or is damaged, or all is NaN; it names the file.
    """
    from runstart.fits import read_header
    from runstart.images import stack_files

    message = f"Combining {len(files)} images"
    work.progress(begin, message)
    paths = work.paths(files)
    header = read_header(paths[0], label=files[0].name)
    with naming(dict(zip(paths, files, strict=True))):
        data = stack_files(
            paths,
            method,
            work.memory_limit,
            on_progress=lambda done: work.progress(begin + (end - begin) * done, message),
            **settings,
        )
    if not data.any() or not np.isfinite(data).any():
        _refuse_empty(files)
    return data, header


def _refuse_empty(files: Sequence[FitsFile]) -> None:
    """Raise an Alert about the first file without a finite pixel, if nothing came of a stack."""
    for file in files:
        file.read()
