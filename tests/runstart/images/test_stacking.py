"""Stacks of files are those of the whole stack in memory, whatever the memory limit and the kind of file."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.fits import read_header, read_image
from runstart.images import mean, median, nansum, sigma_clipped_mean, stack_files
from runstart.images._bands import plan_bands
from runstart.images._fits_layout import find_layout

METHODS = {"median": median, "mean": mean, "sum": nansum, "sigma_clipped_mean": sigma_clipped_mean}
SHAPE = (37, 53)


def make_images(n: int, dtype: str, shape: tuple[int, int] = SHAPE) -> list[NDArray[Any]]:
    rng = np.random.default_rng(n)
    images = []
    for _ in range(n):
        image = rng.normal(1000, 20, shape)
        image[rng.random(shape) < 0.02] += 900
        if np.dtype(dtype).kind == "f":
            image[rng.random(shape) < 0.02] = np.nan
        else:
            image = np.clip(image, np.iinfo(dtype).min, np.iinfo(dtype).max)
        images.append(image.astype(dtype))
    return images


def write(folder: Path, images: list[NDArray[Any]], hdu: Any = fits.PrimaryHDU, **keywords: Any) -> list[Path]:
    paths = [folder / f"image-{k:03d}.fits" for k in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        primary = [] if hdu is fits.PrimaryHDU else [fits.PrimaryHDU()]
        fits.HDUList([*primary, hdu(image, **keywords)]).writeto(path)
    return paths


def smallest_limit(paths: list[Path], method: str) -> int:
    with pytest.raises(Alert, match="too small") as caught:
        stack_files(paths, method, 1)
    return int(caught.value.remedy.split()[3])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "u2", "i2", "i4", "u1", "i1", "u4", "i8"])
def test_stack_of_files_is_that_of_the_stack_in_memory(tmp_path: Path, method: str, dtype: str) -> None:
    images = make_images(9, dtype)
    paths = write(tmp_path, images)
    expected = METHODS[method](np.stack(images))

    result = stack_files(paths, method)

    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("method", METHODS)
def test_memory_limit_does_not_change_the_result(tmp_path: Path, method: str) -> None:
    paths = write(tmp_path, make_images(9, "f4"))
    expected = stack_files(paths, method)
    least = smallest_limit(paths, method)

    for limit in (least, least + 5_000, 3 * least):
        np.testing.assert_array_equal(stack_files(paths, method, limit), expected)
        np.testing.assert_array_equal(stack_files(paths, method, limit, threads=1), expected)


def test_clipping_takes_its_parameters(tmp_path: Path) -> None:
    images = make_images(9, "f4")
    paths = write(tmp_path, images)

    result = stack_files(paths, "sigma_clipped_mean", sigma=1.5, max_iterations=2)

    np.testing.assert_array_equal(result, sigma_clipped_mean(np.stack(images), 1.5, 2))


@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("tile_shape", [(1, 53), (10, 53), (7, 20), SHAPE])
@pytest.mark.parametrize("dtype", ["f4", "u2", "i4"])
def test_fpacked_files_are_read_as_astropy_reads_them(
    tmp_path: Path, compression: str, tile_shape: tuple[int, int], dtype: str
) -> None:
    hdu = fits.CompImageHDU
    keywords: dict[str, Any] = {"compression_type": compression, "tile_shape": tile_shape, "name": "SCI"}
    paths = write(tmp_path, make_images(4, dtype), hdu, **keywords)
    stack = np.stack([fits.getdata(path, "SCI") for path in paths])

    np.testing.assert_array_equal(stack_files(paths), median(stack))
    least = smallest_limit(paths, "median")
    np.testing.assert_array_equal(stack_files(paths, memory_limit=least), median(stack))


def test_plain_and_fpacked_files_of_different_dtypes_and_shapes_are_cropped_from_the_origin(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 60000, shape).astype(dtype) for shape, dtype in [
        ((40, 60), "u2"), ((37, 70), "f4"), ((50, 53), "i4"), ((38, 54), "f8"), ((39, 55), "u2"),
    ]]  # fmt: skip
    paths = [tmp_path / f"{k}.fits" for k in range(5)]
    for path, image in zip(paths[:4], images, strict=False):
        fits.PrimaryHDU(image).writeto(path)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(images[4])]).writeto(paths[4])

    result = stack_files(paths)

    assert result.shape == SHAPE
    np.testing.assert_array_equal(result, np.median([image[:37, :53] for image in images], axis=0))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize(("scale", "zero"), [(0.25, 0.0), (1.0, 100.0), (0.1, 32768.0)])
def test_scaled_values_are_those_of_astropy(tmp_path: Path, dtype: str, scale: float, zero: float) -> None:
    hdu = fits.PrimaryHDU(make_images(1, dtype)[0])
    hdu.header["BSCALE"], hdu.header["BZERO"] = scale, zero
    path = tmp_path / "scaled.fits"
    # The keywords are written, not applied.
    path.write_bytes(hdu.header.tostring().encode() + _padded(hdu.data.astype(hdu.data.dtype.newbyteorder(">"))))
    expected = fits.getdata(path)

    result = stack_files([path])

    assert result.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("zero", [0.0, 32768.0])
@pytest.mark.parametrize("is_packed", [False, True])
def test_blank_integers_are_nan(tmp_path: Path, zero: float, is_packed: bool) -> None:
    stored = np.array([[1, -7, 3], [4, 5, -7]], np.int16)
    path = tmp_path / "blank.fits"
    if is_packed:
        hdu = fits.CompImageHDU(stored)
        hdu.header["BLANK"] = -7
        hdu.header["BZERO"] = zero
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hdu.writeto(path)
    else:
        header = fits.PrimaryHDU(stored).header
        header["BZERO"], header["BLANK"] = zero, -7
        path.write_bytes(header.tostring().encode() + _padded(stored.astype(">i2")))

    result = stack_files([path, path], "mean")

    np.testing.assert_array_equal(result, np.array([[1, np.nan, 3], [4, 5, np.nan]]) + zero)


def test_science_image_is_preferred_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "several.fits"
    hdus = [fits.PrimaryHDU(np.zeros((5, 5), "f4")), fits.ImageHDU(np.ones((3, 4), "f4"), name="sci")]
    fits.HDUList([*hdus, fits.ImageHDU(np.zeros((5, 5)), name="BPM")]).writeto(path)

    assert stack_files([path]).tolist() == np.ones((3, 4)).tolist()


@pytest.mark.parametrize("name", [b"'sci     '", b"'Sci'     ", b"'SCI     '", b"'SC      '"])
def test_pixels_and_header_come_from_the_same_hdu_however_its_name_is_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "several.fits"
    hdus = [fits.PrimaryHDU(np.zeros((3, 4), "f4")), fits.ImageHDU(np.ones((3, 4), "f4"), name="SCI")]
    hdus[0].header["WHICH"], hdus[1].header["WHICH"] = 0, 1
    fits.HDUList(hdus).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"'SCI     '", name.ljust(10)))

    expected = int(b"I" in name.upper())

    assert read_header(path)["WHICH"] == expected
    assert (stack_files([path]) == expected).all()
    np.testing.assert_array_equal(stack_files([path]), read_image(path).data)


def test_first_image_of_two_dimensions_is_taken_without_a_science_image(tmp_path: Path) -> None:
    path = tmp_path / "several.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("x", "D", array=np.arange(3.0))])
    cube = fits.ImageHDU(np.zeros((2, 5, 5)))
    image = fits.CompImageHDU(np.full((6, 7), 2, "i2"), name="FIRST")
    fits.HDUList([fits.PrimaryHDU(), table, cube, image, fits.ImageHDU(np.zeros((5, 5)))]).writeto(path)

    assert find_layout(path).hdu == 3
    assert stack_files([path]).tolist() == np.full((6, 7), 2).tolist()


def test_files_of_nan_give_nan_but_zero_in_a_sum(tmp_path: Path) -> None:
    paths = write(tmp_path, [np.full(SHAPE, np.nan, np.float32)] * 3)

    for method in METHODS:
        result = stack_files(paths, method)
        assert (result == 0).all() if method == "sum" else np.isnan(result).all()


def test_order_of_files_does_not_matter_to_a_median(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(8, "f4"))

    assert stack_files(paths).tobytes() == stack_files(paths[::-1]).tobytes()


_WITH_FEW_FILES = """
import resource, sys
import numpy
from runstart.images import stack_files
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
numpy.save(sys.argv[1], stack_files(sys.argv[2:]))
"""


@pytest.mark.parametrize("is_packed", [False, True])
def test_more_files_than_may_be_open(tmp_path: Path, is_packed: bool) -> None:
    images = make_images(70, "i2", (3, 64))
    paths = write(tmp_path, images, fits.CompImageHDU if is_packed else fits.PrimaryHDU)
    output = tmp_path / "result.npy"
    # In a process of its own: this one holds the files of all tests before.
    subprocess.run([sys.executable, "-c", _WITH_FEW_FILES, output, *paths], check=True)

    np.testing.assert_array_equal(np.load(output), np.median(images, axis=0))


def test_as_many_files_as_an_operation_takes(tmp_path: Path) -> None:
    path = write(tmp_path, make_images(1, "u2"))[0]

    np.testing.assert_array_equal(stack_files([path] * 999), fits.getdata(path))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_memory_stays_under_the_limit_and_does_not_grow_with_the_files(
    tmp_path: Path, method: str, dtype: str
) -> None:
    paths = write(tmp_path, make_images(2, dtype, (600, 1000)))
    limit = 24 * 2**20
    stack_files(paths, method)
    peaks = []
    for n in (20, 80):
        tracemalloc.start()
        stack_files(paths * (n // 2), method, limit)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert max(peaks) < limit
    assert max(peaks) < 1.1 * min(peaks)


def test_memory_stays_under_the_limit_with_fpacked_files(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(2, "f4", (600, 1000)), fits.CompImageHDU)
    limit = 16 * 2**20
    stack_files(paths)

    tracemalloc.start()
    stack_files(paths * 4, "median", limit)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < limit


def test_plan_never_needs_more_than_the_limit() -> None:
    for n in (1, 20, 999):
        for limit in (40_000_000, 10**8, 10**9):
            plan = plan_bands(2048, 8192, n, 2048 * 8192, lambda rows: rows * 8192 + 2**20, limit, 2)

            assert plan.bytes_needed <= limit
            assert plan.bands[0][0] == 0
            assert plan.bands[-1][1] == 2048
            assert all(a[1] == b[0] for a, b in zip(plan.bands[:-1], plan.bands[1:], strict=True))


def test_progress_rises_to_one(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(3, "f4", (600, 1000)))
    fractions: list[float] = []

    stack_files(paths, memory_limit=8 * 2**20, on_progress=fractions.append)

    assert len(fractions) > 1
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_what_progress_raises_ends_the_stacking(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(3, "f4", (600, 1000)))

    def stop(_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        stack_files(paths, memory_limit=8 * 2**20, on_progress=stop)


def _padded(values: NDArray[Any]) -> bytes:
    data = values.tobytes()
    return data + bytes(-len(data) % 2880)
