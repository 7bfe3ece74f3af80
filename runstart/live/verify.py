"""Proves that a stored result is what its ledger says, from the file alone."""

from __future__ import annotations

from runstart.errors import Alert
from runstart.live.ledger import imbalances
from runstart.product import read_product


def find_contradictions(nexus: bytes, digest: str) -> list[str]:
    """Return a sentence for each contradiction between a NeXus file, its ledger and its digest; empty if none.

    Parameters
    ----------
    nexus : bytes
        The stored file.
    digest : str
        The digest that was published.
    """
    try:
        stored = read_product(nexus)
    except Alert as error:
        return [str(error)]
    ledger = stored.ledger
    found = imbalances(ledger)
    in_spectrum = ledger["events_counted"] + ledger["events_without_pixel"]
    of_the_run = in_spectrum + ledger["events_out_of_tof_range"] + ledger["events_unknown_detector"]
    for name, expected in (
        ("tof", in_spectrum),
        ("pixel", ledger["events_counted"]),
        ("pixel_tof", ledger["events_counted"]),
        ("events_per_second", of_the_run),
    ):
        if name in stored.arrays and (total := int(stored.arrays[name].sum())) != expected:
            found.append(f"The stored {name} holds {total:,} events, but the ledger says {expected:,}.")
    if not stored.digest == stored.written_digest == digest:
        found.append(f"The stored content has digest {stored.digest}, but {digest} was published.")
    return found
