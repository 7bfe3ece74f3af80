"""Reading FITS files as observatories write them, and as nobody should."""

from __future__ import annotations

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from runstart.errors import Alert
from runstart.fits import filter_of, read_header, read_image, read_table, write_image


def write(path: Path, *hdus: object) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList(list(hdus)).writeto(path, output_verify="ignore")
    return path


def test_importing_the_package_does_not_import_astropy() -> None:
    code = "import sys, runstart.fits; sys.exit(' '.join({'astropy', 'requests', 'boto3'} & set(sys.modules)) or 0)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_a_frame_is_read_with_its_planes(frame: Path) -> None:
    image = read_image(frame)
    with fits.open(frame) as file:
        np.testing.assert_array_equal(image.data, file["SCI"].data)
        np.testing.assert_array_equal(image.uncertainty, file["ERR"].data)
        np.testing.assert_array_equal(image.mask, file["BPM"].data)
    assert image.data.dtype == np.dtype("=f4")
    assert image.mask.dtype == np.uint8
    assert image.hdu_name == "SCI"
    assert image.header["FILTER"] == "rp"


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_pixels_come_in_their_own_type_and_native_order(tmp_path: Path, dtype: str, packed: bool) -> None:
    data = np.arange(12, dtype=dtype).reshape(3, 4)
    options = {"compression_type": "GZIP_2", "quantize_level": 0.0}
    hdu = fits.CompImageHDU(data, **options) if packed else fits.PrimaryHDU(data)
    path = write(tmp_path / "a.fits", *([fits.PrimaryHDU()] if packed else []), hdu)
    image = read_image(path)
    assert image.data.dtype == np.dtype(dtype).newbyteorder("=")
    assert image.data.flags.c_contiguous
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4"])
@pytest.mark.parametrize("packed", [False, True])
def test_blank_pixels_become_nan(tmp_path: Path, dtype: str, packed: bool) -> None:
    data = np.arange(12, dtype=dtype).reshape(3, 4)
    zero = {"u2": 2**15, "u4": 2**31}.get(dtype, 0)
    hdu = fits.CompImageHDU(data, compression_type="RICE_1") if packed else fits.ImageHDU(data)
    hdu.header["BLANK"] = 5 - zero
    image = read_image(write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu))
    assert image.data.dtype.kind == "f"
    assert np.isnan(image.data).nonzero() == ([1], [1])
    np.testing.assert_array_equal(image.data[np.isfinite(image.data)], np.delete(data.ravel(), 5))


def test_scaled_integers_become_floating_point(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.arange(12, dtype=np.int16).reshape(3, 4))
    write(tmp_path / "a.fits", hdu)
    content = (tmp_path / "a.fits").read_bytes()
    scaled = content.replace(b"END" + b" " * 77, b"BSCALE  = 0.5".ljust(80) + b"END" + b" " * 77, 1)[:-80]
    (tmp_path / "a.fits").write_bytes(scaled[:2880] + content[2880:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits").data, np.arange(12).reshape(3, 4) / 2)


def test_sci_comes_before_an_earlier_image_whatever_its_case(tmp_path: Path) -> None:
    first, second = np.zeros((3, 4), np.int16), np.ones((5, 6), np.float32)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(first), fits.ImageHDU(second, name="sci"))
    assert read_image(path).data.shape == (5, 6)
    assert read_image(path, "primary").data.shape == (3, 4)
    assert read_image(path, "Sci").hdu_name == "SCI"


def test_without_sci_the_first_image_of_two_dimensions_is_taken(tmp_path: Path) -> None:
    cube, flat = np.zeros((2, 3, 4), np.int16), np.ones((5, 6), np.float32)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(cube), fits.ImageHDU(flat), fits.ImageHDU(flat * 2))
    np.testing.assert_array_equal(read_image(path).data, flat)


def test_planes_of_other_names_and_types_are_taken(tmp_path: Path) -> None:
    data = np.ones((3, 4), np.float32)
    planes = fits.ImageHDU(data * 2, name="MASK"), fits.ImageHDU(data.astype(np.int16), name="UNCERT")
    image = read_image(write(tmp_path / "a.fits", fits.PrimaryHDU(data), *planes))
    assert (image.mask == 2).all()
    assert image.mask.dtype == np.int32
    assert image.uncertainty.dtype == np.float32
    assert read_image(tmp_path / "a.fits", "MASK").mask is None


@pytest.mark.parametrize(
    ("plane", "match"),
    [
        (fits.ImageHDU(np.ones((3, 5), np.uint8), name="BPM"), r"BPM of FITS file a.fits has shape \(3, 5\)"),
        (fits.ImageHDU(np.full((3, 4), 0.5), name="DQ"), "is not made of integers"),
        (fits.ImageHDU(np.full((3, 4), np.nan), name="DQ"), "is not made of integers"),
    ],
)
def test_a_plane_that_does_not_fit_is_an_alert(tmp_path: Path, plane: object, match: str) -> None:
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(np.ones((3, 4), np.float32)), plane)
    with pytest.raises(Alert, match=match):
        read_image(path)


@pytest.mark.parametrize(
    ("hdus", "name", "match"),
    [
        ([fits.PrimaryHDU()], None, "holds no image"),
        (
            [fits.PrimaryHDU(), fits.BinTableHDU(np.zeros(2, [("a", "i4")]), name="CAT")],
            None,
            "holds no image; it has PRIMARY",
        ),
        ([fits.PrimaryHDU(np.zeros((2, 3, 4)))], None, r"has 3 dimensions \(2 x 3 x 4\)"),
        ([fits.PrimaryHDU(np.zeros(4))], None, "has 1 dimensions"),
        (
            [fits.PrimaryHDU(), fits.ImageHDU(name="SCI"), fits.ImageHDU(np.zeros((2, 2)))],
            None,
            "SCI.* holds no image",
        ),
        (
            [fits.PrimaryHDU(np.zeros((2, 2)))],
            "SCI",
            r"SCI header not found in FITS file night\.fits; it has PRIMARY",
        ),
        ([fits.PrimaryHDU(), fits.BinTableHDU(np.zeros(2, [("a", "i4")]), name="CAT")], "CAT", "holds no image"),
    ],
)
def test_a_file_without_the_image_is_an_alert_that_names_file_and_hdus(
    tmp_path: Path, hdus: list[object], name: str | None, match: str
) -> None:
    path = write(tmp_path / "a.fits", *hdus)
    with pytest.raises(Alert, match=match) as caught:
        read_image(path, name, label="night.fits")
    assert "night.fits" in str(caught.value)
    assert caught.value.remedy


def test_an_image_without_a_finite_pixel_is_an_alert_if_one_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(np.full((3, 4), np.nan)))
    assert np.isnan(read_image(path).data).all()
    with pytest.raises(Alert, match=r"a\.fits has no finite pixel"):
        read_image(path, finite=True)


def test_a_truncated_file_is_an_alert(frame: Path) -> None:
    frame.write_bytes(frame.read_bytes()[:-3000])
    for read in (read_image, read_header, read_table):
        with pytest.raises(Alert, match=r"frame\.fits is truncated"):
            read(frame)
    with pytest.raises(Alert, match="There is no file"):
        read_image(frame.with_name("none.fits"))


def test_damaged_tiles_are_an_alert(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 1000, (30, 40)).astype(np.float32)
    hdu = fits.CompImageHDU(data, compression_type="GZIP_2", quantize_level=0.0)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)
    content = bytearray(path.read_bytes())
    content[-3500:-3000] = b"\xff" * 500
    path.write_bytes(content)
    with pytest.raises(Alert, match=r"a\.fits cannot be read"):
        read_image(path)


def _with_card(frame: Path, card: bytes) -> None:
    content = bytearray(frame.read_bytes())
    at = content.index(b"FILTER  =")
    content[at : at + 80] = card.ljust(80)
    frame.write_bytes(content)


@pytest.mark.parametrize(
    "card",
    [b"filter  = 'rp'", b"DATE-OBS=  2026", b"BLANK   = 5", b"OBJECT  = 'M\xe9ssier'", b"EXPTIME =30.0", b"A" * 80],
)
@pytest.mark.filterwarnings("error")
def test_odd_headers_that_astropy_mends_are_read_quietly(frame: Path, card: bytes) -> None:
    _with_card(frame, card)
    image = read_image(frame)
    assert np.isnan(image.data).sum() == 1
    str(image.header)


def test_a_header_that_cannot_be_mended_is_an_alert(frame: Path) -> None:
    _with_card(frame, b"ob ject = 3")
    with pytest.raises(Alert, match=r"A header of FITS file night\.fits is wrong"):
        read_image(frame, label="night.fits")


def test_cards_of_the_primary_hdu_are_inherited_if_the_image_says_so(tmp_path: Path) -> None:
    primary = fits.PrimaryHDU()
    primary.header["FILTER"], primary.header["OBJECT"] = "gp", "M31"
    image = fits.ImageHDU(np.zeros((2, 2)), name="SCI")
    image.header["OBJECT"] = "M32"
    path = write(tmp_path / "a.fits", primary, image)
    assert filter_of(read_header(path)) == ""
    image.header["INHERIT"] = True
    path = write(tmp_path / "b.fits", primary, image)
    header = read_header(path)
    assert (filter_of(header), header["OBJECT"], header["NAXIS"]) == ("gp", "M32", 2)


def test_a_table_is_a_structured_array(frame: Path) -> None:
    table = read_table(frame, "cat")
    assert table.dtype.names == ("id", "x", "kind")
    assert table["id"].tolist() == [1, 2]
    assert table["kind"].tolist() == ["star", "galaxy"]
    assert all(table.dtype[name].isnative for name in table.dtype.names)
    with pytest.raises(
        Alert, match=r"STARS header not found in FITS file frame\.fits; it has PRIMARY .*CAT \(table\)"
    ):
        read_table(frame, "stars")
    with pytest.raises(Alert, match=r"SCI of FITS file frame\.fits is no table"):
        read_table(frame, "SCI")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"FILTER": "rp "}, "rp"),
        ({"FILTER1": "air", "FILTER2": "V", "FILTER3": "clear"}, "V"),
        ({"FILTER1": "B", "FILTER2": "ND"}, "B+ND"),
        ({"FILTER": "air", "FILTER1": "V"}, "V"),
        ({"FILTNAM": "U"}, "U"),
        ({"FILTER": 3}, ""),
        ({}, ""),
    ],
)
def test_the_filter_is_found_under_the_usual_keywords(header: dict[str, object], name: str) -> None:
    assert filter_of(header) == name
    assert filter_of(fits.Header(header)) == name


def test_threads_may_read_at_once(frame: Path) -> None:
    filters = list(warnings.filters)
    _with_card(frame, b"filter  = 'rp'")
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(read_image, [frame] * 24))
    assert all(np.array_equal(image.data, images[0].data, equal_nan=True) for image in images)
    assert warnings.filters == filters


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_no_damage_raises_anything_but_an_alert(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(7)
    path = tmp_path / "a.fits"
    write_image(
        path, rng.integers(0, 60000, (10, 12)).astype(dtype), {"FILTER": "rp"}, mask=np.ones((10, 12), bool)
    )
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        at, size = rng.integers(0, len(whole) - 40), int(rng.integers(1, 40))
        damaged[at : at + size] = rng.bytes(size)
        path.write_bytes(damaged)
        told = ""
        try:
            read_image(path)
        except Alert as alert:
            told = str(alert)
        assert told.isprintable()
        assert told.isascii()
