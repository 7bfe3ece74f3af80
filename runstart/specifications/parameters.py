"""Parameters of an operator, of six kinds; each kind says itself which values it takes.

Values come as JSON, as texts from a command line, an environment or a Launchpad, or as they were checked before: a text
that reads as the kind's value is taken for it ("255" for an int). A truth value is no number, and numbers are finite,
because they travel as JSON.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from runstart.specifications.keeping import KeepingModel

_LARGEST_INTEGER = 2**63 - 1
_LONGEST_SHOWN = 80  # characters of a value in a message
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_VALUE: Any = Field(default=None, description="Set at run time; null means the default.")


class Parameter(KeepingModel):
    """What all kinds of parameter have.

    Attributes
    ----------
    name : str
        Its key in the `parameters` that a kernel gets.
    label, description : str
        For people.
    required : bool
        Whether an empty default has to be replaced by a value.
    type : str
        One of `KINDS`.
    default : object
        Its value if none is set.
    value : object
        Runtime form: the value that was set; None means the default.
    """

    model_config = ConfigDict(validate_assignment=True)

    name: str = Field(min_length=1)
    label: str
    description: str
    required: bool
    if TYPE_CHECKING:  # each kind declares them, after the fields that limit them
        type: str
        default: Any
        value: Any

    def check(self, value: Any) -> Any:
        """Return a value as the kind has it.

        Raises
        ------
        ValueError
            With a sentence that begins with the value, says what is wrong with it, and what is allowed.
        """
        raise NotImplementedError

    @property
    def current(self) -> Any:
        """The value, or the default if none is set."""
        return self.default if self.value is None else self.value

    @field_validator("value", mode="before", check_fields=False)
    @classmethod
    def _check_value(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value is None else cls._checked(value, info)

    @field_validator("default", mode="before", check_fields=False)
    @classmethod
    def _check_default(cls, default: Any, info: ValidationInfo) -> Any:
        return cls._checked(default, info)

    @classmethod
    def _checked(cls, value: Any, info: ValidationInfo) -> Any:
        # The fields that limit a value are declared before it; with one of them wrong, that is told instead.
        if any(limit not in info.data for limit in cls._limits):
            return value
        limits = {limit: info.data[limit] for limit in cls._limits}
        return cls.model_construct(**limits).check(value)

    _limits: ClassVar[tuple[str, ...]] = ()


class StrParameter(Parameter):
    """A text."""

    type: Literal["str"]
    default: str
    value: str | None = _VALUE

    def check(self, value: Any) -> str:
        """Return a text as it is."""
        return _check_text(value)


class MountParameter(Parameter):
    """A path of the machine, which the operator finds at `DATA_DIRECTORY / name`."""

    type: Literal["mount"]
    default: str
    value: str | None = _VALUE

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name in {".", ".."} or set(name) & set("/\\\0"):
            raise ValueError(f"{name!r} is no name of a file; the path is mounted by it, so it has no slash")
        return name

    def check(self, value: Any) -> str:
        """Return a path as it is; whether it may be mounted is checked when it is."""
        text = _check_text(value)
        if "\0" in text:
            raise ValueError(f"{shown(text)} is no path; it holds a null character")
        return text


class IntParameter(Parameter):
    """A whole number, perhaps between bounds."""

    type: Literal["int"]
    minimum: int | None = None
    maximum: int | None = None
    default: int
    value: int | None = _VALUE

    _limits: ClassVar[tuple[str, ...]] = ("minimum", "maximum")

    def check(self, value: Any) -> int:
        """Return a whole number of 64 bits between the bounds."""
        allowed = _tell_bounds("a whole number", self.minimum, self.maximum)
        number = _read_integer(value)
        if number is None:
            raise ValueError(f"{shown(value)} is no whole number; {allowed}")
        if abs(number) > _LARGEST_INTEGER:
            raise ValueError(f"{shown(number)} has more than 64 bits; {allowed}")
        _check_bounds(number, self.minimum, self.maximum, allowed)
        return number


class FloatParameter(Parameter):
    """A finite number, perhaps between bounds."""

    type: Literal["float"]
    minimum: float | None = None
    maximum: float | None = None
    default: float
    value: float | None = _VALUE

    _limits: ClassVar[tuple[str, ...]] = ("minimum", "maximum")

    def check(self, value: Any) -> float:
        """Return a finite number between the bounds."""
        allowed = _tell_bounds("a finite number", self.minimum, self.maximum)
        number = _read_float(value)
        if number is None or not math.isfinite(number):
            raise ValueError(f"{shown(value)} is no finite number; {allowed}")
        _check_bounds(number, self.minimum, self.maximum, allowed)
        return number


class BoolParameter(Parameter):
    """True or false."""

    type: Literal["bool"]
    default: bool
    value: bool | None = _VALUE

    def check(self, value: Any) -> bool:
        """Return a truth value, also of yes and no, on and off, 1 and 0."""
        truth = _TRUTHS.get(str(value).strip().lower()) if isinstance(value, (str, int)) else None
        if truth is None:
            raise ValueError(f"{shown(value)} is neither true nor false; allowed are true and false")
        return truth


class StrEnumParameter(Parameter):
    """One of several texts."""

    type: Literal["str-enum"]
    options: list[str] = Field(min_length=1)
    default: str
    value: str | None = _VALUE

    _limits: ClassVar[tuple[str, ...]] = ("options",)

    def check(self, value: Any) -> str:
        """Return one of the options."""
        if value not in self.options:
            raise ValueError(f"{shown(value)} is not among the options; allowed are {', '.join(self.options)}")
        return str(value)


ParameterSpec = Annotated[
    StrParameter | IntParameter | FloatParameter | BoolParameter | MountParameter | StrEnumParameter,
    Field(discriminator="type"),
]
KINDS = ("str", "int", "float", "bool", "mount", "str-enum")


def shown(value: Any) -> str:
    """Return a value as messages show it: short, whatever came."""
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return f"a number of {value.bit_length()} bits"
    text = repr(value[: _LONGEST_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _check_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text; allowed is a text, in quotes in JSON")
    return value


def _read_integer(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = _read_float(value)  # "255.0"
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _check_bounds(number: float, minimum: float | None, maximum: float | None, allowed: str) -> None:
    if minimum is not None and number < minimum:
        raise ValueError(f"{number} is below the smallest; {allowed}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{number} is above the largest; {allowed}")


def _tell_bounds(what: str, minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f"allowed is {what} from {minimum} to {maximum}"
    if minimum is not None:
        return f"allowed is {what} from {minimum}"
    return f"allowed is {what} up to {maximum}" if maximum is not None else f"allowed is {what}"
