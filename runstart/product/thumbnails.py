"""Pictures so small that Dagster's pages show them in place.

The pages show markdown of fewer than 1,000 characters at once and anything longer behind a click. So a thumbnail
is an SVG as a data URI: the TOF spectrum as one path, a bank as a small PNG that the SVG enlarges, any other picture as
a WebP. The full pictures are in `runstart.product.pictures`.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

from runstart.product._style import colour_map, wants_log

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.product.model import RunProduct

__all__ = [
    "LONGEST_MARKDOWN",
    "SmallPicture",
    "curve_thumbnail",
    "detector_thumbnail",
    "image_thumbnail",
    "small_picture",
    "svg_markdown",
    "thumbnails",
    "tof_thumbnail",
]

LONGEST_MARKDOWN = 999
"""Characters of markdown that the pages show in place."""

_STEPS = 60  # of the TOF path
_WIDTH, _HEIGHT = 480, 90
_SIDES = (64, 56, 48, 42, 36, 30, 26, 22, 18, 14, 10)  # cells along the longer side, tried until it is short enough
_SHADES = 16
_MOST_BANKS = 2
_TINY = 1e-300  # instead of dividing by 0
_WEBP_SIDES = (128, 112, 96, 80, 64, 56, 48, 40, 32, 24, 16, 8)  # tried until it is small enough
_WEBP_BYTES = 570  # as base64 in an SVG it stays below LONGEST_MARKDOWN
_WEBP_QUALITY = 60
_SHOWN_SIDE = 240


class SmallPicture(NamedTuple):
    """A picture that fits into a thumbnail.

    Attributes
    ----------
    size : tuple of int
        Width and height.
    webp : bytes
        Less than 600.
    """

    size: tuple[int, int]
    webp: bytes

    def as_markdown(self, title: str) -> str:
        """Return markdown that shows the picture, shorter than 1,000 characters.

        Parameters
        ----------
        title : str
            Any text; only harmless letters are kept.
        """
        factor = max(1, _SHOWN_SIDE // max(self.size))
        width, height = (length * factor for length in self.size)
        uri = "data:image/webp;base64," + base64.b64encode(self.webp).decode()
        return svg_markdown(title, width, height, f"<image href='{uri}' width='{width}' height='{height}'/>")


def thumbnails(product: RunProduct) -> dict[str, str]:
    """Return markdown thumbnails by name: the TOF spectrum, and the largest banks with two dimensions."""
    banks = [i for i, bank in enumerate(product.instrument.banks) if len(bank.shape) == 2]
    largest = sorted(banks, key=lambda i: -product.instrument.banks[i].size)[:_MOST_BANKS]
    pictures = {f"bank {product.instrument.banks[i].name}": detector_thumbnail(product, i) for i in sorted(largest)}
    return pictures | {"TOF spectrum": tof_thumbnail(product)}


def tof_thumbnail(product: RunProduct) -> str:
    """Return markdown with the TOF spectrum as a curve, summed over periods."""
    return curve_thumbnail("TOF spectrum", product.views.tof.sum(axis=0))


def detector_thumbnail(product: RunProduct, bank_index: int) -> str:
    """Return markdown with the picture of a bank, summed over periods.

    Parameters
    ----------
    product : RunProduct
        A run.
    bank_index : int
        Position among the instrument's banks.
    """
    image = np.atleast_2d(product.views.bank_image(bank_index).sum(axis=0))
    return image_thumbnail(product.instrument.banks[bank_index].name, image)


def curve_thumbnail(title: str, values: npt.NDArray[Any]) -> str:
    """Return markdown with a curve; on a logarithmic scale if a linear one would hide most of it.

    Parameters
    ----------
    title : str
        Any text.
    values : number[n]
        Not negative, finite; n > 0.
    """
    levels = _mean_blocks(values, _STEPS)
    if wants_log(levels):
        levels = np.log1p(levels / _smallest(levels))
    heights = np.rint(levels / max(levels.max(), _TINY) * (_HEIGHT - 4)).astype(int)
    step = _WIDTH // len(heights)
    path = f"M0 {_HEIGHT}" + "".join(f"V{_HEIGHT - height}h{step}" for height in heights) + f"V{_HEIGHT}"
    shape = f"<path d='{path}' fill='lightsteelblue' stroke='steelblue'/>"
    return svg_markdown(title, _WIDTH, _HEIGHT, shape)


def image_thumbnail(title: str, image: npt.NDArray[Any]) -> str:
    """Return markdown with a table as a picture, as large as fits.

    Parameters
    ----------
    title : str
        Any text.
    image : number[rows, columns]
        Not negative, finite; not empty.
    """
    for side in _SIDES:
        block = max(1, -(-max(image.shape) // side))
        small = _mean_blocks(_mean_blocks(image, -(-image.shape[0] // block)).T, -(-image.shape[1] // block)).T
        scale = max(1, 240 // max(small.shape))
        height, width = (n * scale for n in small.shape)
        uri = "data:image/png;base64," + base64.b64encode(_png(small)).decode()
        shape = f"<image href='{uri}' width='{width}' height='{height}' style='image-rendering:pixelated'/>"
        markdown = svg_markdown(title, width, height, shape)
        if len(markdown) <= LONGEST_MARKDOWN:
            break
    return markdown


def small_picture(picture: Image.Image) -> SmallPicture:
    """Return a picture as the largest WebP that is small enough for a thumbnail; a smaller one is not enlarged.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any size.
    """
    encoded = {side: _small_webp(picture, side) for side in _WEBP_SIDES[-1:]}
    first, last = 0, len(_WEBP_SIDES) - 1
    while first < last:
        middle = (first + last) // 2
        encoded[_WEBP_SIDES[middle]] = _small_webp(picture, _WEBP_SIDES[middle])
        if len(encoded[_WEBP_SIDES[middle]].webp) <= _WEBP_BYTES:
            last = middle
        else:
            first = middle + 1
    return encoded[_WEBP_SIDES[last]]


def svg_markdown(title: str, width: int, height: int, shape: str) -> str:
    """Return markdown with an SVG of a size in pixels; of the title only harmless letters are kept."""
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>{shape}</svg>"
    letters = "".join(c for c in title if c.isalnum() or c in " -_")[:30]
    uri = "data:image/svg+xml," + quote(svg, safe="/:;,=+'")
    return f"![{letters}]({uri})"


def _small_webp(picture: Image.Image, side: int) -> SmallPicture:
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.BOX)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=4)
    return SmallPicture(small.size, buffer.getvalue())


def _mean_blocks(counts: npt.NDArray[Any], most: int) -> npt.NDArray[np.float64]:
    """Return the means of equal blocks along the first axis, at most `most` of them; the last may be shorter."""
    size = -(-len(counts) // most)
    edges = np.arange(0, len(counts), size)
    lengths = np.diff(np.append(edges, len(counts))).reshape(-1, *[1] * (counts.ndim - 1))
    return np.asarray(np.add.reduceat(counts, edges, axis=0, dtype=np.float64) / lengths)


def _smallest(values: npt.NDArray[np.float64]) -> float:
    """Return what a logarithmic scale begins with: 1 for counts, less where most values are less."""
    return min(1.0, float(np.median(values[values > 0])))


def _png(counts: npt.NDArray[np.float64]) -> bytes:
    levels = np.log1p(counts / _smallest(counts)) if wants_log(counts) else counts
    shades = np.rint(levels / max(levels.max(), _TINY) * (_SHADES - 1)).astype(np.uint8)
    palette = (colour_map()(np.linspace(0, 1, _SHADES))[:, :3] * 255).astype(np.uint8)
    picture = Image.new("P", (shades.shape[1], shades.shape[0]))
    picture.putdata(shades.ravel().tolist())
    picture.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", bits=4, optimize=True)
    return buffer.getvalue()
