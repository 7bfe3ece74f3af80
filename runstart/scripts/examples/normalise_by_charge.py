"""The TOF spectrum per unit of proton charge, and the event rate per charge second by second.

Normalised spectra of runs of different length can be compared; a rate per charge that drifts means that the sample
or a detector changes.
"""

import numpy as np


def reduce(run):
    """Return `spectrum` and `rate`."""
    if run.proton_charge_uah <= 0:
        print("no proton charge yet")
        return {}
    counts = run.tof.sum(axis=0)
    spectrum = run.array(
        counts / run.proton_charge_uah,
        axes={"TOF": run.tof_edges_us},
        axis_units={"TOF": "us"},
        units="counts / uAh",
        errors=np.sqrt(counts) / run.proton_charge_uah,
        title="TOF spectrum per proton charge",
    )
    charge = run.charge_per_second_uah
    lit = charge > 0
    rate = run.array(
        np.divide(run.event_rate, charge, out=np.full(charge.size, np.nan), where=lit),
        axes={"time since start": np.arange(charge.size + 1)},
        axis_units={"time since start": "s"},
        units="events / uAh",
        title="Events per proton charge",
    )
    return {"spectrum": spectrum, "rate": rate}
