"""What is kept of a night: for each asset one record, with the exposures or products that it consists of.

A record lies at `nights/SITE/NIGHT/ASSET.json` in the object store and is replaced as a whole. Products are outputs
of data operations: the record names their keys, so nothing is stored twice, and an unchanged night costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runstart.errors import Alert
from runstart.nights.site import Site
from runstart.storage import ObjectMissing, ObjectStore

FORMAT = 1

EXPOSURES = "exposures"
MASTER_BIAS, MASTER_DARK, MASTER_FLAT = "master_bias", "master_dark", "master_flat"
CALIBRATED, STACKS = "calibrated", "stacks"
COLOR_IMAGES, CATALOGS = "color_images", "source_catalog"


@dataclass(frozen=True)
class Exposure:
    """One FITS image as it was taken.

    Attributes
    ----------
    name : str
        Its path below the site's folder or prefix: the basename of a FITS reference with the site as source.
    version : str
        Changes when the file does.
    sha256 : str
        Digest of its content.
    kind : str
        `bias`, `dark`, `flat`, `science` or `other`.
    object, filter : str
        Empty if the header does not say.
    exposure_s : float
        Exposure time.
    time : str
        Begin, ISO 8601 UTC.
    rows, cols : int
        Shape as read.
    gain, read_noise, saturation : float
        Electrons per ADU, electrons, ADU.
    median, noise : float
        Of the raw pixels, ADU; NaN is stored as None.
    saturated_fraction : float
        Part of the pixels at or above saturation.
    has_wcs : bool
        Whether the header has a celestial WCS.
    trouble : str
        Why the file cannot be used; empty if it can.
    read_as : str
        Digest of how it was read: of the site's keywords and the code.
    """

    name: str
    version: str
    sha256: str = ""
    kind: str = "other"
    object: str = ""
    filter: str = ""
    exposure_s: float = 0.0
    time: str = ""
    rows: int = 0
    cols: int = 0
    gain: float = 1.0
    read_noise: float = 0.0
    saturation: float = 65535.0
    median: float | None = None
    noise: float | None = None
    saturated_fraction: float = 0.0
    has_wcs: bool = False
    trouble: str = ""
    read_as: str = ""


@dataclass(frozen=True)
class Product:
    """One output of a data operation that belongs to a night.

    Attributes
    ----------
    name : str
        What it is, such as `flat rp` or `M51 gp`.
    key, basename : str
        The operation's cache key, and the output as a FITS reference with source `store`; both are empty for a
        product that could not be made.
    object, filter : str
        Of what, and through what; empty where it does not apply.
    night : str
        The night whose data it was made of: another one for a master that stands in.
    inputs : tuple of str
        Names of the exposures or products that it was made of.
    figures : mapping of str to number or str
        What is told of it.
    thumbnail : str
        Markdown that shows it in place.
    trouble : str
        Why it could not be made.
    """

    name: str
    key: str = ""
    basename: str = ""
    object: str = ""
    filter: str = ""
    night: str = ""
    inputs: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class Record:
    """One asset of one night.

    Attributes
    ----------
    site, night, asset : str
        Which.
    code_version : str
        Version of the asset's code and of the library that made it.
    made_of : str
        SHA-256 over what it was made of; another one means that it has to be made again.
    exposures, products
        What it consists of.
    remarks : tuple of str
        What people should know, such as a master that stands in.
    """

    site: str
    night: str
    asset: str
    code_version: str
    made_of: str
    exposures: tuple[Exposure, ...] = ()
    products: tuple[Product, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over its content, whatever the code that made it: equal digests are equal results."""
        content = {
            "exposures": [{**asdict(exposure), "version": "", "read_as": ""} for exposure in self.exposures],
            "products": [
                [product.name, product.key, product.basename, product.trouble] for product in self.products
            ],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> bytes:
        """Return the record as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """Return the record that `to_json` wrote.

        Raises
        ------
        Alert
            If it is damaged or of another version of Runstart.
        """
        try:
            fields = json.loads(data)
            if fields.pop("format") != FORMAT:
                raise ValueError("another format")
            exposures = tuple(Exposure(**exposure) for exposure in fields.pop("exposures"))
            products = tuple(
                Product(**{**product, "inputs": tuple(product["inputs"])}) for product in fields.pop("products")
            )
            remarks = tuple(fields.pop("remarks"))
            return cls(exposures=exposures, products=products, remarks=remarks, **fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Alert(f"A night's record cannot be read: {error}.", "Materialize the night again.") from error


def save_record(store: ObjectStore, site: Site, record: Record) -> None:
    """Put a record in its place."""
    store.put(f"{site.folder(record.night)}/{record.asset}.json", record.to_json())


def load_record(store: ObjectStore, site: Site, night: str, asset: str) -> Record | None:
    """Return a night's record; None if there is none.

    Raises
    ------
    Alert
        If it is damaged.
    """
    try:
        return Record.from_json(store.get(f"{site.folder(night)}/{asset}.json").data)
    except ObjectMissing:
        return None
