"""The named arrays of a reduction script as da00 messages, for those who subscribe to the instrument's results.

A message holds one array: `signal`, `errors` if there are any, and for each axis a variable of the axis's name.
Edges of bins are one more than values.
"""

from __future__ import annotations

from collections.abc import Mapping

from runstart.events import DataArrayMessage, Variable
from runstart.scripts.model import NamedArray

__all__ = ["script_as_data_arrays"]

_TAKEN = ("signal", "errors")


def script_as_data_arrays(
    instrument_name: str, run_key: str, arrays: Mapping[str, NamedArray], time_ns: int
) -> list[DataArrayMessage]:
    """Return the arrays that a reduction script returned.

    Parameters
    ----------
    instrument_name : str
        The instrument.
    run_key : str
        The run's key: the source of the signal.
    arrays : mapping of str to NamedArray
        By name.
    time_ns : int
        When the script was executed, in nanoseconds since 1970 UTC.

    Returns
    -------
    list of DataArrayMessage
        `INSTRUMENT/script/NAME`. An axis whose name another variable has already gets a number behind it.
    """
    return [
        DataArrayMessage(f"{instrument_name}/script/{name}", time_ns, _variables(array, run_key))
        for name, array in arrays.items()
    ]


def _variables(array: NamedArray, run_key: str) -> tuple[Variable, ...]:
    """Return values, errors and axes."""
    names: list[str] = []
    for axis in array.axes:
        name, number = axis.name, 2
        while name in (*_TAKEN, *names):
            name, number = f"{axis.name}_{number}", number + 1
        names.append(name)
    dimensions, unit = tuple(names), array.unit or None
    variables = [Variable("signal", array.values, dimensions, unit, array.title or array.name, source=run_key)]
    if array.errors is not None:
        variables.append(Variable("errors", array.errors, dimensions, unit))
    variables += [
        Variable(name, axis.values, (name,), axis.unit or None, axis.name)
        for name, axis in zip(names, array.axes, strict=True)
    ]
    return tuple(variables)
