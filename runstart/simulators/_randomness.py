"""Random numbers that depend on names alone: the same names give the same numbers, in any order of drawing."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*names: object) -> np.random.Generator:
    """Return the random generator of some names, independent of that of any other names."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
