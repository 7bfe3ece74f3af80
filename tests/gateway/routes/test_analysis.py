"""Quick looks at one image: a star at a known place, on a known sky, seen as a viewer shows it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits
from data_operation_kit import SOURCE
from gateway_kit import FakeDagster, bearer, make_settings, serve_app
from PIL import Image

from gateway import make_app
from gateway.facility import Facility
from gateway.tokens import Scope
from runstart.storage import FileStore

ROWS, COLUMNS = 60, 80
ROW, COLUMN = 40.0, 20.0  # of the star, counted from 0 and from the bottom
SKY, PEAK, WIDTH = 100.0, 4000.0, 2.0
HEADER = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CRPIX1": COLUMN + 1,
    "CRPIX2": ROW + 1,
    "CD1_1": -1 / 3600,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 1 / 3600,
}
SHOWN = {"width": 2 * COLUMNS, "height": 2 * ROWS}  # the picture is twice as large
X, Y = 2 * (COLUMN + 0.5), 2 * (ROWS - ROW - 0.5)


def star() -> np.ndarray[Any, Any]:
    rows, columns = np.indices((ROWS, COLUMNS))
    light = PEAK * np.exp(-0.5 * ((rows - ROW) ** 2 + (columns - COLUMN) ** 2) / WIDTH**2)
    noise = np.random.default_rng(2).normal(0, 1, (ROWS, COLUMNS))
    return (SKY + light + noise).astype(np.float32)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    folder, store = tmp_path / "frames", FileStore(tmp_path / "store")
    folder.mkdir()
    catalog = np.array([(COLUMN + 1, ROW + 1, 5e4, 20.0), (1.0, 1.0, -3.0, 20.0)], "f8,f8,f8,f8")
    catalog.dtype.names = ("x", "y", "flux", "fluxerr")
    header = fits.Header(HEADER)
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(star(), header, name="SCI"), fits.BinTableHDU(catalog, name="CAT")]
    ).writeto(folder / "star.fits")
    fits.PrimaryHDU(np.ones((30, 30), np.int16)).writeto(folder / "plain.fits")
    environ = {
        "RUNSTART_FITS_FOLDERS": f"{SOURCE}={folder}",
        "RUNSTART_FILE_CACHE": str(tmp_path / "cache"),
    }
    app = make_app(make_settings(), store, FakeDagster().client(), facility=Facility(environ=environ))
    headers = bearer(store, Scope.READ)
    with serve_app(app) as url, httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as opened:
        yield opened


def ask(client: httpx.Client, action: str, basename: str = "star.fits", **more: Any) -> Any:
    answer = client.post(f"/api/analysis/{action}/", json={"source": SOURCE, "basename": basename, **SHOWN, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_click_beside_a_star_finds_its_middle(client: httpx.Client) -> None:
    found = ask(client, "centroiding", x=X + 5, y=Y - 4)
    assert found["success"]
    assert (found["x"], found["y"]) == pytest.approx((X, Y), abs=0.2)
    assert (found["ra"], found["dec"]) == pytest.approx((150.0, 2.0), abs=1e-4)
    assert found["background"] == pytest.approx(SKY, abs=2)
    assert found["peak"] == pytest.approx(SKY + PEAK, rel=0.05)


def test_a_click_far_outside_finds_nothing(client: httpx.Client) -> None:
    found = ask(client, "centroiding", x=-4000, y=9000)
    assert (found["success"], found["message"]) == (False, "No source was found here.")


def test_a_line_through_a_star_has_its_peak_its_length_and_its_direction(client: httpx.Client) -> None:
    line = ask(client, "line-profile", x1=X - 20, y1=Y, x2=X + 20, y2=Y)
    values = line["line_profile"]
    assert len(values) == 21
    assert values.index(max(values)) == 10
    assert line["arcsec"] == pytest.approx(20.0, abs=1e-3)
    assert line["position_angle"] == pytest.approx(270.0, abs=0.1), "east is left"
    assert line["start_coords"][0] > line["end_coords"][0]


def test_what_lies_outside_of_the_image_is_not_known(client: httpx.Client) -> None:
    values = ask(client, "line-profile", x1=-40, y1=Y, x2=X, y2=Y)["line_profile"]
    assert values[0] is None
    assert values[-1] is not None


def test_an_image_without_a_wcs_has_a_line_without_a_sky(client: httpx.Client) -> None:
    line = ask(client, "line-profile", "plain.fits", x1=10, y1=10, x2=40, y2=10)
    assert (line["start_coords"], line["arcsec"], line["position_angle"]) == (None, None, None)


def test_sources_stand_where_the_picture_shows_them(client: httpx.Client) -> None:
    first, second = ask(client, "source-catalog")
    assert (first["x"], first["y"]) == pytest.approx((X, Y))
    assert (first["mag"], first["flux_fallback"]) == (pytest.approx(-2.5 * np.log10(5e4)), True)
    assert second["mag"] is None, "its flux is negative"


def test_raw_data_have_their_first_row_at_the_top(client: httpx.Client) -> None:
    raw = ask(client, "raw-data")
    data = np.array(raw["data"]).reshape(raw["height"], raw["width"])
    assert np.unravel_index(data.argmax(), data.shape) == (ROWS - 1 - ROW, COLUMN)
    assert (raw["bitdepth"], len(raw["histogram"]), len(raw["bins"])) == (32, 120, 120)
    assert raw["zmin"] == pytest.approx(SKY, abs=1)
    small = ask(client, "raw-data", max_size=20)
    assert (small["height"], small["width"]) == (15, 20)


def test_the_wcs_is_told(client: httpx.Client) -> None:
    told = ask(client, "wcs")
    assert (told["crval"], told["crpix"]) == ([150.0, 2.0], [COLUMN + 1, ROW + 1])
    assert told["cd1"] == pytest.approx([-1 / 3600, 0.0])
    assert told["fits_dimensions"] == [ROWS, COLUMNS]


PICTURES = [("get-jpg", "jpg_base64", "JPEG"), ("get-tif", "tif_base64", "TIFF")]


@pytest.mark.parametrize(("action", "field", "kind"), PICTURES)
def test_pictures_are_made_of_the_image(client: httpx.Client, action: str, field: str, kind: str) -> None:
    picture = Image.open(io.BytesIO(base64.b64decode(ask(client, action, zmin=90, zmax=4000)[field])))
    assert (picture.format, picture.size) == (kind, (COLUMNS, ROWS))


@pytest.mark.parametrize(
    ("action", "changes", "text"),
    [
        ("horoscope", {}, "There is no analysis of this name."),
        ("wcs", {"basename": "plain.fits"}, "wcs Error: plain.fits has no celestial WCS."),
        ("centroiding", {}, "centroiding Error: x is missing."),
        ("line-profile", {"width": None}, "line-profile Error: width is missing."),
        ("wcs", {"basename": "../../etc/passwd"}, "wcs Error:"),
        ("wcs", {"basename": "nothing.fits"}, "wcs Error:"),
        ("wcs", {"source": "nowhere"}, "wcs Error:"),
        ("raw-data", {"max_size": 100_000}, "max_size"),
        ("centroiding", {"x": 1, "y": 1, "r_back1": 2.0}, "The radii do not grow."),
        ("source-catalog", {"basename": "plain.fits"}, "source-catalog Error:"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    client: httpx.Client, action: str, changes: dict[str, Any], text: str
) -> None:
    body = {"source": SOURCE, "basename": "star.fits", **SHOWN, **changes}
    answer = client.post(f"/api/analysis/{action}/", json=body)
    assert answer.status_code == 400
    assert text in answer.json()["error"]


def test_an_image_that_may_not_be_read_is_not_looked_at(client: httpx.Client, tmp_path: Path) -> None:
    few = bearer(FileStore(tmp_path / "store"), Scope.ADMIN, reads=(f"exposure/{SOURCE}/plain.fits",))
    body = {"source": SOURCE, "basename": "star.fits"}
    assert client.post("/api/analysis/wcs/", json=body, headers=few).status_code == 404
