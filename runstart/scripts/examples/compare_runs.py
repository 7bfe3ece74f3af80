"""Ratio of this run's TOF spectrum to the previous run's, and to that of a reference run.

Each spectrum is divided by its proton charge (by its events, where one has no charge), so that 1 means "the same
again". The reference is chosen by `reference` in instruments.toml. Bins are joined until each ratio has at least
`FEWEST` counts on both sides.
"""

import numpy as np

FEWEST = 100


def reduce(run):
    """Return the ratios as `ratio_to_previous` and `ratio_to_reference`."""
    outputs = {}
    for name, other in (("previous", run.previous), ("reference", run.reference)):
        if other is None:
            print(f"no {name} run to compare with")
            continue
        outputs[f"ratio_to_{name}"] = ratio(run, other)
    return outputs


def ratio(run, other):
    """Return the ratio of two spectra as a curve with errors."""
    ours, theirs = run.tof.sum(axis=0), other.tof.sum(axis=0)
    starts = joined_bins(ours, theirs)
    edges = np.append(run.tof_edges_us[:-1][starts], run.tof_edges_us[-1])
    ours, theirs = np.add.reduceat(ours, starts), np.add.reduceat(theirs, starts)
    by_charge = run.proton_charge_uah > 0 and other.proton_charge_uah > 0
    scale = other.proton_charge_uah / run.proton_charge_uah if by_charge else theirs.sum() / max(ours.sum(), 1)
    values = np.divide(ours * scale, theirs, out=np.full(ours.size, np.nan), where=theirs > 0)
    with np.errstate(divide="ignore"):
        errors = values * np.sqrt(1 / ours + 1 / theirs)
    return run.array(
        values,
        axes={"TOF": edges},
        axis_units={"TOF": "us"},
        units="ratio",
        errors=np.nan_to_num(errors, posinf=0.0),
        title=f"{run.name} / {other.name}",
    )


def joined_bins(ours, theirs):
    """Return the first bins of groups that hold enough counts of both runs."""
    starts, a, b = [0], 0, 0
    for i in range(len(ours) - 1):
        a, b = a + ours[i], b + theirs[i]
        if min(a, b) >= FEWEST:
            starts.append(i + 1)
            a = b = 0
    return np.array(starts)
