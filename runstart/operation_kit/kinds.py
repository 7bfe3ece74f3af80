"""The kinds of input that a data operation can declare: what each accepts, how it is described, what enters the key.

A kind stands beside a parameter's type: `Annotated[list[FitsFile], Fits("Input files", "...", minimum=2)]`. It checks
what a request says, and describes itself as JSON Schema and in the reference system's wizard form. The checked value
is plain JSON, so that it can be hashed; references to files in it are replaced by the digests of their content there.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from runstart.errors import Alert
from runstart.fits import FitsReference
from runstart.operation_kit.checks import (
    bounds,
    check_integer,
    check_list,
    check_number,
    check_position,
    position_schema,
    shown,
)

MOST_FILES = 999
_UNFIT = {"Cc", "Cs"}  # Unicode's controls and halves of characters: neither headers nor terminals take them

_REFERENCE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "description": "SOURCE/BASENAME, or a URI"},
        {
            "type": "object",
            "properties": {
                "source": {
                    "type": "string",
                    "description": "archive, store, the name of a site, or of a declared folder",
                },
                "basename": {"type": "string", "description": "Name of the file there"},
                "uri": {"type": "string", "description": "Address of the file, instead of source and basename"},
                "filter": {"type": "string", "description": "Its filter, if its header does not say it"},
            },
        },
    ]
}


@dataclass(frozen=True)
class Kind(ABC):
    """What all kinds have.

    Attributes
    ----------
    name : str
        Label for people.
    description : str
        One sentence for people.
    """

    name: str
    description: str
    type: ClassVar[str]

    @abstractmethod
    def check(self, key: str, value: Any) -> Any:
        """Return the value in its normal form, as plain JSON but for `FitsReference`s.

        Raises
        ------
        Alert
            If it is not acceptable; the text names `key`, value and rule.
        """

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values that a request may carry."""

    def wizard(self) -> dict[str, Any]:
        """Return what the wizard description says beyond name, description and type."""
        return {}

    def references(self, _value: Any) -> Sequence[FitsReference]:
        """Return the files that a checked value refers to."""
        return ()

    def mistake(self) -> str:
        """Return what its author has declared wrongly; empty if nothing."""
        minimum, maximum = getattr(self, "minimum", None), getattr(self, "maximum", None)
        if minimum is not None and maximum is not None and minimum > maximum:
            return f"the minimum {minimum} is above the maximum {maximum}"
        return "" if self.name and self.description else "it has no name, or no description"

    def describe(self) -> dict[str, Any]:
        """Return JSON Schema with label and description."""
        return {"title": self.name, "description": self.description, **self.schema()}


@dataclass(frozen=True)
class Fits(Kind):
    """A list of FITS images.

    Attributes
    ----------
    minimum, maximum : int
        Bounds of their number.
    single_filter : bool
        Whether all must be of one filter.
    filter_options : tuple of str
        Filters that are accepted; empty for any, or none.
    """

    minimum: int = 1
    maximum: int = MOST_FILES
    single_filter: bool = False
    filter_options: tuple[str, ...] = ()
    type: ClassVar[str] = "fits"

    def check(self, key: str, value: Any) -> list[FitsReference]:  # noqa: D102 - as the base class says
        items = check_list(key, value, self.minimum, self.maximum, "files")
        return [_parse_reference(f"{key}[{number}]", item) for number, item in enumerate(items)]

    def schema(self) -> dict[str, Any]:  # noqa: D102
        return {"type": "array", "items": _REFERENCE_SCHEMA, "minItems": self.minimum, "maxItems": self.maximum}

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        told: dict[str, Any] = {"minimum": self.minimum, "maximum": self.maximum}
        if self.single_filter:
            told["single_filter"] = True
        if self.filter_options:
            told["filter_options"] = list(self.filter_options)
        return told

    def references(self, value: Any) -> Sequence[FitsReference]:  # noqa: D102
        return list(value)

    def mistake(self) -> str:  # noqa: D102
        if self.minimum < 0:
            return f"the minimum {self.minimum} is negative"
        return super().mistake() or _options_mistake("filter_options", self.filter_options)


@dataclass(frozen=True)
class Image(Fits):
    """A list of pictures: JPEG, PNG or TIFF. The function reads each by `file.read_picture()`."""

    type: ClassVar[str] = "image"


@dataclass(frozen=True)
class ColorChannels(Fits):
    """FITS images that become the channels of a colour image, each with a colour and scale limits."""

    minimum: int = 1
    maximum: int = 6
    colours: ClassVar[tuple[str, ...]] = ("r", "g", "b")

    def check(self, key: str, value: Any) -> list[Any]:  # noqa: D102
        items = check_list(key, value, self.minimum, self.maximum, "channels")
        return [self._check_channel(f"{key}[{number}]", item) for number, item in enumerate(items)]

    def schema(self) -> dict[str, Any]:  # noqa: D102
        amount = {"type": "integer", "minimum": 0, "maximum": 255}
        reference = _REFERENCE_SCHEMA["anyOf"][1]["properties"]
        channel = {
            "type": "object",
            "properties": {
                **reference,
                "color": {
                    "type": "object",
                    "description": "Colour of the channel",
                    "properties": dict.fromkeys(self.colours, amount),
                    "required": list(self.colours),
                    "additionalProperties": False,
                },
                "zmin": {"type": "number", "description": "Value that is black"},
                "zmax": {"type": "number", "description": "Value that has the full colour"},
            },
            "required": ["color", "zmin", "zmax"],
        }
        return {"type": "array", "items": channel, "minItems": self.minimum, "maxItems": self.maximum}

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        return {**super().wizard(), "include_custom_scale": True, "color_picker": True}

    def references(self, value: Any) -> Sequence[FitsReference]:  # noqa: D102
        return [channel["file"] for channel in value]

    def _check_channel(self, place: str, item: Any) -> dict[str, Any]:
        if not isinstance(item, Mapping):
            raise Alert(f"{place} is {shown(item)}.", "Give a file with its color (r, g, b), zmin and zmax.")
        rest = dict(item)
        color, zmin, zmax = rest.pop("color", None), rest.pop("zmin", None), rest.pop("zmax", None)
        if not isinstance(color, Mapping) or set(color) != set(self.colours):
            raise Alert(f"{place}.color is {shown(color)}.", "Give r, g and b, each 0 to 255.")
        amounts = {name: check_integer(f"{place}.color.{name}", color[name], 0, 255) for name in self.colours}
        low, high = check_number(f"{place}.zmin", zmin), check_number(f"{place}.zmax", zmax)
        if low > high:
            raise Alert(f"{place}.zmin is {low}, above zmax {high}.", "Exchange them.")
        return {"file": _parse_reference(place, rest), "color": amounts, "zmin": low, "zmax": high}


@dataclass(frozen=True)
class Text(Kind):
    """A text."""

    longest: int = 1000
    type: ClassVar[str] = "string"

    def check(self, key: str, value: Any) -> str:  # noqa: D102
        if not isinstance(value, str):
            raise Alert(f"{key} is {shown(value)}, which is no text.", "Give a text.")
        if len(value) > self.longest:
            raise Alert(f"{key} has {len(value):,} characters.", f"Give at most {self.longest:,}.")
        if any(unicodedata.category(character) in _UNFIT for character in value):
            raise Alert(f"{key} is {shown(value)}, which has control characters.", "Leave them out.")
        return value

    def schema(self) -> dict[str, Any]:  # noqa: D102
        return {"type": "string", "maxLength": self.longest}


@dataclass(frozen=True)
class Float(Kind):
    """A finite number, between bounds if they are given."""

    minimum: float | None = None
    maximum: float | None = None
    type: ClassVar[str] = "float"

    def check(self, key: str, value: Any) -> float:  # noqa: D102
        return check_number(key, value, self.minimum, self.maximum)

    def schema(self) -> dict[str, Any]:  # noqa: D102
        return {"type": "number", **bounds(self.minimum, self.maximum)}

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        return bounds(self.minimum, self.maximum)


@dataclass(frozen=True)
class Int(Kind):
    """A whole number, between bounds if they are given."""

    minimum: int | None = None
    maximum: int | None = None
    type: ClassVar[str] = "int"

    def check(self, key: str, value: Any) -> int:  # noqa: D102
        return check_integer(key, value, self.minimum, self.maximum)

    def schema(self) -> dict[str, Any]:  # noqa: D102
        return {"type": "integer", **bounds(self.minimum, self.maximum)}

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        return bounds(self.minimum, self.maximum)


@dataclass(frozen=True)
class Select(Kind):
    """One of several texts.

    Attributes
    ----------
    options : tuple of str
        The choices; the first is what a page shows first.
    """

    options: tuple[str, ...] = field(default=())
    type: ClassVar[str] = "select"

    def check(self, key: str, value: Any) -> str:  # noqa: D102
        if value not in self.options:
            raise Alert(f"{key} is {shown(value)}.", f"Choose one of: {', '.join(self.options)}.")
        return str(value)

    def schema(self) -> dict[str, Any]:  # noqa: D102
        return {"type": "string", "enum": list(self.options)}

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        return {"options": list(self.options)}

    def mistake(self) -> str:  # noqa: D102
        if not self.options:
            return "it has no options"
        return super().mistake() or _options_mistake("options", self.options)


@dataclass(frozen=True)
class Source(Kind):
    """A position on the sky: right ascension and declination in degrees, with a name if it has one."""

    name_lookup: bool = True
    type: ClassVar[str] = "source"

    def check(self, key: str, value: Any) -> dict[str, Any]:  # noqa: D102
        position = check_position(key, value, {"ra", "dec", "name"})
        name = value.get("name", "")
        return {**position, "name": Text("", "").check(f"{key}.name", name)}

    def schema(self) -> dict[str, Any]:  # noqa: D102
        return position_schema({"name": {"type": "string", "description": "Name of the object"}})

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        return {"name_lookup": True} if self.name_lookup else {}


@dataclass(frozen=True)
class TargetPositions(Kind):
    """Positions of a target on the sky in degrees, each with its time (MJD) if it moves."""

    minimum: int = 1
    maximum: int = MOST_FILES
    type: ClassVar[str] = "target_positions"

    def check(self, key: str, value: Any) -> list[dict[str, float]]:  # noqa: D102
        items = check_list(key, value, self.minimum, self.maximum, "positions")
        return [self._check_one(f"{key}[{number}]", item) for number, item in enumerate(items)]

    def schema(self) -> dict[str, Any]:  # noqa: D102
        item = position_schema({"mjd": {"type": "number", "description": "Modified Julian date, UTC"}})
        return {"type": "array", "items": item, "minItems": self.minimum, "maxItems": self.maximum}

    def wizard(self) -> dict[str, Any]:  # noqa: D102
        return {"minimum": self.minimum, "maximum": self.maximum}

    def _check_one(self, place: str, item: Any) -> dict[str, float]:
        position = check_position(place, item, {"ra", "dec", "mjd"})
        if "mjd" in item:
            position["mjd"] = check_number(f"{place}.mjd", item["mjd"])
        return position


def _parse_reference(place: str, item: Any) -> FitsReference:
    try:
        return FitsReference.parse(item)
    except Alert as error:
        raise Alert(f"{place}: {error.what}", error.remedy) from error


def _options_mistake(name: str, options: Any) -> str:
    if not isinstance(options, tuple) or not all(isinstance(option, str) for option in options):
        return f"{name} must be a tuple of texts"  # in a single text, `in` would look for a part of it
    return "" if len(set(options)) == len(options) else f"{name} has one text twice"
