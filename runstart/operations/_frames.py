"""Raw frames made ready: without the level of their overscan, trimmed, with what the camera says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.fits.camera_keywords import USUAL, CameraKeywords
from runstart.operation_kit import FitsFile
from runstart.operations import _camera
from runstart.operations._naming import about

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header

    from runstart.fits import FitsImage


@dataclass(frozen=True, eq=False)
class Frame:
    """A raw frame without overscan, in ADU.

    Attributes
    ----------
    name : str
        Of the file.
    data : float32[rows, cols]
    mask : integer[rows, cols] or None
        If the raw file has one.
    header : Header
        Of what is left.
    gain : float
        Electrons per ADU.
    read_noise : float
        Electrons.
    saturation : float
        Of `data`, ADU, where the overscan has its median level; infinity if it is not known.
    saturated : bool[rows, cols]
        Pixels that reached it as they were read, whatever the level of their row.
    overscan : float
        Median of the level that was subtracted, ADU; 0 without an overscan.
    keywords : CameraKeywords
        By which the header was read.
    history : tuple of str
        What was done and what was taken for granted.
    taken_for_granted : tuple of str
        That alone: a gain of 1, a read noise of 0.
    """

    name: str
    data: npt.NDArray[np.float32]
    mask: npt.NDArray[Any] | None
    header: Header
    gain: float
    read_noise: float
    saturation: float
    saturated: npt.NDArray[np.bool_]
    overscan: float
    keywords: CameraKeywords
    history: tuple[str, ...]
    taken_for_granted: tuple[str, ...]

    def exposure_s(self) -> float:
        """Return the exposure time in seconds.

        Raises
        ------
        Alert
            The header has none; names the file.
        """
        return _camera.exposure_of(self.header, self.name, self.keywords.exposure)


def prepare_frame(file: FitsFile, keywords: CameraKeywords = USUAL) -> Frame:
    """Read a raw frame, subtract the level of its overscan, and trim it, as its header says by these keywords.

    Raises
    ------
    Alert
        The file cannot be read, is calibrated already, or its header is wrong; names the file.
    """
    image = file.read()
    if _camera.is_in_electrons(image.header):
        raise Alert(f"{file.name} is in electrons: it is calibrated already.", "Give raw frames.")
    with about(file.name):
        return _prepare(image, file.name, keywords)


def _prepare(image: FitsImage, name: str, keywords: CameraKeywords) -> Frame:
    from runstart.images import parse_section, subtract_overscan

    header = image.header
    overscan_section = _camera.section_of(header, keywords.bias_section)
    data_section = _camera.section_of(header, keywords.data_section)
    rows, columns = slice(0, image.data.shape[0]), slice(0, image.data.shape[1])
    if data_section:
        rows, columns = parse_section(data_section, image.data.shape)
    level, noise, history, granted = 0.0, None, [], []
    if overscan_section:
        data, level, noise = subtract_overscan(image.data, overscan_section, (rows, columns))
        history.append(
            f"overscan {overscan_section} subtracted: median level {level:.2f} ADU, noise {noise:.2f} ADU"
        )
    else:
        data = np.asarray(image.data[rows, columns], np.float32)
    if data_section:
        history.append(f"trimmed to {data_section}")
    gain = _camera.number_of(header, keywords.gain, name)
    if gain is None:
        gain = 1.0
        granted.append("a gain of 1 electron per ADU")
        history.append("no gain in the header: 1 electron per ADU is taken for granted")
    if gain <= 0:
        raise Alert(f"{name}: the gain is {gain:g}.", "Correct its header: electrons per ADU are above 0.")
    read_noise = _camera.number_of(header, keywords.read_noise, name)
    if read_noise is None:
        read_noise = 0.0 if noise is None else noise * gain
        granted += ["a read noise of 0"] if noise is None else []
        origin = "0 is taken for granted" if noise is None else "that of the overscan is taken"
        history.append(f"no read noise in the header: {origin} ({read_noise:.2f} electrons)")
    full = _camera.number_of(header, keywords.saturation, name)
    full = math.inf if full is None else full
    return Frame(
        name=name,
        data=data,
        mask=None if image.mask is None else image.mask[rows, columns],
        header=_camera.trimmed_header(header, rows, columns, keywords),
        gain=gain,
        read_noise=read_noise,
        saturation=full - level,
        saturated=image.data[rows, columns] >= full,
        overscan=level,
        keywords=keywords,
        history=tuple(history),
        taken_for_granted=tuple(granted),
    )
