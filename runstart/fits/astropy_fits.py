"""The one way into astropy.io.fits: quietly where it mends a header by itself, with an `Alert` where it cannot.

Python's warning filters belong to the whole process, so that only one thread at a time may change them; whoever
reads or writes through astropy takes turns.
"""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

from runstart.errors import Alert

__all__ = ["cfitsio_error", "described", "quiet", "read_errors", "verified"]

_turn = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep astropy's warnings from becoming output or errors."""
    from astropy.utils.exceptions import AstropyWarning

    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        # Of numpy, about numbers in damaged tables.
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def cfitsio_error() -> type[Exception]:
    """Return what astropy's C code raises about damaged tiles."""
    # It has no public name.
    from astropy.io.fits.hdu.compressed._compression import CfitsioException

    error: type[Exception] = CfitsioException
    return error


def read_errors() -> tuple[type[Exception], ...]:
    """Return what astropy raises about damaged files, found by damaging files."""
    from astropy.io.fits.verify import VerifyError

    plain = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError)
    return (*plain, EOFError, MemoryError, zlib.error, VerifyError, cfitsio_error())


def verified(hdu: Any, label: str) -> Any:
    """Return the header of an HDU, mended where astropy knows how.

    Parameters
    ----------
    hdu : astropy HDU
        Of an open file.
    label : str
        The file's name in messages.

    Returns
    -------
    astropy.io.fits.Header
        A copy.

    Raises
    ------
    Alert
        It is wrong in a way that cannot be mended.
    """
    from astropy.io.fits.verify import VerifyError

    try:
        hdu.verify("silentfix+exception")
        header = hdu.header.copy()
        # Values are parsed when they are asked for: better now than in the midst of an operation.
        for card in header.cards:
            _ = card.value, card.comment
    except (VerifyError, ValueError) as error:
        what = f"A header of FITS file {label} is wrong: {described(error)}."
        raise Alert(what, "Have it written anew, by the FITS standard.") from error
    return header


def described(error: Exception) -> str:
    """Return what an error says, short and printable."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"[^ -~]", "?", text)[:300].rstrip(".")
