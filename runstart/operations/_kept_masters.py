"""Master frames as inputs of other operations; the last few stay in memory, since a night asks for them again and again.

They are known by the digest of their content, so that none is ever taken for another. Nobody can change their arrays.
What is no master but, say, a raw frame is refused: results would be wrong by the exposure time or the light.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runstart.errors import Alert
from runstart.fits.camera_keywords import USUAL
from runstart.operation_kit import FitsFile, Work
from runstart.operations._camera import is_in_electrons, number_of
from runstart.operations._frames import Frame

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.fits import FitsImage

Kind = Literal["bias", "dark", "flat"]

_MOST = 6
_SHARE = 4  # of the memory limit, that all together may take
_BYTES_A_PIXEL = 5  # float32, and whether it is bad
_PER_SECOND = {
    "adu/s",
    "adu/sec",
    "adus-1",
    "adus**-1",
    "adus^-1",
    "adu.s-1",
    "count/s",
    "counts/s",
}  # without spaces
_ABOUT_ONE = (0.2, 5.0)  # in the middle of a flat
_DARK = "Make it with Master Dark."


@dataclass(frozen=True, eq=False)
class Master:
    """A master frame that was given.

    Attributes
    ----------
    name : str
        Of its file.
    kind : str
        What it is.
    data : float32[rows, cols]
    mask : bool[rows, cols] or None
        What its file flags, if it says.
    relative_uncertainty : float
        Of a flat, the median of uncertainty / data; 0 if it is not known.
    """

    name: str
    kind: Kind
    data: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_] | None
    relative_uncertainty: float

    def fitting(self, frame: Frame) -> npt.NDArray[np.float32]:
        """Return the data, if it fits to a frame.

        Raises
        ------
        Alert
            The frame is of another shape; names both files.
        """
        if self.data.shape != frame.data.shape:
            raise Alert(
                f"{frame.name} is of shape {frame.data.shape} without overscan, {self.name} of {self.data.shape}.",
                "Give masters of the same camera, binning and section.",
            )
        return self.data

    @cached_property
    def bad_pixels(self) -> npt.NDArray[np.bool_]:
        """What the master's mask flags; without one, what the data of its kind show."""
        from runstart.images import find_bad_pixels

        if self.mask is not None:
            return self.mask
        return _locked(find_bad_pixels(**{self.kind: self.data}))

    @property
    def size_bytes(self) -> int:
        """Memory that it takes, at most."""
        return self.data.size * _BYTES_A_PIXEL


class KeptMasters:
    """The masters that were used last, by the digest of their content, their kind and their name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._masters: OrderedDict[tuple[str, Kind, str], Master] = OrderedDict()

    def take(self, file: FitsFile, kind: Kind, budget_bytes: int) -> Master:
        """Return a master, read if it is not here; then those that were not used for longest go."""
        key = (file.resolved.sha256, kind, file.name)
        with self._lock:
            master = self._masters.get(key)
        if master is None:
            master = _make(file.read(), file.name, kind)
        with self._lock:
            self._masters[key] = master
            self._masters.move_to_end(key)
            while len(self._masters) > _MOST or self._size_bytes() > budget_bytes:
                self._masters.popitem(last=False)
        return master

    def _size_bytes(self) -> int:
        return sum(master.size_bytes for master in self._masters.values())


_KEPT = KeptMasters()


def read_master(work: Work, files: Sequence[FitsFile], kind: Kind) -> Master | None:
    """Return the master of an input that takes one at most; None if it is left out.

    Raises
    ------
    Alert
        It cannot be read, or is no such master, but perhaps a raw frame; names the file.
    """
    return _KEPT.take(files[0], kind, work.memory_limit // _SHARE) if files else None


def join_bad_pixels(shape: tuple[int, ...], *masters: Master | None) -> npt.NDArray[np.bool_]:
    """Return the pixels that any of the masters flags.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    *masters : Master or None
        Of that shape.
    """
    bad = np.zeros(shape, np.bool_)
    for master in masters:
        if master is not None:
            bad |= master.bad_pixels
    return bad


def _make(image: FitsImage, name: str, kind: Kind) -> Master:
    _CHECKS[kind](image, name)
    return Master(
        name,
        kind,
        _locked(np.asarray(image.data, np.float32)),
        None if image.mask is None else _locked(image.mask != 0),
        _relative_uncertainty(image) if kind == "flat" else 0.0,
    )


def _check_bias(image: FitsImage, name: str) -> None:
    unit = _unit(image)
    is_normalized = "BUNIT" in image.header and not unit and _is_about_one(image)
    if is_in_electrons(image.header) or unit in _PER_SECOND or is_normalized:
        what = "has no unit, and is 1 in its middle" if is_normalized else f"is in {unit}"
        raise Alert(f"{name} {what}: it is no master bias, which is in ADU.", "Make it with Master Bias.")


def _check_dark(image: FitsImage, name: str) -> None:
    unit, seconds = _unit(image), number_of(image.header, USUAL.exposure, name)
    if is_in_electrons(image.header):
        raise Alert(f"{name} is in {unit}: it is no master dark, which is in ADU per second.", _DARK)
    if unit not in _PER_SECOND and seconds != 1:
        exposed = "it does not say" if seconds is None else f"its exposure time is {seconds:g} s"
        raise Alert(f"{name} is no master dark, which is of one second: {exposed}.", _DARK)


def _check_flat(image: FitsImage, name: str) -> None:
    if not _is_about_one(image):
        from runstart.images.masters import median_of_middle

        level = median_of_middle(image.data)
        raise Alert(
            f"{name} is {level:.4g} in its middle: it is no master flat, which is 1 there.",
            "Make it with Master Flat.",
        )


def _is_about_one(image: FitsImage) -> bool:
    from runstart.images.masters import median_of_middle

    least, most = _ABOUT_ONE
    return least <= median_of_middle(image.data) <= most


def _unit(image: FitsImage) -> str:
    return "".join(str(image.header.get("BUNIT", "")).lower().split())


_CHECKS: dict[Kind, Callable[[FitsImage, str], None]] = {
    "bias": _check_bias,
    "dark": _check_dark,
    "flat": _check_flat,
}


def _relative_uncertainty(image: FitsImage) -> float:
    if image.uncertainty is None:
        return 0.0
    known = np.isfinite(image.uncertainty) & (image.data > 0)
    return float(np.median(image.uncertainty[known] / image.data[known])) if known.any() else 0.0


def _locked(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    plane.flags.writeable = False
    return plane
