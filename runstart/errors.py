"""The two kinds of error that Runstart's users learn once.

An `Alert` is something that the user can mend; it is shown and never retried. A `Transient` is something that
the world can mend; it is retried with back-off and then reported. Everything else is a bug and fails loudly.
"""

from __future__ import annotations


class Alert(Exception):
    """A mistake or condition that the user can mend.

    Parameters
    ----------
    what : str
        What was wrong, with the offending value.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class Transient(Exception):
    """A condition that passes by itself, such as a broker or a store that does not answer."""
