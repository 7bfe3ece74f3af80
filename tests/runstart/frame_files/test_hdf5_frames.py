"""HDF5, NeXus and EMD files of frames."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.errors import Alert, Transient
from runstart.frame_files import FileBlob, open_frames, read_batches


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


@pytest.fixture
def cube(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.reshape(3, 4, 6, 5)


class NoPath(FileBlob):
    """A blob as of a bucket."""

    path = None  # type: ignore[assignment]

    def size(self) -> int:
        return self._opened.st_size


STORED: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"dtype": ">u2"},
    "chunks of frames": {"chunks": (1, 2, 6, 5), "compression": "gzip"},
    "chunks across frames": {"chunks": (2, 3, 4, 2), "shuffle": True, "compression": "lzf"},
    "bitshuffle": {"chunks": (1, 1, 6, 5), **hdf5plugin.Bitshuffle()},
    "blosc2": {"chunks": (3, 4, 6, 5), **hdf5plugin.Blosc2()},
    "int16": {"dtype": "i2"},
}


@pytest.mark.parametrize("blob", [FileBlob, NoPath])
@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_frames_are_read_however_they_are_stored(
    path: Path, cube: NDArray[Any], options: dict[str, Any], blob: type[FileBlob]
) -> None:
    cube = cube % 30_000
    with h5py.File(path, "w") as file:
        file.create_dataset("a/b", data=cube, **options)
    with open_frames(blob(path)) as source:
        assert (source.header.scan_shape, source.header.frame_shape) == ((3, 4), (6, 5))
        for start, stop in ((0, 12), (1, 3), (2, 7), (3, 12), (4, 8), (5, 5)):
            found = source.read(start, stop)
            assert found.positions.tolist() == list(range(start, stop))
            assert np.array_equal(found.pixels, cube.reshape(12, 6, 5)[start:stop])


def test_three_dimensions_are_the_scan_that_is_given(path: Path, pixels: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=pixels, chunks=(5, 6, 5))
    with open_frames(path, scan_shape=(3, 4)) as source:
        assert source.header.scan_shape == (3, 4)
        assert np.array_equal(source.read(4, 11).pixels, pixels[4:11])


@pytest.mark.parametrize(("chunks", "piece"), [((1, 2, 6, 5), 2), ((2, 1, 6, 5), 8), ((1, 3, 6, 5), 4)])
def test_batches_end_between_chunks(path: Path, cube: NDArray[Any], chunks: tuple[int, ...], piece: int) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=cube, chunks=chunks)
    with open_frames(path) as source:
        lengths = [len(batch) for batch in read_batches(source, 9 * 60)]
    assert lengths[0] == 9 // piece * piece
    assert sum(lengths) == 12


def nexus(file: h5py.File, cube: NDArray[Any]) -> None:
    file.attrs["default"] = "entry"
    entry = file.create_group("entry")
    entry.attrs["default"] = "result"
    data = entry.create_group("result")
    data.attrs.update(NX_class="NXdata", signal="counts", axes=["y", "x", "ky", "kx"])
    data["counts"] = cube
    for name, step, units in (("y", 2, "nm"), ("x", 0.3, "angstrom"), ("ky", 1, "mrad"), ("kx", 0.002, "rad")):
        data[name] = np.arange(cube.shape[["y", "x", "ky", "kx"].index(name)]) * step
        data[name].attrs["units"] = units


def emd(file: h5py.File, cube: NDArray[Any]) -> None:
    group = file.create_group("version_1/data/datacubes/one")
    group.attrs["emd_group_type"] = 1
    group["data"] = cube
    for axis, (step, units) in enumerate(((0.03, "[n_m]"), (0.03, "[n_m]"), (2.0, "mrad"), (2.0, "mrad"))):
        group[f"dim{axis + 1}"] = 7 + np.arange(cube.shape[axis]) * step
        group[f"dim{axis + 1}"].attrs["units"] = np.bytes_(units)


def emd_1(file: h5py.File, cube: NDArray[Any]) -> None:
    group = file.create_group("root/datacube")
    group.attrs["emd_group_type"] = "array"
    group["data"] = cube
    for axis, (step, units) in enumerate(((0.3, "A"), (0.3, "A"), (2.0, "mrad"), (2.0, "mrad"))):
        group[f"dim{axis}"] = [0, step]
        group[f"dim{axis}"].attrs["units"] = units


@pytest.mark.parametrize("write", [nexus, emd, emd_1])
def test_announced_frames_are_found_among_others_with_their_scale(
    path: Path, cube: NDArray[Any], write: Any
) -> None:
    with h5py.File(path, "w") as file:
        file["another"] = np.ones((9, 9, 9, 9), np.uint8)
        write(file, cube)
    with open_frames(path) as source:
        assert np.array_equal(source.read(0, 12).pixels, cube.reshape(12, 6, 5))
        assert source.header.calibration == pytest.approx({"scan_step_nm": 0.03, "mrad_per_pixel": 2.0})


def test_several_arrays_are_listed_and_one_can_be_named(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file["one"], file["two"] = cube, cube[::-1]
    with pytest.raises(Alert, match=r"holds 2 arrays that may be the frames: /one .*, /two .*Name one"):
        open_frames(path)
    with open_frames(path, dataset="two") as source:
        assert np.array_equal(source.read(0, 1).pixels[0], cube[2, 0])
    with pytest.raises(Alert, match="has no dataset three"):
        open_frames(path, dataset="three")


def test_the_only_array_of_four_dimensions_is_preferred(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file["images"], file["cube"], file["name"] = cube[0], cube, "text"
    with open_frames(path) as source:
        assert source.header.scan_shape == (3, 4)


def test_a_file_without_frames_is_refused(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros((4, 4))
    with pytest.raises(Alert, match="holds no frames"):
        open_frames(path)


def test_frames_along_the_last_axis_as_velox_keeps_them_are_refused(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file["Data/Image/0a1b/Data"] = cube[0]
    with pytest.raises(Alert, match="Velox"):
        open_frames(path)


def test_frames_that_were_never_written_have_no_slot(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", cube.shape, cube.dtype, chunks=(1, 2, 6, 3))
        frames[0], frames[1, :2], frames[1, 2:, :, :3] = cube[0], cube[1, :2], cube[1, 2:, :, :3]
    with open_frames(path) as source:
        assert source.slots(0, 12).tolist() == [0, 1, 2, 3, 4, 5, *[-1] * 6]
        assert source.read(5, 7).positions.tolist() == [5, -1]


@pytest.mark.parametrize("chunks", [None, (1, 1, 6, 5)])
def test_a_file_made_but_not_filled_is_refused(path: Path, cube: NDArray[Any], chunks: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", cube.shape, cube.dtype, chunks=chunks)
    with pytest.raises(Alert, match="holds no pixels yet"):
        open_frames(path)


@pytest.mark.parametrize("chunks", [None, (1, 1, 6, 5)])
def test_a_truncated_file_is_refused(path: Path, cube: NDArray[Any], chunks: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=cube, chunks=chunks)
    whole = path.read_bytes()
    for length in (*range(8, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(Alert, match=r"truncated or damaged|ends before"):
            open_frames(path)


def test_a_damaged_chunk_is_told_when_it_is_read(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", data=cube, chunks=(1, 4, 6, 5), fletcher32=True)
        place = frames.id.get_chunk_info(1).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 5] ^= 1
    path.write_bytes(data)
    with open_frames(path) as source:
        assert len(source.read(0, 4)) == 4
        with pytest.raises(Alert, match="truncated or damaged"):
            source.read(3, 5)


def test_a_chunk_that_cannot_be_is_refused(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", data=cube, chunks=(1, 4, 6, 5), fletcher32=True)
        chunk = frames.id.get_chunk_info(1)
    data = path.read_bytes()
    key = chunk.size.to_bytes(4, "little") + bytes(4) + (1).to_bytes(8, "little") + bytes(24)
    assert data.count(key) == 1
    path.write_bytes(data.replace(key, bytes(8) + key[8:]))
    with pytest.raises(Alert, match="has a chunk of 0 bytes"):
        open_frames(path)


def _hold(path: Path, is_open: Any, may_end: Any) -> None:
    with h5py.File(path, "a"):
        is_open.set()
        may_end.wait(60)


def test_a_file_that_another_program_writes_is_waited_for(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file["frames"] = cube
    context = multiprocessing.get_context("spawn")
    is_open, may_end = context.Event(), context.Event()
    writer = context.Process(target=_hold, args=(path, is_open, may_end))
    writer.start()
    assert is_open.wait(60)
    with pytest.raises(Transient, match="being written"):
        open_frames(path)
    may_end.set()
    writer.join()


def external(file: h5py.File, cube: NDArray[Any], secret: Path) -> None:
    file.create_dataset("frames", cube.shape, cube.dtype, external=[(str(secret), 0, cube.nbytes)])


def virtual(file: h5py.File, cube: NDArray[Any], secret: Path) -> None:
    with h5py.File(secret, "w") as other:
        other["frames"] = cube
    layout = h5py.VirtualLayout(cube.shape, cube.dtype)
    layout[:] = h5py.VirtualSource(str(secret), "frames", cube.shape)
    file.create_virtual_dataset("frames", layout)


def linked(file: h5py.File, cube: NDArray[Any], secret: Path) -> None:
    with h5py.File(secret, "w") as other:
        other["frames"] = cube
    file["frames"] = h5py.ExternalLink(str(secret), "frames")


@pytest.mark.parametrize("hide", [external, virtual, linked])
def test_a_file_cannot_lead_to_files_elsewhere(
    path: Path, cube: NDArray[Any], hide: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("secret") / "key"
    secret.write_bytes(cube.tobytes())
    with h5py.File(path, "w") as file:
        hide(file, cube, secret)
    with pytest.raises(Alert, match="in another file"):
        open_frames(path, dataset="frames")


@pytest.mark.parametrize("spread", [virtual, linked])
def test_a_file_may_lead_to_files_in_its_folder(
    path: Path, cube: NDArray[Any], spread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with h5py.File(path, "w") as file:
        spread(file, cube, Path("part.h5"))
    monkeypatch.undo()
    with open_frames(path, dataset="frames") as source:
        assert np.array_equal(source.read(0, 12).pixels, cube.reshape(12, 6, 5))


@pytest.mark.parametrize("reads", range(4))
def test_a_store_that_fails_under_the_library_is_transient(path: Path, reads: int) -> None:
    class Failing(NoPath):
        left = reads

        def read_into(self, offset: int, buffer: memoryview) -> int:
            self.left -= offset > 0
            if self.left < 0:
                raise Transient("The store is gone.")
            return super().read_into(offset, buffer)

    with h5py.File(path, "w") as file:
        noise = np.random.default_rng(4).integers(0, 2**16, (2, 4, 900, 900), np.uint16)
        file.create_dataset("frames", data=noise, chunks=(1, 1, 900, 900), shuffle=True)
    with pytest.raises(Transient, match="The store is gone"), open_frames(Failing(path)) as source:
        source.read(0, 8)


def test_several_threads_read_one_source(path: Path, cube: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=cube, chunks=(1, 2, 6, 5), compression="gzip")
    with open_frames(path) as source, ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda index: source.read(index, index + 1).pixels[0], list(range(12)) * 5))
    assert np.array_equal(read, np.concatenate([cube.reshape(12, 6, 5)] * 5))
