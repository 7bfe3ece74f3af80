"""How the pixels of an image are stored, from its header (FITS standard 4.0, sections 4.4.2.5 and 10.1)."""

from __future__ import annotations

from dataclasses import dataclass

from runstart.fits.file_errors import malformed
from runstart.fits.header_cards import integer, optional_integer, real
from runstart.fits.structure import BITPIX, HduInfo

__all__ = ["StoredPixels", "stored_pixels"]


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """What it takes to make numbers of an image's bytes.

    Attributes
    ----------
    bitpix : int
        Of the stored values: 8, 16, 32 or 64 for integers, -32 or -64 for floating point.
    scale, zero : float
        BSCALE and BZERO.
    blank : int or None
        Stored value that means NaN; None in floating point.
    is_compressed : bool
        In tiles, by fpack.
    tile_rows : int
        Rows of a tile; 1 if not compressed.
    """

    bitpix: int
    scale: float
    zero: float
    blank: int | None
    is_compressed: bool
    tile_rows: int


def stored_pixels(hdu: HduInfo, label: str) -> StoredPixels:
    """Return how the pixels of an image are stored.

    Parameters
    ----------
    hdu : HduInfo
        An image of two dimensions.
    label : str
        The file's name in messages.

    Returns
    -------
    StoredPixels
        As its header says.

    Raises
    ------
    Alert
        The header says what FITS does not know.
    """
    cards = hdu.cards
    key = "ZBITPIX" if hdu.is_compressed else "BITPIX"
    bitpix = integer(cards, key, label)
    if bitpix not in BITPIX:
        raise malformed(label, f"{key} = {bitpix}")
    tile_rows = integer(cards, "ZTILE2", label, 1) if hdu.is_compressed else 1
    if tile_rows < 1:
        raise malformed(label, f"ZTILE2 = {tile_rows}")
    blank = optional_integer(cards, "BLANK" if "BLANK" in cards else "ZBLANK") if bitpix > 0 else None
    return StoredPixels(
        bitpix=bitpix,
        scale=real(cards, "BSCALE", label, 1.0),
        zero=real(cards, "BZERO", label, 0.0),
        blank=blank,
        is_compressed=hdu.is_compressed,
        tile_rows=min(tile_rows, hdu.shape[0]),
    )
