"""A run's views as da00 messages, for those who subscribe to the results.

A message holds one view: `signal`, and for each axis a variable of the axis's name. Bins have their edges, one more
than values. Source names begin with the instrument's name; banks have a prefix, so that none can pass for another
view. The run's key stands as the source of the signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.events import DataArrayMessage, Variable

if TYPE_CHECKING:
    import numpy.typing as npt

    from runstart.instruments import Bank
    from runstart.product.model import RunProduct

__all__ = ["views_as_data_arrays"]


def views_as_data_arrays(product: RunProduct, time_ns: int) -> list[DataArrayMessage]:
    """Return the TOF spectrum, and each bank's picture if the instrument keeps them.

    Parameters
    ----------
    product : RunProduct
        The run, at its end or so far.
    time_ns : int
        When it was so, in nanoseconds since 1970 UTC.

    Returns
    -------
    list of DataArrayMessage
        `INSTRUMENT/tof`, counts of shape (bins,) with edges in us; `INSTRUMENT/bank_NAME`, counts in the shape of the
        bank. A run of several periods has them as the first dimension of each.
    """
    name = product.instrument.name
    edges_us = product.instrument.tof.edges_ns() / 1000
    edges = Variable("time_of_flight", edges_us, ("time_of_flight",), "us", "Time of flight")
    messages = [_message(f"{name}/tof", time_ns, product, product.views.tof, [edges])]
    if "image" in product.instrument.views:
        messages += [
            _message(
                f"{name}/bank_{bank.name}", time_ns, product, product.views.bank_image(index), _bank_axes(bank)
            )
            for index, bank in enumerate(product.instrument.banks)
        ]
    return messages


def _message(
    source_name: str, time_ns: int, product: RunProduct, counts: npt.NDArray[Any], axes: list[Variable]
) -> DataArrayMessage:
    """Return a view of shape `(n_periods, ...)` with its axes, without the period if there is only one."""
    if product.n_periods > 1:
        period = Variable("period", np.arange(1, product.n_periods + 1), ("period",), None, "Period")
        axes = [period, *axes]
    else:
        counts = counts[0]
    names = tuple(axis.name for axis in axes)
    signal = Variable("signal", counts, names, "counts", "Counts", source=product.partition_key)
    return DataArrayMessage(source_name, time_ns, (signal, *axes))


def _bank_axes(bank: Bank) -> list[Variable]:
    """Return row and column, or the detector ids of a bank of one dimension."""
    if len(bank.shape) == 1:
        first = bank.first_detector_id
        ids = np.arange(first, first + bank.size, dtype=np.int64)
        return [Variable("detector_number", ids, ("detector_number",), None, "Detector id")]
    return [
        Variable(name, np.arange(length, dtype=np.int64), (name,), None, name.capitalize())
        for name, length in zip(("row", "column"), bank.shape, strict=True)
    ]
