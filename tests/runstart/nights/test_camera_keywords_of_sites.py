"""Nights of a camera with header keywords of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from night_kit import Observatory, open_observatory

from runstart.errors import Alert
from runstart.nights import read_sites
from runstart.nights.checks import CHECKS
from runstart.nights.site import Keywords
from runstart.nights.steps import make_step
from runstart.nights.work import camera_inputs

OWN = {
    "GAIN": "EGAIN1",
    "RDNOISE": "RN",
    "SATURATE": "MAXADU",
    "EXPTIME": "EXPO",
    "BIASSEC": "OVSEC",
    "TRIMSEC": "IMSEC",
    "DATASEC": "IMSEC2",
}
KEYWORDS = Keywords(
    gain=("EGAIN1",),
    read_noise=("RN",),
    saturation=("MAXADU",),
    exposure=("EXPO",),
    bias_section=("OVSEC",),
    data_section=("IMSEC",),
)
ASSETS = ("exposures", "master_bias", "master_dark", "master_flat", "calibrated")


def reduced(folder: Path, keywords: Keywords = Keywords(), renamed: Any = ()) -> tuple[Observatory, Any]:  # noqa: B008
    folder.mkdir()
    observatory = open_observatory(folder)
    observatory.site = observatory.site.model_copy(update={"keywords": keywords})
    observatory.simulate(shape=(64, 96), exposures=1, filters=("rp",))
    for path in observatory.exposures.glob("*.fits*"):
        rename(path, dict(renamed))
    work = observatory.work()
    return observatory, {asset: make_step(work, asset) for asset in ASSETS}


def rename(path: Path, names: dict[str, str]) -> None:
    from astropy.io import fits

    with fits.open(path, mode="update") as file:
        for hdu in file:
            for old, new in names.items():
                if old in hdu.header:
                    hdu.header.rename_keyword(old, new)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Observatory, Any]:
    return reduced(tmp_path_factory.mktemp("usual") / "night")


def test_a_site_that_declares_its_keywords_is_reduced_like_any_other(
    tmp_path: Path, usual: tuple[Observatory, Any]
) -> None:
    of_usual, expected = usual
    observatory, records = reduced(tmp_path / "night", KEYWORDS, OWN)
    for asset in ASSETS:
        assert records[asset].remarks == ()
        for product, other in zip(records[asset].products, expected[asset].products, strict=True):
            made, wanted = observatory.open(product.basename), of_usual.open(other.basename)
            np.testing.assert_array_equal(made.data, wanted.data)
            np.testing.assert_array_equal(made.uncertainty, wanted.uncertainty)
            np.testing.assert_array_equal(made.mask, wanted.mask)
    assert records["calibrated"].products[0].figures == expected["calibrated"].products[0].figures


def test_a_gain_that_was_taken_for_granted_is_told_with_its_exposures(tmp_path: Path) -> None:
    names = {key: OWN[key] for key in ("GAIN", "RDNOISE", "BIASSEC")}
    observatory, records = reduced(tmp_path / "night", renamed=names)
    (remark,) = records["calibrated"].remarks
    assert "with a gain of 1 electron per ADU and a read noise of 0" in remark
    assert records["calibrated"].products[0].name in remark
    verdict = next(check for check in CHECKS if check.name == "all_steps").judge(observatory.site, records)
    assert (verdict.passed, verdict.text) == (False, remark)


def test_a_site_with_the_usual_keywords_tells_operations_nothing(usual: tuple[Observatory, Any]) -> None:
    observatory, records = usual
    told = Keywords(kind=("IMAGETYP",), gain=("gain", "EGAIN"), exposure=("EXPTIME", "EXPOSURE"))
    site = observatory.site.model_copy(update={"keywords": told})
    assert camera_inputs(site) == camera_inputs(observatory.site) == {}
    other = Observatory(site, observatory.exposures, observatory.workplace)
    work = other.work()
    for asset in ASSETS:
        assert [p.key for p in make_step(work, asset).products] == [p.key for p in records[asset].products]
    assert work.computed == 0


def test_what_cannot_be_a_keyword_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text('[sites.A]\nfirst_night = 2026-01-01\nexposures = "file:A"\nkeywords.gain = ["GAIN;", "B"]\n')
    with pytest.raises(Alert, match=r"sites.toml:4: sites.A.keywords.gain: .*'GAIN;' is no header keyword"):
        read_sites(file, {})
