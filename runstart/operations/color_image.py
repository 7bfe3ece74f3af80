"""A colour picture of images through different filters, laid upon each other by their stars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from runstart.operation_kit import ColorChannelFile, ColorChannels, FitsFile, OutputPicture, Select, Work, operation
from runstart.operations._naming import about

if TYPE_CHECKING:
    import numpy.typing as npt

CATALOG, STARS, NONE = "catalog", "stars", "none"
_READ, _ALIGNED, _COMPOSED = 0.4, 0.8, 0.95  # of the progress


@operation(
    name="Color Image",
    version="1",
    description="Gives each of up to six images a colour, and adds them to one picture.",
)
def color_image(
    work: Work,
    color_channels: Annotated[
        list[ColorChannelFile],
        ColorChannels("Color channels", "Images, each with its colour and the values that are dark and full."),
    ],
    alignment: Annotated[
        str,
        Select(
            "Alignment",
            "catalog: by the stars of the files' CAT tables if all have one, else by those of the images; stars: by "
            "those of the images; none: as they lie.",
            options=(CATALOG, STARS, NONE),
        ),
    ] = CATALOG,
) -> OutputPicture:
    """Return the picture; its figures tell how the images were aligned, or why they were not."""
    from runstart.images import ColorChannel, compose_color

    files = [channel.file for channel in color_channels]
    read = [file.read().data for file in work.each(files, "Reading", end=_READ)]
    work.progress(_READ, "Aligning")
    images, figures = _align(files, read, alignment)
    work.progress(_ALIGNED, "Composing")
    channels = []
    for image, channel in zip(images, color_channels, strict=True):
        with about(channel.file.name):
            channels.append(ColorChannel(image, channel.color, channel.zmin, channel.zmax))
    pixels = compose_color(channels)
    work.progress(_COMPOSED, "Composed")
    label = f"Colour image of {len(channels)} channel{'s' if len(channels) > 1 else ''}"
    if "not_aligned" in figures:
        label += ", not aligned"
    return OutputPicture(pixels, label=label, figures={"channels": len(channels), **figures})


def _align(
    files: Sequence[FitsFile], images: Sequence[npt.NDArray[Any]], alignment: str
) -> tuple[Sequence[npt.NDArray[Any]], dict[str, str]]:
    """Return the images upon the first one, and how that was done; as they are, with the reasons, if it cannot be."""
    from runstart.images import align_images

    if alignment == NONE or len(images) == 1:
        return images, {"alignment": NONE}
    reasons = []
    if alignment == CATALOG:
        catalogs = [_catalog_positions(file) for file in files]
        without = [file.name for file, catalog in zip(files, catalogs, strict=True) if catalog is None]
        if without:
            reasons.append(f"no catalogue in {', '.join(without)}")
        else:
            aligned = align_images(images, catalogs)
            if aligned.aligned:
                return aligned.images, {"alignment": CATALOG}
            reasons += _told("catalogue", files, aligned.reasons)
    aligned = align_images(images)
    if aligned.aligned:
        return aligned.images, {"alignment": STARS, **({"not_by_catalog": "; ".join(reasons)} if reasons else {})}
    reasons += _told("stars", files, aligned.reasons)
    return images, {"alignment": NONE, "not_aligned": "; ".join(reasons)}


def _told(how: str, files: Sequence[FitsFile], reasons: Sequence[str]) -> list[str]:
    return [f"{how}: {file.name}: {reason}" for file, reason in zip(files, reasons, strict=True) if reason]


def _catalog_positions(file: FitsFile) -> npt.NDArray[np.float64] | None:
    """Return x and y of a file's catalogue in FITS pixels, the brightest first; None if it has none.

    Raises
    ------
    Alert
        The file is damaged.
    """
    from runstart.fits import scan

    with file.opened() as path:
        if not any(hdu.name == "CAT" and hdu.kind == "table" for hdu in scan(path, label=file.name)):
            return None
    table = file.read_table("CAT")
    names = [name for name in table.dtype.names or () if table.dtype[name].kind in "iuf"]  # scalar numbers
    if not {"x", "y"} <= set(names):
        return None
    positions = np.column_stack([table["x"], table["y"]]).astype(np.float64)
    for column, sign in (("flux", -1), ("mag", 1)):
        if column in names:
            return positions[np.argsort(sign * np.nan_to_num(table[column], nan=sign * np.inf), kind="stable")]
    return positions
