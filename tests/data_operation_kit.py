"""A folder of FITS files and a workplace for data operations on them; what they make is read back with astropy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from runstart.file_cache import FileCache
from runstart.fits import FolderSource, InputFiles, StoreSource, UriSource
from runstart.operation_kit import Answer, OutputFile, Workplace, execute, find_operation, find_output
from runstart.storage import FileStore

SOURCE = "night"


@dataclass
class Watching:
    """A reporter that remembers."""

    told: list[tuple[float, str]] = field(default_factory=list)
    outputs: list[OutputFile] = field(default_factory=list)
    fraction_at_output: list[float] = field(default_factory=list)

    def progress(self, fraction: float, message: str) -> None:
        self.told.append((fraction, message))

    def output(self, output: OutputFile) -> None:
        self.outputs.append(output)
        self.fraction_at_output.append(self.told[-1][0])


@dataclass
class Made:
    """An output, read back."""

    output: OutputFile
    data: np.ndarray[Any, Any]
    header: fits.Header
    planes: dict[str, np.ndarray[Any, Any]]
    key_card: str

    @property
    def figures(self) -> Any:
        return self.output.figures


@dataclass
class Bench:
    """Where operations are tried."""

    root: Path
    folder: Path
    store: FileStore
    workplace: Workplace
    watching: Watching = field(default_factory=Watching)

    @classmethod
    def make(cls, root: Path, memory_limit: int = 2**26) -> Bench:
        folder = root / "exposures"
        folder.mkdir()
        store = FileStore(root / "store")
        sources = {
            SOURCE: FolderSource(SOURCE, folder),
            "store": StoreSource("store", store, lambda basename: find_output(store, basename)),
        }
        inputs = InputFiles(sources, UriSource([], ()), FileCache(root / "cache", 2**26))
        return cls(root, folder, store, Workplace(store, inputs, root / "scratch", memory_limit=memory_limit))

    def put(
        self,
        name: str,
        data: Any,
        header: Any = None,
        *,
        uncertainty: Any = None,
        mask: Any = None,
        table: Any = None,
        extension: bool = False,
    ) -> str:
        """Write a FITS file, and return its reference."""
        cards = fits.Header(header or {})
        main = fits.ImageHDU(data, cards, name="SCI") if extension else fits.PrimaryHDU(data, cards)
        hdus = [fits.PrimaryHDU(), main] if extension else [main]
        hdus += [
            fits.ImageHDU(plane, name=n) for n, plane in (("ERR", uncertainty), ("BPM", mask)) if plane is not None
        ]
        if table is not None:
            hdus.append(fits.BinTableHDU(table, name="CAT"))
        fits.HDUList(hdus).writeto(self.folder / name, overwrite=True)
        return f"{SOURCE}/{name}"

    def compute(self, name: str, **given: Any) -> Answer:
        self.watching = Watching()
        return execute(find_operation(name), given, self.workplace, self.watching)

    def run(self, name: str, **given: Any) -> list[Made]:
        """Compute a request, and read its FITS outputs back."""
        return [self.read(output) for output in self.compute(name, **given).entry.outputs]

    def run_one(self, name: str, **given: Any) -> Made:
        (made,) = self.run(name, **given)
        return made

    def read(self, output: OutputFile) -> Made:
        """Read an output as any astropy user would; each warning is an error here."""
        with fits.open(self.store.root / output.objects["fits"], checksum=True) as file:
            file.verify("exception")
            planes = {hdu.name: _contents(hdu) for hdu in file[1:]}
            header = file["SCI"].header.copy()
            return Made(output, planes.pop("SCI"), header, planes, file[0].header["RSTRTKEY"])

    def picture(self, output: OutputFile, name: str = "tif") -> np.ndarray[Any, Any]:
        from PIL import Image

        with Image.open(self.store.root / output.objects[name]) as image:
            return np.asarray(image)

    def files(self) -> list[str]:
        """Return every file below the root, but for those of the cache and the scratch folder's lock."""
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_relative_to(self.root / "cache") and path.name != "lock"
        )


def _contents(hdu: Any) -> Any:
    if isinstance(hdu, fits.BinTableHDU):  # its columns one by one: unsigned ones are scaled only so
        return np.rec.fromarrays([hdu.data[name] for name in hdu.columns.names], names=hdu.columns.names)
    return np.array(hdu.data)


def sky_header(shape: tuple[int, int], *, dx: float = 0.0, dy: float = 0.0, angle: float = 0.0, **more: Any) -> Any:
    """Return the header of an image of one place on the sky, moved by some pixels and turned by degrees."""
    scale, turn = 1.0 / 3600, np.deg2rad(angle)
    cards = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": 150.0,
        "CRVAL2": 2.0,
        "CRPIX1": (shape[1] + 1) / 2 + dx,
        "CRPIX2": (shape[0] + 1) / 2 + dy,
        "CD1_1": -scale * np.cos(turn),
        "CD1_2": scale * np.sin(turn),
        "CD2_1": scale * np.sin(turn),
        "CD2_2": scale * np.cos(turn),
        "RADESYS": "ICRS",
    }
    return {**cards, **more}
