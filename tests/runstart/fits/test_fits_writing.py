"""Written images: the same pixels again, checksums that hold, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runstart.errors import Alert
from runstart.fits import is_whole, read_image, read_table, write_image

KEY = "0123456789abcdef" * 4
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">f4", ">i2", "<u2"]


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))
    )
)
@settings(max_examples=40, deadline=None)
def test_what_is_read_is_what_was_written_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, data: np.ndarray
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.fits"
    write_image(path, data)
    again = read_image(path).data
    native = data.astype(data.dtype.newbyteorder("="))
    assert again.dtype == native.dtype
    assert again.tobytes() == native.tobytes()


@given(hnp.arrays(np.uint32, (3, 5)).map(lambda bits: bits.view(np.float32)))
@settings(max_examples=30, deadline=None)
def test_every_bit_pattern_of_floating_point_survives(
    tmp_path_factory: pytest.TempPathFactory, data: np.ndarray
) -> None:
    path = tmp_path_factory.getbasetemp() / "patterns.fits"
    write_image(path, data)
    assert read_image(path).data.tobytes() == data.tobytes()


def a_file(path: Path, **options: object) -> Path:
    data = np.random.default_rng(2).normal(100, 5, (20, 30)).astype(np.float32)
    table = np.array([(1, 2.5, "ab")], [("n", "i4"), ("x", "f8"), ("s", "U4")])
    arguments = {
        "key": KEY,
        "history": ["median of 3 images", "x" * 200, "é\nnew line"],
        "uncertainty": np.sqrt(data, dtype=np.float64),
        "mask": data > 105,
        "table": table,
    }
    write_image(path, data, {"FILTER": "rp", "EXPTIME": 30.0}, **(arguments | options))
    return path


def test_the_hdus_are_those_of_the_layout(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.fits")
    with fits.open(path, checksum=True) as file:
        file.verify("exception")
        assert [hdu.name for hdu in file] == ["PRIMARY", "SCI", "ERR", "BPM", "CAT"]
        assert all(isinstance(hdu, fits.CompImageHDU) for hdu in file[1:4])
        assert file[0].header["RSTRTKEY"] == KEY
        assert "Runstart" in file[0].header["CREATOR"]
        assert "cache key" in str(file[0].header["COMMENT"])
        assert file["SCI"].header["FILTER"] == "rp"
        assert "".join(file["SCI"].header["HISTORY"]) == "median of 3 images" + "x" * 200 + "?" + "new line"
        assert [hdu.data is None for hdu in file] == [True, False, False, False, False]
    image = read_image(path)
    assert (image.uncertainty.dtype, image.mask.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(image.mask, image.data > 105)
    assert read_table(path).tolist() == [(1, 2.5, "ab")]


def test_every_hdu_has_checksums_that_hold_as_it_is_stored(tmp_path: Path) -> None:
    with fits.open(a_file(tmp_path / "a.fits"), disable_image_compression=True) as file:
        for hdu in file:
            assert "CHECKSUM" in hdu.header
            assert hdu.verify_checksum() == 1
            assert hdu.verify_datasum() == 1
        methods = [hdu.header.get("ZCMPTYPE") for hdu in file]
        assert methods == [None, "GZIP_2", "GZIP_2", "RICE_1", None]
        assert "ZQUANTIZ" not in file[1].header or file[1].header["ZQUANTIZ"] == "NONE"


def test_a_damaged_file_is_told_by_its_checksum(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.fits")
    content = bytearray(path.read_bytes())
    with fits.open(path, disable_image_compression=True) as file:
        content[file[1].fileinfo()["datLoc"] + 1000] ^= 1
    path.write_bytes(content)
    with fits.open(path, disable_image_compression=True) as file:
        assert [hdu.verify_checksum() for hdu in file] == [1, 0, 1, 1, 1]
        assert [hdu.verify_datasum() for hdu in file] == [1, 0, 1, 1, 1]


def test_the_same_content_gives_the_same_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = a_file(tmp_path / "a.fits").read_bytes()
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert a_file(tmp_path / "b.fits").read_bytes() == first


def test_the_header_of_another_file_leaves_its_storage_behind(tmp_path: Path, frame: Path) -> None:
    packed = a_file(tmp_path / "a.fits")
    with fits.open(packed, disable_image_compression=True) as file:
        raw = file["SCI"].header
    raw["BLANK"], raw["DATAMAX"], raw["OBJECT"] = 5, 1e9, "M31"
    write_image(tmp_path / "b.fits", np.zeros((4, 5), np.int16), raw, name="DIFF")
    with fits.open(tmp_path / "b.fits", checksum=True) as file:
        file.verify("exception")
        header = file[1].header
        assert (header["OBJECT"], header["NAXIS1"], header["BITPIX"], header["EXTNAME"]) == ("M31", 5, 16, "DIFF")
        assert not {"BLANK", "DATAMAX", "TFORM1", "ZBITPIX", "BZERO", "THEAP"} & set(header)
    image = read_image(frame)
    write_image(tmp_path / "c.fits", image.data, image.header)
    assert read_image(tmp_path / "c.fits").header["FILTER"] == "rp"


def test_a_wcs_and_long_comments_and_hierarch_cards_survive_without_warnings(tmp_path: Path) -> None:
    header = fits.Header()
    header["CRVAL1"] = (10.123456789012345, "x" * 47)
    header["HIERARCH ESO TEL AIRM START"] = 1.25
    header["LONGTEXT"] = "y" * 300
    header["COMMENT"] = "as it was"
    write_image(tmp_path / "a.fits", np.zeros((4, 5)), header)
    again = read_image(tmp_path / "a.fits").header
    assert [again[key] for key in ("CRVAL1", "ESO TEL AIRM START", "LONGTEXT")] == [
        10.123456789012345,
        1.25,
        "y" * 300,
    ]


@pytest.mark.parametrize("largest", [1, 255, 256, 65535])
def test_masks_are_as_small_as_their_values_allow(tmp_path: Path, largest: int) -> None:
    mask = np.array([[0, largest]], np.int64)
    write_image(tmp_path / "a.fits", np.zeros((1, 2), np.float32), mask=mask)
    again = read_image(tmp_path / "a.fits").mask
    assert again.tolist() == mask.tolist()
    assert again.dtype == (np.uint8 if largest < 256 else np.uint16)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (np.zeros(3), {}),
        (np.zeros((2, 3, 4)), {}),
        (np.zeros((0, 4)), {}),
        (np.zeros((2, 3), complex), {}),
        (np.zeros((2, 3), object), {}),
        (np.zeros((2, 3), np.longdouble), {}),
        (np.zeros((2, 3)), {"key": "short"}),
        (np.zeros((2, 3)), {"uncertainty": np.zeros((3, 2))}),
        (np.zeros((2, 3)), {"mask": np.zeros((2, 3))}),
        (np.zeros((2, 3)), {"mask": np.full((2, 3), -1)}),
        (np.zeros((2, 3)), {"mask": np.full((2, 3), 65536)}),
        (np.zeros((2, 3)), {"table": np.zeros(3)}),
    ],
)
def test_what_is_no_image_is_refused_and_nothing_is_written(
    tmp_path: Path, data: np.ndarray, options: dict
) -> None:
    with pytest.raises(ValueError, match=r"image|key|mask|uncertainty|table"):
        write_image(tmp_path / "a.fits", data, **options)
    assert list(tmp_path.iterdir()) == []


def test_half_precision_and_bool_are_widened(tmp_path: Path) -> None:
    write_image(tmp_path / "a.fits", np.array([[0.5, np.nan]], np.float16))
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits").data, np.array([[0.5, np.nan]], np.float32))
    write_image(tmp_path / "a.fits", np.array([[True, False]]))
    assert read_image(tmp_path / "a.fits").data.dtype == np.uint8


def test_a_folder_that_is_not_there_is_an_alert(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"a\.fits cannot be written"):
        write_image(tmp_path / "none" / "a.fits", np.zeros((2, 2)))


@pytest.mark.faults
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.fits")
    before = path.read_bytes()
    code = (
        "import resource, signal, sys; import numpy as np; from runstart.fits import write_image\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "write_image(sys.argv[1], np.random.default_rng(1).normal(size=(200, 200)))\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert "File too large" in done.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.fits"]
    assert is_whole(path)
