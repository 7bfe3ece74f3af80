"""The index of a night: what each of its files is, as its header says, and what its pixels look like.

A file that cannot be read becomes an exposure with the trouble that it has, and costs nothing else. A file that has not
changed since the last index is not read again, unless the site's keywords or this code have changed.

What was indexed once is not given up because files are away, as they are when a disk is not mounted or a night was
moved to an archive: all that was made of the night would be replaced by what can be made of nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import runstart
from runstart.errors import Alert
from runstart.fits import FitsReference, FitsSource, FolderSource, InputFiles, ResolvedFile, filter_of, read_image
from runstart.nights._header import find_time, read_primary, reader
from runstart.nights._places import folder_of, open_bucket
from runstart.nights.record import EXPOSURES, Exposure
from runstart.nights.work import Contents

if TYPE_CHECKING:
    from pathlib import Path

    from runstart.nights.record import Record
    from runstart.nights.site import Site
    from runstart.nights.work import NightWork
    from runstart.places import Arrival

READING = 1  # raised when headers or pixels are read in another way
LEFT_OUT = "Left out of all nights: "
"""Begins the remark about files that cannot be exposures."""

_AT_ONCE = 8
_LONGEST_TEXT = 80
_MOST_NAMES = 3
_KINDS = {
    "bias": "bias",
    "zero": "bias",
    "dark": "dark",
    "flat": "flat",
    "flatfield": "flat",
    "domeflat": "flat",
    "skyflat": "flat",
    "twilightflat": "flat",
    "lampflat": "flat",
    "light": "science",
    "object": "science",
    "expose": "science",
    "standard": "science",
    "science": "science",
}
_CELESTIAL = (
    ("RA", "DEC"),
    ("GLON", "GLAT"),
    ("ELON", "ELAT"),
    ("SLON", "SLAT"),
    ("HLON", "HLAT"),
)


def make_exposures(work: NightWork) -> Contents:
    """Make the index of a night of the files that lie there.

    Parameters
    ----------
    work : NightWork
        Its inputs have the site as a source.

    Returns
    -------
    Contents
        An exposure for each file, by time and name.

    Raises
    ------
    Alert
        If the place where exposures arrive is not there, or may not be read; or if good exposures of the last index
        no longer lie there.
    Transient
        If it passes by itself.
    """
    previous = _last_index(work)
    if previous is not None:
        _check_none_is_gone(work, previous)
    contents = index_files(
        work.site,
        _files(work),
        work.workplace.inputs,
        Contents() if previous is None else Contents(previous.exposures, remarks=previous.remarks),
        work.progress,
    )
    return replace(contents, remarks=(*contents.remarks, *_tell_refused(work)))


def _last_index(work: NightWork) -> Record | None:
    """Return the last index; a damaged one is made anew, unless there is nothing to make it of."""
    try:
        return work.find_record(EXPOSURES)
    except Alert:
        if not _files(work):
            raise
        return None


def gone_exposures(work: NightWork, index: Record) -> list[str]:
    """Return which good exposures of an index no longer lie where they arrived, by name."""
    return work.arrived.gone(exposure.name for exposure in index.exposures if not exposure.trouble)


def _check_none_is_gone(work: NightWork, index: Record) -> None:
    gone = gone_exposures(work, index)
    if gone:
        site, night = work.site, work.night
        raise Alert(
            f"{len(gone)} of {len(index.exposures)} exposures of {night} are no longer in {site.exposures}; the records "
            "stay as they are.",
            f"Bring them back, or delete {site.folder(night)}/{EXPOSURES}.json in the object store to make the night of "
            "what is left.",
        )


def _tell_refused(work: NightWork) -> Iterator[str]:
    """Tell of the files that cannot be exposures: of which night they would be, nobody knows, so each night tells."""
    refused = work.arrived.refused()
    if refused:
        few = [f"{ascii(name)[:_LONGEST_TEXT]} ({why})" for name, why in [*refused.items()][:_MOST_NAMES]]
        more = f" and {len(refused) - len(few)} more" if len(refused) > len(few) else ""
        yield f"{LEFT_OUT}{len(refused)} files in {work.site.exposures}, such as {', '.join(few)}{more}."


def describe_exposures(work: NightWork) -> list[list[str]]:
    """Return what the index of a night is made of, as plain JSON: names and versions of the files that lie there."""
    return [[arrival.name, arrival.version] for arrival in _files(work)]


def count_exposures(work: NightWork) -> int:
    """Return how many files of a night lie there."""
    return len(_files(work))


def exposure_source(site: Site, s3_client: Any = None) -> FitsSource:
    """Return where a site's exposures arrive as a source of data operations, named after the site.

    Parameters
    ----------
    site : Site
        As `read_sites` returned it.
    s3_client : botocore.client.S3, optional
        For a bucket; by default one made from the standard AWS environment variables.
    """
    folder = folder_of(site)
    if folder is not None:
        return FolderSource(site.name, folder)
    from runstart.nights._bucket import BucketSource

    return BucketSource(site.name, open_bucket(site, s3_client))


def index_files(
    site: Site,
    arrivals: Iterable[Arrival],
    inputs: InputFiles,
    previous: Contents | None = None,
    on_progress: Any = None,
) -> Contents:
    """Return an exposure for each file.

    Parameters
    ----------
    site : Site
        Its keywords are read.
    arrivals : iterable of Arrival
        The files of a night.
    inputs : InputFiles
        Has the site as a source.
    previous : Contents, optional
        An earlier index: what it says of unchanged files is kept.
    on_progress : callable, optional
        Takes how much is done, 0 to 1, and the name of the file that was read.

    Returns
    -------
    Contents
        Exposures by time and name, and what people should know of them.

    Raises
    ------
    Transient
        If a source does not answer, or the disk is full.
    """
    previous = Contents() if previous is None else previous
    arrivals = sorted(arrivals, key=lambda arrival: arrival.name)
    read_as = _read_as(site)
    known = {(e.name, e.version): e for e in previous.exposures if e.read_as == read_as}
    kept = [
        known[arrival.name, arrival.version] for arrival in arrivals if (arrival.name, arrival.version) in known
    ]
    names = {exposure.name for exposure in kept}
    remarks = [remark for remark in previous.remarks if remark.partition(": ")[0] in names]
    new = [arrival for arrival in arrivals if arrival.name not in names]
    read = []
    for number, (arrival, resolved) in enumerate(_resolved(site, new, inputs), start=1):
        found = _Reading(site, arrival)
        read.append(found.exposure(resolved, inputs, read_as))
        remarks += found.remarks
        if on_progress is not None:
            on_progress(number / len(new), arrival.name)
    exposures = sorted([*kept, *read], key=lambda exposure: (exposure.time, exposure.name))
    return Contents(tuple(exposures), remarks=tuple(sorted(remarks)))


def _files(work: NightWork) -> tuple[Arrival, ...]:
    return work.arrived(work.night)


def _read_as(site: Site) -> str:
    """Return a short digest of all that decides how a file is read."""
    told = [READING, runstart.__version__, site.keywords.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _resolved(
    site: Site, arrivals: list[Arrival], inputs: InputFiles
) -> Iterator[tuple[Arrival, ResolvedFile | Alert]]:
    """Yield each file with its digest, or with what is wrong with it; some are fetched ahead."""

    def resolve(arrival: Arrival) -> ResolvedFile | Alert:
        try:
            return inputs.resolve(FitsReference(source=site.name, basename=arrival.name))
        except Alert as alert:
            return alert

    with ThreadPoolExecutor(_AT_ONCE, "exposures") as pool:
        try:
            yield from zip(arrivals, pool.map(resolve, arrivals), strict=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Reading:
    """One file that is read: what its headers say, and what is wrong with what they say."""

    site: Site
    arrival: Arrival
    remarks: list[str] = field(default_factory=list)
    headers: tuple[Mapping[str, Any], ...] = ()

    def exposure(self, resolved: ResolvedFile | Alert, inputs: InputFiles, read_as: str) -> Exposure:
        """Return the exposure; with trouble if the file cannot be used."""
        told: dict[str, Any] = {"version": self.arrival.version, "time": self._time(None)}
        try:
            if isinstance(resolved, Alert):
                raise resolved
            told |= {"version": resolved.version, "sha256": resolved.sha256}
            with inputs.open(resolved) as path:
                told["time"] = self._time(self._begin(path))
                told |= self._contents(path)
        except Alert as alert:
            told["trouble"] = str(alert)
            self.remarks.clear()
        return Exposure(self.arrival.name, read_as=read_as, **told)

    def _contents(self, path: Path) -> dict[str, Any]:
        from runstart.images import measure_frame

        image = read_image(path, label=self.arrival.name)
        self.headers = (image.header, read_primary(path))
        keywords = self.site.keywords
        saturation = self._number(keywords.saturation, 65535.0, positive=True)
        statistics = measure_frame(image.data, saturation)
        rows, cols = image.data.shape
        return {
            "kind": self._kind(),
            "object": self._text(keywords.object),
            "filter": self._text(keywords.filter) or filter_of(image.header),
            "exposure_s": self._number(keywords.exposure, 0.0),
            "rows": rows,
            "cols": cols,
            "gain": self._number(keywords.gain, 1.0, positive=True),
            "read_noise": self._number(keywords.read_noise, 0.0),
            "saturation": saturation,
            "median": _finite(statistics.median),
            "noise": _finite(statistics.noise),
            "saturated_fraction": float(statistics.saturated_fraction),
            "has_wcs": has_celestial_wcs(image.header),
        }

    def _begin(self, path: Path) -> datetime | None:
        with path.open("rb") as file:
            begin = find_time(reader(file), self.site.keywords.time)
        if begin is None:
            asked = ", ".join(self.site.keywords.time)
            self._remark(f"no header has a time in {asked}; it counts as taken when the file was written")
        return begin

    def _time(self, begin: datetime | None) -> str:
        moment = begin or datetime.fromtimestamp(min(max(self.arrival.modified, 0.0), 4.1e9), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _kind(self) -> str:
        text = self._text(self.site.keywords.kind)
        if not text:
            asked = ", ".join(self.site.keywords.kind)
            self._remark(f"{asked} do not say whether it is a bias, dark, flat or science exposure; it is left out")
        return kind_of(text)

    def _value(self, keywords: Iterable[str]) -> tuple[str, Any]:
        """Return the first keyword that is there, and its value; empty ones are not there."""
        for keyword in keywords:
            for header in self.headers:
                value = header.get(keyword)
                if isinstance(value, (str, int, float)) and str(value).strip():
                    return keyword, value
        return "", None

    def _text(self, keywords: Iterable[str]) -> str:
        value = self._value(keywords)[1]
        return "" if value is None else " ".join(str(value).split())[:_LONGEST_TEXT]

    def _number(self, keywords: Iterable[str], default: float, *, positive: bool = False) -> float:
        keyword, value = self._value(keywords)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and (number > 0 or (number == 0 and not positive)):
            return number
        self._remark(f"{keyword} is {str(value)[:_LONGEST_TEXT]!r}, which cannot be; {default:g} is taken")
        return default

    def _remark(self, text: str) -> None:
        self.remarks.append(f"{self.arrival.name}: {text}.")


def kind_of(text: str) -> str:
    """Return what an exposure is, of what a camera writes in OBSTYPE or IMAGETYP.

    Parameters
    ----------
    text : str
        Such as `BIAS`, `Flat Field`, `Light Frame` or `EXPOSE`.

    Returns
    -------
    str
        `bias`, `dark`, `flat`, `science` or `other`.
    """
    words = re.split(r"[\s_-]+", text.strip().lower())
    while len(words) > 1 and words[-1] in ("frame", "image", "exposure"):
        words.pop()
    return _KINDS.get("".join(words), "other")


def has_celestial_wcs(header: Mapping[str, Any]) -> bool:
    """Tell whether a header says where on the sky the image lies (FITS standard 4.0, sections 8.1 to 8.3).

    Parameters
    ----------
    header : astropy.io.fits.Header or mapping
        Of the image.

    Returns
    -------
    bool
        True if both axes are celestial and have a reference value and a scale.
    """
    types = [str(header.get(f"CTYPE{axis}", "")).partition("-")[0].strip() for axis in (1, 2)]
    if tuple(types) not in _CELESTIAL and tuple(types[::-1]) not in _CELESTIAL:
        return False
    values = [header.get(f"{name}{axis}") for name in ("CRVAL", "CRPIX") for axis in (1, 2)]
    scales = [header.get(key) for key in ("CD1_1", "CD1_2", "CDELT1")]
    return all(map(_is_number, values)) and any(_is_number(scale) and scale != 0 for scale in scales)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
