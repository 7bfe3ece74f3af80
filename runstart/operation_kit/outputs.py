"""What a data operation yields, and how it is stored: FITS, large and small JPEG, TIFF, with their digests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.operation_kit.entry import OutputFile

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.io.fits import Header

    from runstart.storage import ObjectStore


@dataclass(frozen=True, eq=False)
class OutputImage:
    """A FITS image, with previews of it.

    Attributes
    ----------
    data : number[rows, cols]
        The image, row 0 at the bottom.
    header : astropy.io.fits.Header, optional
        Of the image that it was made from.
    uncertainty : float32[rows, cols], optional
        Standard deviation, in the unit of the data.
    mask : integer[rows, cols], optional
        Bits as `runstart.images.MaskBit` names them.
    table : structured array, optional
        A source catalogue.
    history : sequence of str
        What was done, for the header's HISTORY.
    label : str
        What people call it.
    figures : mapping of str to number or str
        What is told of it beside its picture; a number that is not finite is kept as a text, such as `nan`.
    """

    data: npt.NDArray[Any]
    header: Header | None = None
    uncertainty: npt.NDArray[Any] | None = None
    mask: npt.NDArray[Any] | None = None
    table: npt.NDArray[Any] | None = None
    history: Sequence[str] = ()
    label: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class OutputPicture:
    """A colour picture without a FITS image.

    Attributes
    ----------
    pixels : uint8[rows, cols, 3]
        Red, green and blue, row 0 at the bottom.
    label : str
        What people call it.
    figures : mapping of str to number or str
        What is told of it.
    """

    pixels: npt.NDArray[Any]
    label: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


Output = OutputImage | OutputPicture


@dataclass(frozen=True)
class Place:
    """Where outputs of one computation go.

    Attributes
    ----------
    store : ObjectStore
        The object store.
    folder : str
        Folder of the attempt.
    key : str
        The request's key.
    scratch : Path
        A private folder of this machine.
    history : tuple of str
        Provenance lines of every FITS output.
    """

    store: ObjectStore
    folder: str
    key: str
    scratch: Path
    history: tuple[str, ...]


def store_output(place: Place, output: Output, basename: str) -> OutputFile:
    """Store an output under a basename, and return what the entry says of it."""
    from runstart.images import make_previews

    pixels = output.pixels if isinstance(output, OutputPicture) else output.data
    previews = make_previews(pixels)
    contents = {"large": ("-large.jpg", previews.large_jpeg), "small": ("-small.jpg", previews.small_jpeg)}
    contents["tif"] = (".tif", previews.tiff)
    if isinstance(output, OutputImage):
        contents["fits"] = (".fits", _fits_bytes(place, output))
    objects, digests = {}, {}
    for name, (ending, data) in contents.items():
        objects[name] = f"{place.folder}/{basename}{ending}"
        digests[name] = hashlib.sha256(data).hexdigest()
        place.store.put(objects[name], data)
    return OutputFile(
        basename=basename,
        type="fits" if isinstance(output, OutputImage) else "image",
        label=output.label,
        objects=objects,
        sha256=digests,
        figures={name: _plain(name, figure) for name, figure in output.figures.items()},
        thumbnail=previews.as_markdown(output.label or basename[:12]),
    )


def _plain(name: str, figure: Any) -> Any:
    """Return a figure as JSON has it."""
    value = figure.item() if isinstance(figure, np.generic) else figure
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"The figure {name!r} is a {type(figure).__name__}, neither a number nor a text.")
    return value


def _fits_bytes(place: Place, output: OutputImage) -> bytes:
    from runstart.fits import write_image

    path = place.scratch / "output.fits"
    write_image(
        path,
        output.data,
        output.header,
        key=place.key,
        history=(*place.history, *output.history),
        uncertainty=output.uncertainty,
        mask=output.mask,
        table=output.table,
    )
    data = path.read_bytes()
    path.unlink()
    return data
