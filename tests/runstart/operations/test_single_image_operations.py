"""Operations that make one output of each input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from data_operation_kit import Bench, sky_header
from star_fields import star_field

from runstart.errors import Alert
from runstart.images import MaskBit

SHAPE = (40, 50)


def _image(seed: int = 1, dtype: str = "f4", shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 30, shape).astype(dtype)


def test_brightness_is_added_to_every_pixel(bench: Bench) -> None:
    image = _image(dtype="u2")
    image[0, 0] = 65_000
    made = bench.run_one("Increase Brightness", input_files=[bench.put("a.fits", image)], brightness=1000.5)
    np.testing.assert_array_equal(made.data, image + 1000.5)


def test_a_difference_of_unsigned_integers_does_not_wrap(bench: Bench) -> None:
    one, other = np.full(SHAPE, 10, "u2"), np.full(SHAPE, 65_000, "u2")
    made = bench.run_one(
        "Subtraction", input_files=[bench.put("a.fits", one)], subtraction_file=[bench.put("b.fits", other)]
    )
    assert made.data.dtype.kind == "f"
    assert (made.data == -64_990).all()
    assert made.output.label == "a.fits - b.fits"


def test_each_pair_of_a_subtraction_is_cropped_to_what_both_have(bench: Bench) -> None:
    images = [_image(1, shape=(30, 60)), _image(2, shape=(50, 40))]
    references = [bench.put(f"{k}.fits", image, {"OBJECT": f"M{k}"}) for k, image in enumerate(images)]
    other = _image(3)
    made = bench.run("Subtraction", input_files=references, subtraction_file=[bench.put("o.fits", other)])
    np.testing.assert_array_equal(made[0].data, images[0][:, :50] - other[:30])
    np.testing.assert_array_equal(made[1].data, images[1][:40] - other[:, :40])
    assert [one.header["OBJECT"] for one in made] == ["M0", "M1"]
    assert [one.output.basename[64:] for one in made] == ["-1", "-2"]


def test_uncertainties_add_in_quadrature_and_masks_join(bench: Bench) -> None:
    mask, other_mask = np.zeros(SHAPE, "u1"), np.zeros((50, 60), "i4")
    mask[1, 2], other_mask[3, 4], other_mask[45, 55] = MaskBit.SATURATED, MaskBit.BAD, MaskBit.BAD
    one = bench.put("a.fits", _image(), uncertainty=np.full(SHAPE, 3.0, "f4"), mask=mask)
    other = bench.put("b.fits", _image(shape=(50, 60)), uncertainty=np.full((50, 60), 4.0, "f4"), mask=other_mask)
    made = bench.run_one("Subtraction", input_files=[one], subtraction_file=[other])
    assert (made.planes["ERR"] == 5).all()
    assert np.argwhere(made.planes["BPM"]).tolist() == [[1, 2], [3, 4]]


def test_two_files_to_subtract_are_refused(bench: Bench) -> None:
    references = [bench.put(f"{k}.fits", _image(k)) for k in range(2)]
    with pytest.raises(Alert, match="takes at most 1"):
        bench.compute("Subtraction", input_files=references, subtraction_file=references)


def test_a_normalized_image_has_the_median_1(bench: Bench) -> None:
    image = _image()
    image[4, 4] = np.nan
    reference = bench.put("a.fits", image, uncertainty=np.full(SHAPE, 10.0, "f4"))
    made = bench.run_one("Normalization", input_files=[reference])
    np.testing.assert_array_equal(made.data, image / np.nanmedian(image))
    np.testing.assert_allclose(made.planes["ERR"], 10 / np.nanmedian(image), rtol=1e-6)
    assert made.figures["median"] == pytest.approx(np.nanmedian(image))


@pytest.mark.parametrize("value", [0.0, np.inf])
def test_an_image_without_a_usable_median_is_named(bench: Bench, value: float) -> None:
    image = np.full(SHAPE, value, "f4")
    image[0, 0] = 1
    references = [bench.put("good.fits", _image()), bench.put("null.fits", image)]
    with pytest.raises(Alert, match=r"The median of null\.fits is (0|inf): it cannot be normalized"):
        bench.compute("Normalization", input_files=references)


def test_outputs_appear_as_they_are_made_and_progress_never_falls_or_completes_early(bench: Bench) -> None:
    references = [bench.put(f"{k}.fits", _image(k)) for k in range(4)]
    bench.compute("Normalization", input_files=references)
    fractions = [fraction for fraction, _ in bench.watching.told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert fractions.count(1.0) == 1
    assert bench.watching.fraction_at_output == sorted(bench.watching.fraction_at_output)
    assert bench.watching.fraction_at_output[0] < 0.5
    assert max(bench.watching.fraction_at_output) < 1
    assert [output.label for output in bench.watching.outputs] == ["0.fits", "1.fits", "2.fits", "3.fits"]


def test_outputs_before_the_failure_are_told_but_the_request_has_no_entry(bench: Bench) -> None:
    references = [bench.put("a.fits", _image()), bench.put("b.fits", np.zeros(SHAPE, "f4"))]
    with pytest.raises(Alert, match=r"b\.fits"):
        bench.compute("Normalization", input_files=references)
    assert [output.label for output in bench.watching.outputs] == ["a.fits"]
    assert not [name for name in bench.files() if name.endswith("entry.json")]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Median", {}),
        ("Stacking", {}),
        ("Stacking", {"stacking_mode": "reproject"}),
        ("Mean Stack", {"registration": "wcs"}),
        ("Subtraction", {"subtraction_file": ["night/b.fits"]}),
        ("Normalization", {}),
        ("Increase Brightness", {"brightness": 1}),
        ("Master Bias", {}),
        ("Master Dark", {}),
        ("Master Flat", {}),
        ("Calibration", {}),
        ("Cosmic Ray Rejection", {}),
        ("Background Subtraction", {}),
        ("Source Catalog", {}),
    ],
)
def test_every_output_carries_provenance_and_checksums(bench: Bench, name: str, more: dict[str, Any]) -> None:
    field = star_field(shape=(100, 120), side=3)
    header = sky_header(field.image.shape, FILTER="rp", EXPTIME=10.0, OBJECT="M51")
    references = [bench.put(f"{stem}.fits", field.image, header) for stem in "ab"]
    answer = bench.compute(name, input_files=references, **more)
    for output in answer.entry.outputs:
        made = bench.read(output)
        history = "".join(made.header["HISTORY"])
        assert name in history
        assert "a.fits sha256 " in history
        assert made.key_card == answer.entry.key
        assert made.header["OBJECT"] == "M51"
        with fits.open(bench.store.root / output.objects["fits"], disable_image_compression=True) as file:
            assert all({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in file)
        assert {"large", "small", "tif"} <= set(output.objects)


def test_cosmic_rays_are_flagged_beside_what_was_flagged(bench: Bench) -> None:
    image, mask = np.random.default_rng(1).normal(500, 10, SHAPE).astype("f4"), np.zeros(SHAPE, "u1")
    image[20, 25] += 5000
    image[30, 10] += 5000
    mask[30, 10] = MaskBit.BAD
    reference = bench.put("a.fits", image, {"GAIN": 1.0, "RDNOISE": 5.0}, mask=mask)
    made = bench.run_one("Cosmic Ray Rejection", input_files=[reference])
    assert np.argwhere(made.planes["BPM"]).tolist() == [[20, 25], [30, 10]]
    assert made.planes["BPM"][20, 25] == MaskBit.COSMIC_RAY
    assert made.planes["BPM"][30, 10] == MaskBit.BAD
    assert abs(made.data[20, 25] - 500) < 50
    assert made.figures["cosmic_ray_pixels"] == 1


def test_a_tilted_sky_is_subtracted(bench: Bench) -> None:
    y, x = np.indices((120, 160))
    image = np.random.default_rng(1).normal(500 + 0.1 * x + 0.05 * y, 5).astype("f4")
    made = bench.run_one("Background Subtraction", input_files=[bench.put("a.fits", image)], box=32)
    assert abs(np.median(made.data)) < 0.5
    assert made.figures["background"] == pytest.approx(np.median(image), rel=0.01)
    assert made.figures["noise"] == pytest.approx(5, rel=0.15)


def test_the_catalogue_has_the_stars_with_their_places_on_the_sky(bench: Bench) -> None:
    field = star_field(fwhm=3.0)
    header = sky_header(field.image.shape)
    made = bench.run_one("Source Catalog", input_files=[bench.put("a.fits", field.image, header)])
    table = made.planes["CAT"]
    assert len(table) == made.figures["sources"] == 25
    assert made.figures["seeing_arcsec"] == pytest.approx(3.0, abs=0.3)
    assert made.figures["background"] == pytest.approx(400, abs=2)
    truth = WCS(header).pixel_to_world(field.x - 1, field.y - 1)
    for row in table:
        apart = np.hypot((truth.ra.deg - row["ra"]) * np.cos(np.deg2rad(2)), truth.dec.deg - row["dec"]) * 3600
        assert apart.min() < 0.3
    np.testing.assert_array_equal(made.data, field.image)


def test_without_a_wcs_the_seeing_is_in_pixels(bench: Bench) -> None:
    made = bench.run_one("Source Catalog", input_files=[bench.put("a.fits", star_field().image)])
    assert made.figures["seeing_pixels"] == pytest.approx(3.0, abs=0.3)
    assert "seeing_arcsec" not in made.figures


def test_the_catalogue_of_an_operation_is_read_by_the_next(bench: Bench) -> None:
    made = bench.run_one("Source Catalog", input_files=[bench.put("a.fits", star_field().image)])
    source = {"source": "store", "basename": made.output.basename}
    again = bench.run_one("Normalization", input_files=[source])
    np.testing.assert_allclose(again.data, made.data / np.median(made.data), rtol=1e-6)
