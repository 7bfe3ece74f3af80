"""What Dagster's pages show of an output of an operator: a picture in place, a larger one at a click, a table, or a text.

Outputs come from anybody's program: what cannot be read is told in words, and never fails the run.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from ops.metadata import plain_markdown, show_jpeg, show_text
from ops.pictures import LONGEST_SIDE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from runstart.sessions import Published

MOST_ROWS = 50
MOST_TABLES = 5
MOST_COLUMNS = 20
LONGEST_CELL = 80  # characters
LONGEST_TEXT = 4_000
_LARGEST_SVG = 200_000  # bytes
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
_JPEG_QUALITY = 85
_ARRAYS = ("application/x-npy", "application/x-npz", "application/x-numpy")
_PERCENTILES = (0.5, 99.5)  # shown as darkest and brightest


class Shown(NamedTuple):
    """What is shown of an output.

    Attributes
    ----------
    metadata : dict of str to object
        For an event of an asset.
    nbytes : int
        About what it takes in Dagster's event log.
    """

    metadata: dict[str, Any]
    nbytes: int


def show_output(published: Published, key: str) -> Shown:
    """Return what the pages show of an output: its content first, then what it is.

    Parameters
    ----------
    published : Published
        The output.
    key : str
        Where it lies in the object store.
    """
    title = published.name or published.operator
    try:
        content = _show_content(published.media_type.partition(";")[0].strip().lower(), published.data, title)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's data does to a decoder, the run goes on
        content = {"trouble": plain_markdown(f"It cannot be shown as {published.media_type}: {error}")}
    facts = {
        "name": plain_markdown(title),
        "number": published.number,
        "media type": published.media_type,
        "bytes": len(published.data),
        "object": key,
    }
    return Shown(content | facts, sum(_size(value) for value in content.values()) + 1_000)


def _show_content(media_type: str, data: bytes, title: str) -> dict[str, Any]:
    if media_type == "image/svg+xml":
        return {"larger picture": show_svg(data.decode(), title)} if len(data) <= _LARGEST_SVG else {}
    if media_type.startswith("image/"):
        return _show_picture(_read_picture(data), title)
    if media_type in _ARRAYS:
        return _show_array(data, title)
    if media_type == "application/json":
        return _show_json(data)
    if media_type == "text/csv":
        return {"table": _show_table(list(csv.DictReader(io.StringIO(data.decode()))))}
    if media_type.startswith("text/"):
        return {"text": show_text(data[: 4 * LONGEST_TEXT].decode(errors="replace")[:LONGEST_TEXT])}
    return {}


def show_svg(svg: str, title: str) -> dg.MarkdownMetadataValue:
    """Return a drawing that Dagster's pages show at a click.

    Parameters
    ----------
    svg : str
        The drawing; as an image it runs no script and loads nothing.
    title : str
        Any text; only harmless letters are kept.
    """
    letters = "".join(letter for letter in title if letter.isalnum() or letter in " -_")
    return dg.MetadataValue.md(f"![{letters}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def _read_picture(data: bytes) -> Image:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what would be an enormous picture is refused
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            return picture.convert("RGB")


def _show_picture(picture: Image, title: str) -> dict[str, Any]:
    from runstart.product import small_picture

    small = small_picture(picture)
    shown: dict[str, Any] = {"picture": dg.MetadataValue.md(small.as_markdown(title))}
    if small.size == picture.size:
        return shown
    large = picture.copy()
    large.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return shown | {"larger picture": show_jpeg(buffer.getvalue(), title)}


def _show_array(data: bytes, title: str) -> dict[str, Any]:
    import numpy as np

    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    arrays = {title: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    rows = [
        {"array": name, "shape": " x ".join(map(str, array.shape)), "type": str(array.dtype)}
        for name, array in arrays.items()
    ]
    shown: dict[str, Any] = {"arrays": _show_table(rows)}
    drawn = next((array for array in arrays.values() if _can_be_drawn(array)), None)
    return shown if drawn is None else _draw_array(drawn, title) | shown


def _can_be_drawn(array: npt.NDArray[Any]) -> bool:
    return array.ndim >= 1 and array.size > 0 and array.dtype.kind in "biuf"


def _draw_array(array: npt.NDArray[Any], title: str) -> dict[str, Any]:
    """Return pictures of an array; of one with more than two dimensions the first plane is drawn."""
    import numpy as np

    from runstart.product.thumbnails import curve_thumbnail

    values = array.reshape(-1, *array.shape[-2:])[0] if array.ndim > 2 else array
    if values.ndim == 1:
        heights = _scaled(values.astype(np.float64))
        return {"picture": dg.MetadataValue.md(curve_thumbnail(title, heights))}
    return _show_picture(_colored(values.astype(np.float64)), title)


def _colored(values: npt.NDArray[np.float64]) -> Image:
    from matplotlib import colormaps
    from PIL import Image

    picture = Image.fromarray(colormaps["viridis"](_scaled(values), bytes=True)[..., :3])
    factor = LONGEST_SIDE // (2 * max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST) if factor > 1 else picture


def _scaled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values from 0 to 1; what is no finite number is 0."""
    import numpy as np

    known = np.isfinite(values)
    if not known.any():
        return np.zeros_like(values)
    low, high = np.percentile(values[known], _PERCENTILES)
    return np.where(known, np.clip((values - low) / max(high - low, np.finfo(float).tiny), 0.0, 1.0), 0.0)


def _show_json(data: bytes) -> dict[str, Any]:
    value = json.loads(data)
    if _is_table(value):
        return {"table": _show_table(value)}
    tables = value.get("tables") if isinstance(value, dict) else None
    if isinstance(tables, dict) and tables and all(map(_is_table, tables.values())):
        return {
            f"table {plain_markdown(name)}": _show_table(rows) for name, rows in list(tables.items())[:MOST_TABLES]
        }
    return {"text": show_text(json.dumps(value, indent=1, ensure_ascii=False)[:LONGEST_TEXT])}


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _show_table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue | str:
    if not rows:
        return "no rows"
    columns = list(rows[0])[:MOST_COLUMNS]
    records = [{str(name): _cell(row.get(name)) for name in columns} for row in rows[:MOST_ROWS]]
    return dg.MetadataValue.table([dg.TableRecord(record) for record in records])


def _cell(value: Any) -> str | int | float | bool:
    if isinstance(value, (bool, int, float)):
        return value
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}..."


def _size(value: Any) -> int:
    if isinstance(value, dg.MarkdownMetadataValue):
        return len(value.md_str or "")
    if isinstance(value, dg.TableMetadataValue):
        return 100 * sum(len(record.data) for record in value.records)
    return len(str(value))
