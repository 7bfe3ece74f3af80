from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exposure_files import NOW, image, make_site, put

from runstart.errors import Transient
from runstart.file_cache import FileCache
from runstart.fits import FitsReference, InputFiles, UriSource
from runstart.nights import (
    Exposure,
    Keywords,
    Record,
    Site,
    exposure_source,
    files_by_night,
    has_celestial_wcs,
    index_files,
    kind_of,
)
from runstart.nights.work import Contents
from runstart.storage import FileStore

NIGHT = "2026-03-01"
WCS = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 10.0,
    "CRVAL2": 20.0,
    "CRPIX1": 5.0,
    "CRPIX2": 5.0,
    "CD1_1": -1e-4,
    "CD2_2": 1e-4,
}


class Night:
    """A folder with the files of a night, and its index."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "raw"
        self.folder.mkdir()
        self.site = make_site(self.folder)
        self.store = FileStore(tmp_path / "store")
        self.cache = FileCache(tmp_path / "cache", 10**8)
        self.read: list[str] = []

    def index(self, previous: Contents | None = None, site: Site | None = None) -> Contents:
        site = site or self.site
        inputs = InputFiles({"OBS": exposure_source(site)}, UriSource(), self.cache)
        arrivals = files_by_night(site, self.store, now=NOW).get(NIGHT, ())
        self.read.clear()
        return index_files(site, arrivals, inputs, previous, lambda _fraction, name: self.read.append(name))

    def only(self, data: bytes, **arguments: Any) -> tuple[Exposure, tuple[str, ...]]:
        put(self.folder / "a.fits", data)
        contents = self.index(**arguments)
        assert len(contents.exposures) == 1
        return contents.exposures[0], contents.remarks


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_an_exposure_is_what_its_header_and_its_pixels_say(night: Night, packed: bool) -> None:
    pixels = np.full((30, 40), 1000, np.uint16)
    pixels[0, :12] = 60000
    cards = {"OBSTYPE": "EXPOSE", "OBJECT": " M  31 ", "FILTER": "rp", "EXPTIME": 30.5, "GAIN": 1.6, "RDNOISE": 8.5}
    exposure, remarks = night.only(image(pixels, packed=packed, SATURATE=50000, **cards, **WCS))
    assert remarks == ()
    assert exposure.trouble == ""
    assert (exposure.name, exposure.kind, exposure.object, exposure.filter) == ("a.fits", "science", "M 31", "rp")
    assert (exposure.exposure_s, exposure.gain, exposure.read_noise, exposure.saturation) == (30.5, 1.6, 8.5, 50000)
    assert (exposure.rows, exposure.cols) == (30, 40)
    assert (exposure.median, exposure.saturated_fraction) == (1000.0, 0.01)
    assert exposure.time == "2026-03-01T22:00:00.000Z"
    assert exposure.has_wcs
    reference = FitsReference(source="OBS", basename="a.fits")
    resolved = InputFiles({"OBS": exposure_source(night.site)}, UriSource(), night.cache).resolve(reference)
    assert (exposure.sha256, exposure.version) == (resolved.sha256, resolved.version)


def test_keywords_that_are_not_there_have_the_defaults_of_the_site(night: Night) -> None:
    exposure, remarks = night.only(image(np.zeros((4, 5), np.float32)))
    assert (exposure.kind, exposure.object, exposure.filter, exposure.exposure_s) == ("other", "", "", 0)
    assert (exposure.gain, exposure.read_noise, exposure.saturation, exposure.has_wcs) == (1, 0, 65535, False)
    assert remarks == (
        "a.fits: OBSTYPE, IMAGETYP do not say whether it is a bias, dark, flat or science exposure; it is left out.",
    )


def test_the_primary_header_counts_where_the_images_header_says_nothing(night: Night) -> None:
    import io

    from astropy.io import fits

    primary = fits.PrimaryHDU(
        header=fits.Header([("OBSTYPE", "DARK"), ("EXPTIME", 60), ("DATE-OBS", "2026-03-01T22:00:00")])
    )
    buffer = io.BytesIO()
    fits.HDUList([primary, fits.ImageHDU(np.zeros((4, 4), np.int16), name="SCI")]).writeto(buffer)
    exposure, remarks = night.only(buffer.getvalue())
    assert (exposure.kind, exposure.exposure_s, remarks) == ("dark", 60, ())


@pytest.mark.parametrize(("card", "value"), [("GAIN", 0), ("GAIN", "high"), ("RDNOISE", -1), ("SATURATE", True)])
def test_a_value_that_cannot_be_is_told_and_not_used(night: Night, card: str, value: object) -> None:
    exposure, remarks = night.only(image(np.zeros((4, 4), np.int16), OBSTYPE="BIAS", **{card: value}))
    assert (exposure.gain, exposure.read_noise, exposure.saturation) == (1, 0, 65535)
    assert len(remarks) == 1
    assert f"{card} is {str(value)!r}, which cannot be" in remarks[0]


def test_another_camera_has_other_keywords(night: Night) -> None:
    site = make_site(night.folder, keywords=Keywords(kind=("FRAME",), filter=("BAND",), time=("DATE-BEG",)))
    data = image(
        np.zeros((4, 4), np.int16), time=None, FRAME="Flat Field", BAND="V", **{"DATE-BEG": "2026-03-02T01:00:00"}
    )
    exposure, remarks = night.only(data, site=site)
    assert (exposure.kind, exposure.filter, exposure.time) == ("flat", "V", "2026-03-02T01:00:00.000Z")
    assert remarks == ()


def test_an_exposure_without_a_time_is_of_when_it_was_written(night: Night) -> None:
    put(
        night.folder / "a.fits",
        image(np.zeros((4, 4)), time=None, OBSTYPE="BIAS"),
        dt.datetime(2026, 3, 1, 23, tzinfo=dt.UTC),
    )
    contents = night.index()
    assert [e.time for e in contents.exposures] == ["2026-03-01T23:00:00.000Z"]
    assert contents.exposures[0].trouble == ""
    assert "no header has a time in DATE-OBS" in contents.remarks[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"not a FITS file" * 1000, "FITS"),
        (image(np.zeros((40, 40)))[:6000], "truncated"),
        (image(np.zeros((3, 4, 4))), "dimensions"),
        (image(np.zeros(10)), "dimensions"),
    ],
)
def test_a_damaged_file_is_an_exposure_with_trouble_and_costs_nothing_else(
    night: Night, data: bytes, told: str
) -> None:
    put(night.folder / "bad.fits", data, dt.datetime(2026, 3, 1, 22, tzinfo=dt.UTC))
    put(night.folder / "good.fits", image(np.ones((4, 4)), OBSTYPE="BIAS"))
    by_name = {exposure.name: exposure for exposure in night.index().exposures}
    assert by_name["good.fits"].trouble == ""
    assert told in by_name["bad.fits"].trouble
    assert "bad.fits" in by_name["bad.fits"].trouble
    assert by_name["bad.fits"].time.startswith("2026-03-01T22:00")


def test_pixels_without_a_number_keep_the_record_plain_json(night: Night) -> None:
    exposure, _ = night.only(image(np.full((4, 4), np.nan, np.float32), OBSTYPE="BIAS"))
    assert (exposure.median, exposure.noise) == (None, None)
    record = Record("OBS", NIGHT, "exposures", "1", "", (exposure,))
    assert Record.from_json(record.to_json()) == record


def test_exposures_are_in_the_order_of_time_and_name(night: Night) -> None:
    for name, time in (("c", "22:00:00"), ("a", "23:00:00"), ("b", "22:00:00")):
        put(night.folder / f"{name}.fits", image(np.zeros((4, 4)), time=f"2026-03-01T{time}", OBSTYPE="BIAS"))
    assert [exposure.name for exposure in night.index().exposures] == ["b.fits", "c.fits", "a.fits"]


def test_only_new_and_changed_files_are_read_again(night: Night) -> None:
    for name in "abc":
        put(night.folder / f"{name}.fits", image(np.zeros((4, 4))))
    first = night.index()
    assert night.read == ["a.fits", "b.fits", "c.fits"]
    put(night.folder / "b.fits", image(np.ones((4, 4)), OBSTYPE="BIAS"))
    put(night.folder / "d.fits", image(np.ones((4, 4)), OBSTYPE="BIAS"))
    (night.folder / "c.fits").unlink()
    second = night.index(first)
    assert night.read == ["b.fits", "d.fits"]
    assert [exposure.name for exposure in second.exposures] == ["a.fits", "b.fits", "d.fits"]
    assert [remark.partition(":")[0] for remark in second.remarks] == ["a.fits"]
    assert second == night.index()
    assert night.index(second) == second
    assert night.read == []


def test_other_keywords_read_everything_again(night: Night) -> None:
    put(night.folder / "a.fits", image(np.zeros((4, 4)), OBSTYPE="BIAS", BAND="V"))
    first = night.index()
    changed = make_site(night.folder, keywords=Keywords(filter=("BAND",)))
    assert [exposure.filter for exposure in night.index(first, changed).exposures] == ["V"]


def test_a_source_that_does_not_answer_is_no_trouble_of_a_file(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(night.folder / "a.fits", image(np.zeros((4, 4))))

    def silent(*_arguments: object) -> None:
        raise Transient("The disk does not answer.")

    monkeypatch.setattr(InputFiles, "resolve", silent)
    with pytest.raises(Transient):
        night.index()


def test_a_night_without_files_has_no_exposures(night: Night) -> None:
    assert night.index() == Contents()


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("bias", ["BIAS", "ZERO", "Bias Frame", "bias"]),
        ("dark", ["DARK", "Dark Frame"]),
        ("flat", ["FLAT", "SKYFLAT", "DOMEFLAT", "Flat Field", "Flat Frame", "sky flat", "dome-flat"]),
        ("science", ["EXPOSE", "STANDARD", "LIGHT", "OBJECT", "SCIENCE", "Light Frame", " object "]),
        ("other", ["SPECTRUM", "LAMPFLAT1", "ARC", "", "Frame", "TARGET", "GUIDE"]),
    ],
)
def test_what_cameras_write_is_understood(kind: str, texts: list[str]) -> None:
    assert {text: kind_of(text) for text in texts} == dict.fromkeys(texts, kind)


@pytest.mark.parametrize(
    ("changes", "has"),
    [
        ({}, True),
        ({"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"}, True),
        ({"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"}, True),
        ({"CD1_1": 0.0, "CDELT1": -1e-4}, True),
        ({"CTYPE1": "PIXEL", "CTYPE2": "PIXEL"}, False),
        ({"CTYPE1": "GLON-CAR"}, False),
        ({"CRVAL1": "unknown"}, False),
        ({"CD1_1": 0.0}, False),
        ({"CRPIX1": None}, False),
    ],
)
def test_a_wcs_says_where_on_the_sky_the_image_lies(changes: dict[str, Any], has: bool) -> None:
    assert has_celestial_wcs({**WCS, **changes}) is has


def test_an_exposure_is_plain_data() -> None:
    assert dataclasses.asdict(Exposure("a.fits", "1"))["read_as"] == ""
