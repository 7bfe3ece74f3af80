"""What is said about FITS files that cannot be read: one wording, whoever reads them."""

from __future__ import annotations

import errno

from runstart.errors import Alert, Transient

__all__ = ["malformed", "not_readable", "reported", "truncated"]

_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}


def truncated(label: str, reason: str) -> Alert:
    """Return the alert about a file that ends too early."""
    return Alert(
        f"FITS file {label} is truncated or damaged: {reason}.", "Copy it again, or wait until it is written."
    )


def malformed(label: str, reason: str) -> Alert:
    """Return the alert about a header that breaks the standard."""
    return Alert(f"FITS file {label} is malformed: {reason}.", "Have it written anew, by the FITS standard.")


def not_readable(label: str, reason: str) -> Alert:
    """Return the alert about pixels that cannot be decoded."""
    return Alert(f"FITS file {label} cannot be read: {reason}.", "Copy it again.")


def reported(label: str, error: OSError) -> Alert | Transient:
    """Return what the user, or the world, can do about what the file system says."""
    if isinstance(error, FileNotFoundError):
        return Alert(f"There is no file {label}.", "Look at the spelling, or fetch the file.")
    if error.errno in _PASSING:
        return Transient(f"FITS file {label} cannot be read now ({error.strerror}).")
    return Alert(
        f"FITS file {label} cannot be read: {error.strerror or error}.", "Give a FITS file that can be read."
    )
