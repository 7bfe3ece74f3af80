"""Brings images with their planes onto the pixel grid of another, by the WCS of both.

Interpolation is linear: it needs no more than four pixels, so what is flagged stays small, and no ringing surrounds
stars. Values are multiplied by the ratio of the pixels' areas, so that fluxes stay. Variances are interpolated as the
values are: noise that neighbours come to share is kept in each of them, and errors of sums are not underestimated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.operations._planes import as_float

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    from runstart.fits import FitsImage

_AFFINE_WITHIN = 0.01  # pixels


def find_wcs(header: Header, name: str) -> WCS | None:
    """Return the WCS of the sky in a header; None if there is none.

    Raises
    ------
    Alert
        It is contradictory; names the file.
    """
    from astropy.wcs import WCS

    from runstart.fits.astropy_fits import quiet

    try:
        with quiet():
            wcs = WCS(header)
            return wcs.celestial if wcs.has_celestial else None
    except (ValueError, TypeError, KeyError) as error:
        raise Alert(f"{name}: its WCS cannot be read: {error}.", "Correct its header, or leave it out.") from error


def celestial_wcs(header: Header, name: str) -> WCS:
    """Return the WCS of the sky in a header.

    Raises
    ------
    Alert
        There is none, or it is contradictory; names the file.
    """
    wcs = find_wcs(header, name)
    if wcs is None:
        raise Alert(f"{name} has no WCS of the sky.", "Solve its astrometry, leave it out, or do without the WCS.")
    return wcs


class Registration:
    """The grid of an image, onto which others are brought.

    Parameters
    ----------
    header : Header
        Of the image whose grid it is.
    shape : tuple of int
        Its rows and columns.
    name : str
        For people.
    """

    def __init__(self, header: Header, shape: tuple[int, int], name: str) -> None:
        self._wcs = celestial_wcs(header, name)
        self._shape = shape
        self._name = name

    def bring(
        self, image: FitsImage, name: str
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
        """Return an image, its uncertainty and its mask on the grid.

        Parameters
        ----------
        image : FitsImage
        name : str
            For people.

        Returns
        -------
        data, uncertainty : float[rows, cols]
            NaN where the image does not reach, and where a pixel that it needs is flagged.
        mask : integer[rows, cols]
            Bits of the nearest pixel; 0 where the image does not reach.

        Raises
        ------
        Alert
            The image has no WCS, or does not overlap the grid.
        """
        from astropy.wcs.utils import proj_plane_pixel_area

        source = celestial_wcs(image.header, name)
        resample = self._resampler(source, image.data.shape)
        area = proj_plane_pixel_area(self._wcs) / proj_plane_pixel_area(source)
        values = as_float(image.data).copy()
        if image.mask is not None:
            values[image.mask != 0] = np.nan
        data = resample(values, 1, np.nan) * values.dtype.type(area)
        if not np.isfinite(data).any():
            raise Alert(f"{name} has no good pixel on the grid of {self._name}.", "Leave it out.")
        uncertainty = None
        if image.uncertainty is not None:
            variance = np.square(as_float(image.uncertainty))
            uncertainty = np.sqrt(resample(variance, 1, np.nan)) * variance.dtype.type(area)
        mask = None if image.mask is None else resample(image.mask, 0, 0)
        return data, uncertainty, mask

    def _resampler(self, source: WCS, shape: tuple[int, ...]) -> Any:
        """Return a function of (plane, order, outside) that resamples planes of the source."""
        from astropy.wcs.utils import pixel_to_pixel
        from scipy.ndimage import affine_transform, map_coordinates

        def to_source(rows: Any, columns: Any) -> npt.NDArray[np.float64]:
            x, y = pixel_to_pixel(self._wcs, source, columns, rows)
            return np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)])

        rows, columns = (np.linspace(0, size - 1, 9) for size in self._shape)
        grid = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
        seen = to_source(*grid)
        design = np.vstack([grid, np.ones(grid.shape[1])])
        if np.isfinite(seen).all():
            solution = np.linalg.lstsq(design.T, seen.T, rcond=None)[0].T
            if np.abs(solution @ design - seen).max() < _AFFINE_WITHIN:
                # Rounded, so that the edge of an image that only is shifted is not outside by 1e-13 of a pixel.
                matrix, offset = np.round(solution[:, :2], 9), np.round(solution[:, 2], 9)
                return lambda plane, order, outside: affine_transform(
                    plane, matrix, offset, self._shape, order=order, cval=outside, prefilter=False
                )
        everywhere = to_source(*np.indices(self._shape))
        everywhere[:, ~np.isfinite(everywhere).all(axis=0)] = -2.0 * max(
            shape
        )  # what is not on this sky is outside
        return lambda plane, order, outside: map_coordinates(
            plane, everywhere, order=order, cval=outside, prefilter=False
        )
