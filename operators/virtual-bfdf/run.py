"""Counts the electrons on a ring about the beam at each scan position: a bright or dark field image."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import OpenScans, VirtualImageSums, read_batch
from runstart.operators import BytesMessage, on_finish, operator

_scans = OpenScans(VirtualImageSums)


@operator(keeps_state=True)
def virtual_bfdf(inputs: BytesMessage | None, parameters: dict[str, Any]) -> list[BytesMessage] | None:
    """Count the frames of some positions; the radii and the centre are those of the moment when an image is made."""
    if inputs is None:
        return None
    every, most = parameters["calculation_frequency"], parameters["max_concurrent_scans"]
    return _scans.take(read_batch(inputs), parameters, every, most)


@on_finish
def send_rest(parameters: dict[str, Any]) -> list[BytesMessage]:
    """Send what there is of scans that are not complete."""
    return _scans.finish(parameters)
