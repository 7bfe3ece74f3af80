"""Files that may not be read, or are gone: told by their name, wherever they are opened."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from other_user import without_rights

from runstart.errors import Alert, Transient
from runstart.file_cache import FileCache
from runstart.fits import (
    FitsReference,
    FolderSource,
    InputFiles,
    UriSource,
    read_header,
    read_image,
    read_table,
    scan,
)
from runstart.fits.folder_source import told

NAME = "night/a.fits"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder into which other users may look; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def inputs(folder: Path) -> InputFiles:
    from runstart.fits import write_image

    write_image(folder / "a.fits", np.ones((4, 5), np.float32))
    (folder / "cache").mkdir()
    (folder / "cache").chmod(0o777)
    return InputFiles(
        {"night": FolderSource("night", folder)}, UriSource([], []), FileCache(folder / "cache", 10_000)
    )


def test_a_file_that_may_not_be_read_is_an_alert(inputs: InputFiles, folder: Path) -> None:
    (folder / "a.fits").chmod(0)
    with without_rights(), pytest.raises(Alert, match=r"a\.fits.* may not be read"):
        inputs.resolve(FitsReference.parse(NAME))


@pytest.mark.parametrize("read", [read_image, read_header, read_table, scan])
def test_a_file_whose_rights_are_taken_while_it_is_used_is_an_alert(
    read: Callable[[Path], object], inputs: InputFiles, folder: Path
) -> None:
    resolved = inputs.resolve(FitsReference.parse(NAME))
    stack = contextlib.ExitStack()
    path = stack.enter_context(inputs.open(resolved))
    path.chmod(0)
    match = r"a\.fits.*(Permission denied|may not be read)"
    with without_rights(), pytest.raises(Alert, match=match), stack:
        read(path)


@pytest.mark.parametrize("read", [read_image, read_header, read_table])
def test_reading_a_file_that_may_not_be_read_is_an_alert(
    read: Callable[..., object], inputs: InputFiles, folder: Path
) -> None:
    (folder / "a.fits").chmod(0)
    with without_rights(), pytest.raises(Alert, match=r"night/a cannot be read: Permission denied"):
        read(folder / "a.fits", label="night/a")


def test_a_file_that_goes_between_look_and_read_is_an_alert(
    inputs: InputFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = inputs.cache.content

    def and_it_goes(*args: str) -> object:
        (folder / "a.fits").unlink()
        return known(*args)

    monkeypatch.setattr(inputs.cache, "content", and_it_goes)
    with pytest.raises(Alert, match=r"no file .*a\.fits"):
        inputs.resolve(FitsReference.parse(NAME))


def test_a_file_that_goes_while_it_is_used_is_an_alert(inputs: InputFiles, folder: Path) -> None:
    resolved = inputs.resolve(FitsReference.parse(NAME))
    stack = contextlib.ExitStack()
    path = stack.enter_context(inputs.open(resolved))
    path.unlink()
    with pytest.raises(Alert, match=r"no file .*a\.fits"), stack:
        path.read_bytes()


def test_errors_of_other_files_are_not_told_as_the_inputs(inputs: InputFiles, folder: Path) -> None:
    resolved = inputs.resolve(FitsReference.parse(NAME))
    with pytest.raises(FileNotFoundError), inputs.open(resolved):
        (folder / "other").read_bytes()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE])
def test_what_passes_is_transient(number: int) -> None:
    with pytest.raises(Transient, match=r"a\.fits cannot be read now"), told("a.fits"):
        raise OSError(number, os.strerror(number))
