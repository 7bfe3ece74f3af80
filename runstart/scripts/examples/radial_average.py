"""Small-angle scattering, I(Q)-like: how strongly the sample scatters at each momentum transfer Q.

Every pixel's counts in every bin of the time of flight belong to one Q = 4 pi / wavelength * sin(theta / 2). The
curve is their mean per pixel and unit of proton charge, with the error of counting. Written for the simulated
instrument SANS2D; needs the view `pixel_tof`. Change the constants for yours.
"""

import numpy as np

BANK = "rear"
DISTANCE_M = 3.0  # sample to bank
WIDTH_M = 1.0  # of the bank's longer side
BEAM_STOP_M = 0.05
LONGEST_ANGSTROM = 15.0  # wavelength at the end of the TOF axis
WAVELENGTHS_ANGSTROM = (2.0, 12.0)  # outside them there are few neutrons
Q_EDGES = np.geomspace(0.012, 0.5, 61)


def reduce(run):
    """Return `intensity`."""
    if run.pixel_tof is None:
        raise ValueError("this script needs views = [..., 'pixel_tof'] in instruments.toml")
    radius, pixels = radii_and_pixels(run)
    counts = run.pixel_tof[:, pixels].sum(axis=0)
    edges = run.tof_edges_us
    wavelength = LONGEST_ANGSTROM * ((edges[:-1] + edges[1:]) / 2 - edges[0]) / (edges[-1] - edges[0])
    used = (wavelength > WAVELENGTHS_ANGSTROM[0]) & (wavelength < WAVELENGTHS_ANGSTROM[1])
    half_angle = np.arctan(radius / DISTANCE_M) / 2
    q = 4 * np.pi * np.sin(half_angle)[:, np.newaxis] / wavelength[used]

    summed, _ = np.histogram(q, Q_EDGES, weights=counts[:, used])
    cells, _ = np.histogram(q, Q_EDGES)
    scale = np.maximum(cells, 1) * max(run.proton_charge_uah, 1e-12)
    intensity = run.array(
        summed / scale,
        axes={"Q": Q_EDGES},
        axis_units={"Q": "1/angstrom"},
        units="counts / pixel / uAh",
        errors=np.sqrt(summed) / scale,
        log=True,
        title="Radial average",
    )
    return {"intensity": intensity}


def radii_and_pixels(run):
    """Return distances from the beam in m, and places in the table, of all pixels outside the beam stop."""
    first = 0
    for name, bank in run.banks.items():
        if name == BANK:
            break
        first += bank.detector_id.size
    else:
        raise ValueError(f"there is no bank {BANK!r}; there are: {', '.join(run.banks)}")
    rows, columns = bank.detector_id.shape
    pitch = WIDTH_M / max(rows, columns)
    y, x = np.indices((rows, columns))
    radius = pitch * np.hypot(x - (columns - 1) / 2, y - (rows - 1) / 2).ravel()
    outside = radius > BEAM_STOP_M
    return radius[outside], first + np.flatnonzero(outside)
