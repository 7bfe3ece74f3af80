"""The making of one night's asset: records of other assets, data operations, progress, and products that fail alone.

A product whose data operation raises an `Alert` is told and left behind; a `Transient` stops the night, which is made
again later, and finds what was computed before in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from runstart.errors import Alert
from runstart.nights.arrivals import NightFiles
from runstart.nights.record import EXPOSURES, Exposure, Product, Record, load_record
from runstart.operation_kit import Operation, Workplace, execute, find_operations

if TYPE_CHECKING:
    from runstart.nights.site import Site
    from runstart.operation_kit import OutputFile

T = TypeVar("T")


@dataclass(frozen=True)
class Contents:
    """What an asset of a night consists of; see `Record`."""

    exposures: tuple[Exposure, ...] = ()
    products: tuple[Product, ...] = ()
    remarks: tuple[str, ...] = ()


def _tell_nobody(_fraction: float, _message: str) -> None:
    pass


@cache
def data_operations() -> Mapping[str, Operation]:
    """Return all data operations by slug."""
    return find_operations()


@dataclass
class NightWork:
    """A night whose assets are made.

    Attributes
    ----------
    site : Site
        Where.
    night : str
        Date of its evening, ISO 8601.
    workplace : Workplace
        Where data operations are computed; its inputs have the site as a source.
    on_progress : callable
        Takes how much of the asset is done, 0 to 1, and what is being done.
    load : callable, optional
        Returns the record of a night and asset, or None; by default from the workplace's store.
    files : NightFiles, optional
        Those that lie there, the same for many nights; by default they are listed for this night alone.
    computed, found : int
        Data operations that were computed since the beginning, and that were there already.
    arrived : NightFiles
        The files that lie there.
    """

    site: Site
    night: str
    workplace: Workplace
    on_progress: Callable[[float, str], None] = _tell_nobody
    load: Callable[[str, str], Record | None] | None = None
    files: NightFiles | None = None
    computed: int = 0
    found: int = 0
    arrived: NightFiles = field(init=False)
    _begin: float = 0.0
    _end: float = 1.0

    def __post_init__(self) -> None:
        self.arrived = self.files or NightFiles(self.site, self.workplace.store)

    def find_record(self, asset: str, night: str = "") -> Record | None:
        """Return the record of an asset, of this night by default; None if there is none."""
        night = night or self.night
        if self.load is not None:
            return self.load(night, asset)
        return load_record(self.workplace.store, self.site, night, asset)

    def record(self, asset: str) -> Record:
        """Return the record of an asset of this night.

        Raises
        ------
        Alert
            If it has not been made.
        """
        record = self.find_record(asset)
        if record is None:
            raise Alert(
                f"{self.site.name} {self.night} has no {asset}.", f"Materialize {asset} of this night first."
            )
        return record

    def earlier(self, asset: str) -> Iterator[Record]:
        """Yield an asset's records of earlier nights, the newest first, as far back as a master may stand in."""
        evening = date.fromisoformat(self.night)
        for days in range(1, self.site.limits.master_days + 1):
            record = self.find_record(asset, (evening - timedelta(days=days)).isoformat())
            if record is not None:
                yield record

    def usable(self, kind: str) -> list[Exposure]:
        """Return the undamaged exposures of a kind."""
        return [e for e in self.record(EXPOSURES).exposures if e.kind == kind and not e.trouble]

    def each(self, items: Sequence[T], name: Callable[[T], str]) -> Iterator[T]:
        """Yield items one after the other, and tell the progress."""
        for number, item in enumerate(items):
            self._begin, self._end = number / len(items), (number + 1) / len(items)
            self.progress(0.0, f"{name(item)} ({number + 1} of {len(items)})")
            yield item
        self._begin, self._end = 0.0, 1.0

    def progress(self, fraction: float, message: str) -> None:
        """Tell how much of the present item is done."""
        self.on_progress(self._begin + (self._end - self._begin) * fraction, message)

    def output(self, output: OutputFile) -> None:
        """Take an output as it is stored: the record tells it later."""

    def make(self, product: Product, operation: str, given: Mapping[str, Any]) -> Product:
        """Return a product with the first output of a data operation, or with the trouble that it has.

        Parameters
        ----------
        product : Product
            What it is; key, basename and thumbnail are filled in, figures are added to those of the operation.
        operation : str
            Slug of the data operation.
        given : mapping of str to object
            Its inputs.

        Raises
        ------
        Transient
            If it passes by itself.
        """
        try:
            answer = execute(data_operations()[operation], given, self.workplace, self)
        except Alert as alert:
            return replace(product, trouble=str(alert))
        self.computed += answer.computed
        self.found += not answer.computed
        output = answer.entry.outputs[0]
        return replace(
            product,
            key=answer.entry.key,
            basename=output.basename,
            figures={**output.figures, **product.figures},
            thumbnail=output.thumbnail,
        )


def stored(product: Product) -> dict[str, str]:
    """Return a product as an input of a data operation."""
    return _reference("store", product.basename, product.filter)


def taken(site: Site, exposure: Exposure) -> dict[str, str]:
    """Return an exposure as an input of a data operation."""
    return _reference(site.name, exposure.name, exposure.filter)


def camera_inputs(site: Site) -> dict[str, str]:
    """Return what data operations on raw frames are told of a camera with other header keywords than the usual."""
    text = site.keywords.camera.to_text()
    return {"keywords": text} if text else {}


def _reference(source: str, basename: str, of_filter: str) -> dict[str, str]:
    return {"source": source, "basename": basename, **({"filter": of_filter} if of_filter else {})}
