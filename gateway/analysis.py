"""Quick looks at one image, after Datalab's analysis actions: what a viewer asks for while somebody clicks.

A viewer shows an image as a picture of another size, whose first row is at the top. Its coordinates are those of that
picture; here they become places in the image, whose first row is at the bottom and whose first pixel's centre is (0, 0).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from runstart.errors import Alert
from runstart.fits import read_image, read_table
from runstart.images import auto_limits, make_previews

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.fits import FitsImage

MOST_SOURCES = 1000
MOST_SIDE = 500  # pixels of raw data along each side
_BINS = 120
_MOST_STEPS = 20_000  # of a line
_TURNS = 100
_CLOSE = 0.01  # pixels
_CLIP = 2.0  # standard deviations
_CLIP_TURNS = 9


class AnalysisInput(BaseModel):
    """What an analysis is asked of; an action takes what it needs of it."""

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        json_schema_extra={
            "example": {
                "basename": "ogg0m404-kb82-20260328-0012-e91",
                "source": "archive",
                "width": 800,
                "height": 600,
            }
        },
    )

    basename: str = Field(max_length=900)
    source: str = Field("archive", max_length=64)
    width: float | None = Field(None, gt=0, le=1e5, description="Of the picture that is shown, in its pixels.")
    height: float | None = Field(None, gt=0, le=1e5)
    x: float | None = Field(None, ge=-1e5, le=1e5, description="Where somebody has clicked.")
    y: float | None = Field(None, ge=-1e5, le=1e5)
    x1: float | None = Field(None, ge=-1e5, le=1e5, description="Begin of a line.")
    y1: float | None = Field(None, ge=-1e5, le=1e5)
    x2: float | None = Field(None, ge=-1e5, le=1e5, description="End of a line.")
    y2: float | None = Field(None, ge=-1e5, le=1e5)
    radius: float = Field(8.0, ge=3, le=500, description="Of a source, in pixels of the image.")
    r_back1: float = Field(10.0, ge=0, le=1000, description="Of the sky around it: inner and outer radius.")
    r_back2: float = Field(15.0, ge=0, le=1000)
    zmin: float | None = Field(None, allow_inf_nan=False, description="Value that becomes black.")
    zmax: float | None = Field(None, allow_inf_nan=False)
    max_size: int = Field(MOST_SIDE, ge=1, le=MOST_SIDE, strict=False)

    def need(self, *names: str) -> list[float]:
        """Return values that an action cannot do without.

        Raises
        ------
        Alert
            If one is missing.
        """
        for name in names:
            if getattr(self, name) is None:
                raise Alert(f"{name} is missing.", f"Give {', '.join(names)}.")
        return [getattr(self, name) for name in names]


class Frame:
    """How places of the picture that is shown become places of an image, and back.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    asked : AnalysisInput
        Width and height of the picture.
    """

    def __init__(self, shape: tuple[int, ...], asked: AnalysisInput) -> None:
        width, self._height = asked.need("width", "height")
        self._across, self._up = shape[1] / width, shape[0] / self._height

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Return column and row of a place in the picture."""
        return x * self._across - 0.5, (self._height - y) * self._up - 0.5

    def to_picture(self, column: float, row: float) -> tuple[float, float]:
        """Return the place in the picture of a column and a row."""
        return (column + 0.5) / self._across, self._height - (row + 0.5) / self._up


def centroid(path: Path, asked: AnalysisInput) -> dict[str, Any]:
    """Return the middle of the source that was clicked, in the picture and on the sky."""
    image = read_image(path, label=asked.basename)
    frame = Frame(image.data.shape, asked)
    column, row = frame.to_image(*asked.need("x", "y"))
    if not asked.radius < asked.r_back1 < asked.r_back2:
        raise Alert("The radii do not grow.", "Give radius < r_back1 < r_back2.")
    found = _find_middle(image.data.astype(np.float64), column, row, asked)
    x, y = frame.to_picture(found["column"], found["row"])
    place = _sky(image, found["column"], found["row"])
    return {
        "x": x,
        "y": y,
        "ra": None if place is None else place[0],
        "dec": None if place is None else place[1],
        "background": found["background"],
        "peak": found["peak"],
        "success": found["success"],
        "message": "" if found["success"] else "No source was found here.",
    }


def line_profile(path: Path, asked: AnalysisInput) -> dict[str, Any]:
    """Return the values along a line, its length and direction on the sky."""
    from scipy.ndimage import map_coordinates

    image = read_image(path, label=asked.basename)
    frame = Frame(image.data.shape, asked)
    x1, y1, x2, y2 = asked.need("x1", "y1", "x2", "y2")
    begin, end = frame.to_image(x1, y1), frame.to_image(x2, y2)
    pixels = math.dist(begin, end)
    steps = min(_MOST_STEPS, math.ceil(pixels) + 1)
    columns, rows = (np.linspace(begin[axis], end[axis], steps) for axis in (0, 1))
    values = map_coordinates(image.data.astype(np.float64), [rows, columns], order=1, cval=np.nan)
    first, last = _sky(image, *begin), _sky(image, *end)
    told: dict[str, Any] = {"line_profile": _numbers(values), "start_coords": first, "end_coords": last}
    if first is None or last is None:
        scale = image.header.get("PIXSCALE")
        return {**told, "arcsec": None if scale is None else pixels * float(scale), "position_angle": None}
    from astropy.coordinates import SkyCoord

    start, stop = (SkyCoord(*place, unit="deg") for place in (first, last))
    arcsec, angle = float(start.separation(stop).arcsec), float(start.position_angle(stop).deg)
    return {**told, "arcsec": arcsec, "position_angle": angle}


def source_catalog(path: Path, asked: AnalysisInput) -> list[dict[str, Any]]:
    """Return the brightest sources of the file's catalogue, placed in the picture."""
    table = read_table(path, "CAT", label=asked.basename)[:MOST_SOURCES]
    frame = Frame(read_image(path, label=asked.basename).data.shape, asked)
    names = {name.lower(): name for name in table.dtype.names or ()}

    def column(*choices: str) -> npt.NDArray[np.float64] | None:
        found = next((names[choice] for choice in choices if choice in names), None)
        return None if found is None else np.asarray(table[found], np.float64)

    x, y, flux = column("x"), column("y"), column("flux")
    if x is None or y is None or flux is None:
        raise Alert(
            "The catalogue CAT has no columns x, y and flux.", "Make one with the operation Source Catalog."
        )
    x_win, y_win = column("xwin", "x"), column("ywin", "y")
    errors = column("fluxerr", "flux_err")
    mag, mag_error = column("mag"), column("magerr")
    is_fallback = mag is None or mag_error is None
    if is_fallback:
        mag, mag_error = _magnitudes(flux, errors)
    ra, dec = column("ra"), column("dec")
    told = []
    for place in range(len(table)):
        # Catalogues count from 1.
        shown = frame.to_picture(x[place] - 1, y[place] - 1)
        window = frame.to_picture(x_win[place] - 1, y_win[place] - 1)  # type: ignore[index]
        source = {
            "x": shown[0],
            "y": shown[1],
            "x_win": window[0],
            "y_win": window[1],
            "flux": _number(flux[place]),
        }
        source |= {"mag": _number(mag[place]), "magerr": _number(mag_error[place])}  # type: ignore[index]
        source["flux_fallback"] = is_fallback
        if ra is not None and dec is not None and np.isfinite([ra[place], dec[place]]).all():
            source |= {"ra": f"{ra[place]:.6f}", "dec": f"{dec[place]:.6f}"}  # type: ignore[dict-item]
        told.append(source)
    return told


def raw_data(path: Path, asked: AnalysisInput) -> dict[str, Any]:
    """Return the image in few pixels, first row at the top, and the histogram of its values."""
    image = read_image(path, label=asked.basename)
    data = image.data.astype(np.float64)
    step = max(1, -(-max(data.shape) // asked.max_size))
    rows, columns = (-(-length // step) for length in data.shape)
    padded = np.pad(
        data, ((0, rows * step - data.shape[0]), (0, columns * step - data.shape[1])), constant_values=np.nan
    )
    blocks = padded.reshape(rows, step, columns, step)
    known = np.isfinite(blocks).sum(axis=(1, 3))
    sums = np.where(np.isfinite(blocks), blocks, 0.0).sum(axis=(1, 3))
    means = np.divide(sums, known, out=np.full((rows, columns), np.nan), where=known > 0)
    zmin, zmax = auto_limits(image.data)
    values = data[np.isfinite(data)]
    counts, edges = np.histogram(values, _BINS) if values.size else (np.zeros(_BINS), np.linspace(0, 1, _BINS + 1))
    return {
        "data": _numbers(means[::-1].ravel()),
        "height": rows,
        "width": columns,
        "histogram": [math.log10(count) if count else 0.0 for count in counts.tolist()],
        "bins": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "zmin": zmin,
        "zmax": zmax,
        "bitdepth": image.data.dtype.itemsize * 8,
    }


def world_coordinates(path: Path, asked: AnalysisInput) -> dict[str, Any]:
    """Return the WCS of an image, and its size."""
    image = read_image(path, label=asked.basename)
    wcs = _celestial(image)
    if wcs is None:
        raise Alert(f"{asked.basename} has no celestial WCS.", "Choose an image that has been plate solved.")
    matrix = wcs.pixel_scale_matrix
    return {
        "crval": wcs.wcs.crval.tolist(),
        "crpix": wcs.wcs.crpix.tolist(),
        "cd1": matrix[0].tolist(),
        "cd2": matrix[1].tolist(),
        "fits_dimensions": list(image.data.shape),
    }


def jpeg(path: Path, asked: AnalysisInput) -> dict[str, Any]:
    """Return the image as a JPEG between two values."""
    return {"jpg_base64": base64.b64encode(_previews(path, asked).large_jpeg).decode()}


def tiff(path: Path, asked: AnalysisInput) -> dict[str, Any]:
    """Return the image as a TIFF."""
    return {"tif_base64": base64.b64encode(_previews(path, asked).tiff).decode()}


ACTIONS: Mapping[str, Callable[[Path, AnalysisInput], Any]] = {
    "centroiding": centroid,
    "line-profile": line_profile,
    "source-catalog": source_catalog,
    "get-tif": tiff,
    "get-jpg": jpeg,
    "raw-data": raw_data,
    "wcs": world_coordinates,
}
"""The actions by name; each takes a file and what is asked."""


def _previews(path: Path, asked: AnalysisInput) -> Any:
    limits = None if asked.zmin is None and asked.zmax is None else tuple(asked.need("zmin", "zmax"))
    return make_previews(read_image(path, label=asked.basename).data, limits)  # type: ignore[arg-type]


def _find_middle(data: npt.NDArray[np.float64], column: float, row: float, asked: AnalysisInput) -> dict[str, Any]:
    """Move a circle to the middle of the light above the sky in it, until it stays."""
    background, peak = 0.0, math.nan
    for _ in range(_TURNS):
        stamp, columns, rows = _stamp(data, column, row, math.ceil(asked.r_back2) + 1)
        distance = np.hypot(columns - column, rows - row)
        background = _clipped_mean(stamp[(distance >= asked.r_back1) & (distance <= asked.r_back2)])
        inside = (distance <= asked.radius) & np.isfinite(stamp)
        light = np.where(inside, np.maximum(stamp - background, 0.0), 0.0)
        total = float(light.sum())
        if not inside.any() or total <= 0:
            break
        peak = float(stamp[inside].max())
        middle = float((light * columns).sum()) / total, float((light * rows).sum()) / total
        moved = math.dist(middle, (column, row))
        column, row = middle
        if moved < _CLOSE:
            return {"column": column, "row": row, "background": background, "peak": peak, "success": True}
    return {"column": column, "row": row, "background": background, "peak": _number(peak), "success": False}


def _stamp(
    data: npt.NDArray[np.float64], column: float, row: float, reach: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pixels around a place, their columns and their rows; none if the place is far outside."""
    first, left = max(0, round(row) - reach), max(0, round(column) - reach)
    stamp = data[first : max(0, round(row) + reach + 1), left : max(0, round(column) + reach + 1)]
    places = np.indices(stamp.shape)
    return stamp, places[1] + left, places[0] + first


def _clipped_mean(values: npt.NDArray[np.float64]) -> float:
    kept = values[np.isfinite(values)]
    for _ in range(_CLIP_TURNS):
        if not kept.size:
            return 0.0
        middle, spread = kept.mean(), kept.std()
        within = kept[np.abs(kept - middle) <= _CLIP * spread]
        if within.size == kept.size:
            break
        kept = within
    return float(kept.mean()) if kept.size else 0.0


def _magnitudes(
    flux: npt.NDArray[np.float64], errors: npt.NDArray[np.float64] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return instrumental magnitudes; NaN where the flux is not positive."""
    light = np.where(flux > 0, flux, np.nan)
    spread = np.full(flux.shape, np.nan) if errors is None else errors
    return -2.5 * np.log10(light), 2.5 / math.log(10) * spread / light


def _celestial(image: FitsImage) -> Any:
    """Return the WCS of an image; None if it has no celestial one."""
    import warnings

    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that astropy mends as it reads them
        wcs = WCS(image.header)
    return wcs.celestial if wcs.has_celestial else None


def _sky(image: FitsImage, column: float, row: float) -> list[float] | None:
    wcs = _celestial(image)
    if wcs is None:
        return None
    place = wcs.pixel_to_world(column, row)
    return [float(place.ra.deg), float(place.dec.deg)]


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
