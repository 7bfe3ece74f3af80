"""Pictures as inputs of data operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from PIL import Image as Pillow

from runstart.errors import Alert
from runstart.fits import read_image
from runstart.operation_kit import FitsFile, Image, OutputImage, Work, Workplace, execute, operation
from runstart.operation_kit.pictures import read_picture

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@operation(name="Red", version="1", description="The red of pictures.")
def red(work: Work, pictures: Annotated[list[FitsFile], Image("Pictures", "Any.")]) -> OutputImage:
    return OutputImage(pictures[0].read_picture()[..., 0].astype(np.float32))


def test_an_operation_reads_pictures(place: Workplace, tmp_path: Path) -> None:
    Pillow.fromarray(PIXELS).save(tmp_path / "night" / "a.png")
    (output,) = execute(red, {"pictures": ["night/a.png"]}, place).entry.outputs
    (tmp_path / "red.fits").write_bytes(place.store.get(output.objects["fits"]).data)
    assert (read_image(tmp_path / "red.fits").data == PIXELS[::-1, :, 0]).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_kind_of_pixel_with_8_bits_becomes_three_colours(mode: str, tmp_path: Path) -> None:
    Pillow.fromarray(PIXELS).convert(mode).save(tmp_path / "a.tif")
    pixels = read_picture(tmp_path / "a.tif", "a")
    assert (pixels.shape, pixels.dtype) == ((2, 3, 3), np.uint8)


def as_gif(path: Path) -> None:
    Pillow.fromarray(PIXELS).save(path, "GIF")


def cut_short(path: Path) -> None:
    Pillow.fromarray(np.random.default_rng(4).integers(0, 256, (90, 90, 3), np.uint8)).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:-5000])


def of_16_bits(path: Path) -> None:
    Pillow.fromarray(np.ones((2, 3), np.uint16)).save(path, "TIFF")


@pytest.mark.parametrize(
    "make", [as_gif, cut_short, of_16_bits, Path.touch, lambda path: path.write_bytes(b"SIMPLE")]
)
def test_what_is_no_picture_is_an_alert_that_names_the_file(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "0f0f")
    with pytest.raises(Alert, match=r"The picture night/a (has|cannot be read)") as told:
        read_picture(tmp_path / "0f0f", "night/a")
    assert "0f0f" not in str(told.value)


def test_a_picture_that_is_gone_is_an_alert(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="no file night/a"):
        read_picture(tmp_path / "nothing", "night/a")
