"""Whatever is wrong with a file is an alert that names the file and says what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from runstart.errors import Alert
from runstart.images import stack_files

IMAGE = np.random.default_rng(0).normal(100, 5, (40, 50)).astype(np.float32)


def image_bytes() -> bytes:
    header = fits.PrimaryHDU(IMAGE).header.tostring().encode()
    return header + IMAGE.astype(">f4").tobytes()


def packed(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(IMAGE, name="SCI")]).writeto(path)


def missing(path: Path) -> None: ...


def empty(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("SIMPLE things\n" * 500)


def picture(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(image_bytes()))


def cut_data(path: Path) -> None:
    path.write_bytes(image_bytes()[:-1])


def cut_header(path: Path) -> None:
    path.write_bytes(image_bytes()[:1000])


def endless_header(path: Path) -> None:
    path.write_bytes(image_bytes()[:80] + b"COMMENT".ljust(80) * 1000)


def cut_packed(path: Path) -> None:
    packed(path)
    path.write_bytes(path.read_bytes()[:-4000])


def damaged_packed(path: Path) -> None:
    packed(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"END     ", 2880) // 2880 * 2880 + 2880
    data[start : start + 320] = b"\xff" * 320
    path.write_bytes(bytes(data))


def no_image(path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "D", array=np.arange(3.0))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def cube(path: Path) -> None:
    fits.PrimaryHDU(np.zeros((2, 4, 5), "f4")).writeto(path)


def science_cube(path: Path) -> None:
    hdus = [fits.PrimaryHDU(IMAGE), fits.ImageHDU(np.zeros((2, 4, 5), "f4"), name="SCI")]
    fits.HDUList(hdus).writeto(path)


def packed_cube(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((2, 4, 5), "i2"))]).writeto(path)


def empty_science(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(IMAGE), fits.ImageHDU(name="SCI")]).writeto(path)


def science_table(path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "D", array=np.arange(3.0))], name="SCI")
    fits.HDUList([fits.PrimaryHDU(IMAGE), table]).writeto(path)


def spectrum(path: Path) -> None:
    fits.PrimaryHDU(np.zeros(5, "f4")).writeto(path)


def edited(old: bytes, new: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        data = image_bytes()
        assert data.count(old) == 1
        path.write_bytes(data.replace(old, new.ljust(len(old))))

    return make


@pytest.mark.parametrize(
    ("make", "what", "remedy"),
    [
        (missing, "There is no file", "fetch"),
        (empty, "is empty: 0 bytes", "again"),
        (folder, "cannot be read", "Give a FITS file"),
        (text, "not a FITS file", "Give a FITS file"),
        (picture, "not a FITS file", "Give a FITS file"),
        (gzipped, "packed with gzip", "gunzip"),
        (cut_data, "truncated", "again"),
        (cut_header, "truncated", "again"),
        (endless_header, "no end", "again"),
        (cut_packed, "truncated", "again"),
        (damaged_packed, "cannot be read", "again"),
        (no_image, "no image", "with an image"),
        (cube, "HDU 0 (PRIMARY) of FITS file", "one image"),
        (cube, "3 dimensions (2 x 4 x 5)", "one image"),
        (science_cube, "3 dimensions", "one image"),
        (empty_science, "HDU 1 (SCI) of FITS file", "with pixels"),
        (science_table, "the file has PRIMARY (image), SCI (table)", "with pixels"),
        (packed_cube, "3 dimensions", "one image"),
        (spectrum, "1 dimensions", "one image"),
        (
            edited(b"BITPIX  =                  -32", b"BITPIX  =                  -33"),
            "malformed: BITPIX = -33",
            "anew",
        ),
        (
            edited(b"NAXIS1  =                   50", b"NAXIS1  =                  -50"),
            "malformed: NAXIS1 is -50",
            "anew",
        ),
        (edited(b"NAXIS1  =                   50", b"NAXIS1  =              5000000"), "truncated", "again"),
        (edited(b"NAXIS1  =                   50", b"NAXIS1  =  5000000000000000000"), "truncated", "again"),
        (
            edited(b"NAXIS1  =                   50", b"NAXIS1  = 'fifty'"),
            "malformed: NAXIS1 is \"'fifty'\"",
            "anew",
        ),
        (
            edited(b"NAXIS   =                    2", b"NAXIS   =                    9"),
            "malformed: NAXIS9 is missing",
            "anew",
        ),
        (
            edited(b"EXTEND  =                    T", b"BZERO   =                1E999"),
            "malformed: BZERO is '1E999'",
            "anew",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_bad_file_is_an_alert_that_names_it(
    tmp_path: Path, make: Callable[[Path], None], what: str, remedy: str
) -> None:
    good, bad = tmp_path / "good.fits", tmp_path / "schlecht-äöü.fits"
    fits.PrimaryHDU(IMAGE).writeto(good)
    make(bad)

    with pytest.raises(Alert) as caught:
        stack_files([good, bad, good])

    assert str(bad) in caught.value.what
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_bytes_that_only_pad_the_last_block_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "unpadded.fits"
    path.write_bytes(image_bytes())

    np.testing.assert_array_equal(stack_files([path]), IMAGE)


def test_file_that_ends_behind_its_image_is_good_enough(tmp_path: Path) -> None:
    path = tmp_path / "cut-catalogue.fits"
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(IMAGE, name="SCI"), fits.ImageHDU(np.zeros((99, 99)), name="CAT")]
    fits.HDUList(hdus).writeto(path)
    path.write_bytes(path.read_bytes()[:-20_000])

    np.testing.assert_array_equal(stack_files([path]), IMAGE)


def test_file_that_shrinks_while_it_is_read_is_an_alert(tmp_path: Path) -> None:
    path = tmp_path / "shrinking.fits"
    fits.PrimaryHDU(np.zeros((600, 1000), "f4")).writeto(path)

    def shrink(_: float) -> None:
        with path.open("r+b") as file:
            file.truncate(5000)

    with pytest.raises(Alert, match=r"shrinking.fits is truncated or damaged: it has become shorter"):
        stack_files([path], memory_limit=6 * 2**20, threads=1, on_progress=shrink)


def test_nothing_to_stack_is_an_alert() -> None:
    with pytest.raises(Alert, match="no file to stack"):
        stack_files([])


def test_unknown_method_is_an_alert_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"'mode'.*median, mean, sum, sigma_clipped_mean"):
        stack_files([tmp_path / "a.fits"], "mode")


def test_memory_limit_that_takes_no_row_is_an_alert_that_says_what_does(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(IMAGE).writeto(path)
    with pytest.raises(Alert, match="memory_limit is 1000 bytes, too small") as caught:
        stack_files([path] * 3, memory_limit=1000)

    enough = int(caught.value.remedy.split()[3])
    np.testing.assert_array_equal(stack_files([path] * 3, memory_limit=enough), IMAGE)


def test_clipping_out_of_range_is_an_alert_before_any_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="sigma is -1"):
        stack_files([tmp_path / "missing.fits"], "sigma_clipped_mean", sigma=-1)


def test_one_path_instead_of_a_list_is_a_type_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="sequence of paths"):
        stack_files(str(tmp_path / "a.fits"))
