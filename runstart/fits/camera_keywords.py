"""Which header keywords say what the camera of a raw frame is like: the usual ones, and those of other cameras.

Of several keywords with one meaning the first that is there counts. A text names what is not usual:
`gain=EGAIN1,GAIN read_noise=RN`. In it dots stand for the blanks of an ESO keyword (`ESO.DET.OUT1.GAIN`), and nothing
after `=` means that no keyword is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from runstart.errors import Alert
from runstart.fits.keywords import is_structural

__all__ = ["USUAL", "CameraKeywords", "check_keyword"]

# FITS standard 4.0, section 4.1.2.1; longer ones and those of several words are written as HIERARCH cards.
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,68}( [A-Z0-9_-]{1,68})*")
_LONGEST = 68
_NO_VALUE = {"COMMENT", "HISTORY", "CONTINUE", "HIERARCH"}


@dataclass(frozen=True)
class CameraKeywords:
    """Header keywords by what they say; by default the usual ones."""

    gain: tuple[str, ...] = ("GAIN", "EGAIN")
    """Electrons per ADU."""

    read_noise: tuple[str, ...] = ("RDNOISE", "READNOIS", "READNOISE")
    """Electrons."""

    saturation: tuple[str, ...] = ("SATURATE", "MAXLIN")
    """ADU from which on a pixel is saturated."""

    exposure: tuple[str, ...] = ("EXPTIME", "EXPOSURE")
    """Exposure time, s."""

    bias_section: tuple[str, ...] = ("BIASSEC",)
    """Overscan."""

    data_section: tuple[str, ...] = ("TRIMSEC", "DATASEC")
    """Pixels that see the sky."""

    @classmethod
    def meanings(cls) -> tuple[str, ...]:
        """Return what keywords can be named for."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def parse(cls, text: str, name: str = "keywords") -> CameraKeywords:
        """Return the keywords that a text names, with the usual ones for what it leaves out.

        Parameters
        ----------
        text : str
            Such as `gain=EGAIN1,GAIN read_noise=RN`.
        name : str, optional
            Of the input that it comes from, for messages.

        Raises
        ------
        Alert
            It is of another form, or has an unknown name or one twice, or what cannot be a keyword.
        """
        known = cls.meanings()
        given: dict[str, tuple[str, ...]] = {}
        for part in text.split():
            meaning, equals, listed = part.partition("=")
            if not equals or meaning not in known or meaning in given:
                wrong = f"names {meaning} a second time" if meaning in given else "does not name keywords"
                form = "Write MEANING=KEYWORD,KEYWORD, separated by blanks"
                raise Alert(f"{name}: {part[:80]!r} {wrong}.", f"{form}; meanings are {', '.join(known)}.")
            try:
                given[meaning] = tuple(map(check_keyword, listed.split(","))) if listed else ()
            except ValueError as error:
                raise Alert(f"{name}: in {part[:80]!r}, {error}.", "Write it as it stands in the header.") from None
        return cls(**given)

    def to_text(self) -> str:
        """Return the text that `parse` reads, of what is not usual: empty if all is."""
        told = ((meaning, getattr(self, meaning)) for meaning in self.meanings())
        return " ".join(
            f"{meaning}={','.join(keywords).replace(' ', '.')}"
            for meaning, keywords in told
            if keywords != getattr(USUAL, meaning)
        )


USUAL = CameraKeywords()


def check_keyword(text: str) -> str:
    """Return a header keyword in capitals, with blanks in the place of dots.

    Raises
    ------
    ValueError
        It cannot be a keyword, or not one of a camera's.
    """
    keyword = " ".join(text.replace(".", " ").split()).upper()
    if not _KEYWORD.fullmatch(keyword) or len(keyword) > _LONGEST:
        raise ValueError(f"{text[:80]!r} is no header keyword: they have letters, digits, - and _")
    if keyword in _NO_VALUE or is_structural(keyword):
        raise ValueError(f"{text[:80]!r} does not describe a camera")
    return keyword
