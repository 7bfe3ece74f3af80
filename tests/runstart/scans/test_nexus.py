"""The NeXus file of a scan holds everything, opens in a stock viewer, and is the same every time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scan_products import CALIBRATION, make_product, with_events
from silx.io.nxdata import get_default, is_valid_nxdata

from runstart.errors import Alert
from runstart.scans.axes import camera_axes
from runstart.scans.digest import digest_product
from runstart.scans.model import ScanProduct
from runstart.scans.nexus import read_center_of_mass, read_scan_nexus, write_scan_nexus

PRODUCTS = {
    "calibrated": lambda: make_product(calibration=CALIBRATION),
    "in pixels": make_product,
    "partial": lambda: make_product(seen=0.4, ended="broken off"),
    "empty": lambda: make_product(seen=0, ended=""),
    "one line": lambda: make_product((1, 40)),
    "one position": lambda: make_product((1, 1)),
    "no detectors": lambda: make_product(detectors=(), calibration=CALIBRATION),
    "float pattern": lambda: make_product(pattern=np.full((32, 30), -0.5)),
}
Maker = Callable[[], ScanProduct]
any_product = pytest.mark.parametrize("make", PRODUCTS.values(), ids=PRODUCTS)


def write(product: ScanProduct, folder: Path) -> Path:
    path = folder / "scan.nxs"
    write_scan_nexus(path, product)
    return path


@any_product
def test_what_is_written_is_read_back(make: Maker, tmp_path: Path) -> None:
    product = make()
    stored = read_scan_nexus(write(product, tmp_path))
    for name in ("frame_counts", "center_of_mass", "pattern", "phase"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(product, name), strict=True)
    assert list(stored.virtual_images) == list(product.virtual_images)
    for name, image in product.virtual_images.items():
        np.testing.assert_array_equal(stored.virtual_images[name], image, strict=True)
    for name in ("microscope", "scan", "header", "recipe", "accounting", "center", "ended"):
        assert getattr(stored, name) == getattr(product, name)
    assert digest_product(stored) == digest_product(product)


def test_the_same_product_gives_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    first = write(make_product(), tmp_path).read_bytes()
    time.sleep(1.1)  # HDF5 keeps its times in whole seconds
    assert write(make_product(), tmp_path).read_bytes() == first


@any_product
def test_a_stock_viewer_can_plot_everything(make: Maker, tmp_path: Path) -> None:
    product = make()
    with h5py.File(write(product, tmp_path)) as file:
        plots = {
            name
            for name, item in file["entry"].items()
            if item.attrs.get("NX_class") == "NXdata" and is_valid_nxdata(item)
        }
    images = {f"virtual_image_{name}" for name in product.virtual_images}
    assert plots == images | {"center_of_mass", "phase", "diffraction_pattern", "frame_counts"}


@pytest.mark.parametrize(("detectors", "title"), [(True, "Virtual image, dark_field"), (False, "Centre of mass")])
def test_a_stock_viewer_opens_on_the_first_virtual_image(detectors: bool, title: str, tmp_path: Path) -> None:
    product = make_product(**({} if detectors else {"detectors": ()}), calibration=CALIBRATION)
    with h5py.File(write(product, tmp_path)) as file:
        plot = get_default(file)
        assert plot is not None
        assert plot.title == title
        assert plot.axes_names[-2:] == ["y (nm)", "x (nm)"]


def test_the_pattern_has_angles_and_scattering_vectors(tmp_path: Path) -> None:
    product = make_product(calibration=CALIBRATION)
    with h5py.File(write(product, tmp_path)) as file:
        group = file["entry/diffraction_pattern"]
        assert list(group.attrs["axes"]) == ["angle_y", "angle_x"]
        np.testing.assert_array_equal(group["angle_x"][()], camera_axes(product)[1].values)
        assert group["angle_x"].attrs["units"] == "mrad"
        assert group["reciprocal_y"].attrs["units"] == "1/nm"
        assert group.attrs["reciprocal_y_indices"] == 0
        assert group["sum"].attrs["units"] == "electrons"


def test_account_recipe_and_digest_are_there_for_any_reader(tmp_path: Path) -> None:
    product = with_events(make_product(seen=0.5))
    with h5py.File(write(product, tmp_path)) as file:
        entry = file["entry"]
        assert entry["accounting/missing"][()] == 96
        assert entry["process/recipe/data"].asstr()[()].startswith("{")
        assert entry["process/center"][()].tolist() == [15.25, 14.5]
        assert entry["content_sha256"].asstr()[()] == digest_product(product)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_the_centre_of_mass_is_read_alone(as_bytes: bool, tmp_path: Path) -> None:
    product = make_product(seen=0.7)
    path = write(product, tmp_path)
    found = read_center_of_mass(path.read_bytes() if as_bytes else path)
    np.testing.assert_array_equal(found, product.center_of_mass, strict=True)


def test_a_damaged_or_foreign_file_is_an_alert(tmp_path: Path) -> None:
    path = write(make_product(), tmp_path)
    whole = path.read_bytes()
    foreign = tmp_path / "other.h5"
    with h5py.File(foreign, "w") as file:
        file["entry/center_of_mass/position"] = np.zeros(3)
    for wrong in (b"", whole[: len(whole) // 2], foreign, foreign.read_bytes()):
        for read in (read_center_of_mass, read_scan_nexus):
            with pytest.raises(Alert, match="is not the result of a scan"):
                read(wrong)


def test_a_map_of_another_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"phase: not of a scan of 12 x 16"):
        write(make_product(phase=np.zeros((3, 3), np.float32)), tmp_path)


def test_every_part_of_a_product_changes_its_digest() -> None:
    product = with_events(make_product(calibration=CALIBRATION))
    assert product.events is not None
    changed = [
        product,
        replace(product, center=(15.25, 14.6)),
        replace(product, recipe=product.recipe.model_copy(update={"bin_by": 2})),
        replace(product, accounting=replace(product.accounting, duplicate=1)),
        replace(product, frame_counts=product.frame_counts + np.uint32(1)),
        replace(product, center_of_mass=-product.center_of_mass),
        replace(product, phase=product.phase.astype(np.float64)),
        replace(product, pattern=product.pattern.reshape(30, 32)),
        replace(product, virtual_images={**product.virtual_images, "dark_field": np.zeros((12, 16))}),
        replace(product, virtual_images={"other": product.virtual_images["dark_field"]}),
        replace(product, events=None),
        replace(product, events=replace(product.events, events=product.events.events[::-1])),
    ]
    assert len({digest_product(one) for one in changed}) == len(changed)


def test_every_nan_and_byte_order_has_the_same_digest() -> None:
    product = make_product(seen=0.5)
    phase = product.phase.copy()
    bits = phase.view(np.uint32)
    bits[np.isnan(phase)] = 0xFFC00123
    strange = replace(product, phase=phase, pattern=product.pattern.astype(">u8"))
    assert digest_product(strange) == digest_product(product)
