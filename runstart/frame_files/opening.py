"""Opens a file of frames by what it is: by its first bytes, or by its name where these say nothing."""

from __future__ import annotations

from pathlib import Path, PurePath

from runstart.errors import Alert
from runstart.frame_files.blob import Blob, FileBlob
from runstart.frame_files.source import FrameSource
from runstart.frames import Shape

__all__ = ["KINDS", "open_frames", "sidecar_name"]

KINDS = {
    ".frames": "raw frames with a header",
    ".batches": "batches of a detector stream",
    ".npy": "NumPy",
    ".h5, .hdf5, .nxs, .emd": "HDF5, NeXus, EMD, counted frames",
    ".tif, .tiff": "TIFF stacks",
    ".mib": "Merlin",
    ".raw, .bin": "raw frames that a .json file beside them describes",
}
"""Names of files that can be read, and what they are."""

_SIDECARS = {".raw": ".json", ".bin": ".json", ".mib": ".hdr"}
_LONGEST_SIDECAR = 2**16
_BEGIN = 32
_HDF5_PLACES = (0, 512, 1024, 2048)


def open_frames(
    place: Blob | Path | str,
    *,
    scan_shape: Shape | None = None,
    sidecar: Blob | Path | None = None,
    dataset: str | None = None,
) -> FrameSource:
    """Return the frames of a file, whatever its format is.

    Parameters
    ----------
    place : Blob or path
        The file; a blob is closed with the source, or when it cannot be opened.
    scan_shape : tuple of int, optional
        Rows and columns of the scan, for files that do not say them.
    sidecar : Blob or path, optional
        The file beside it that describes it (`sidecar_name`); for a local file it is found by its name.
    dataset : str, optional
        Path of the array in an HDF5 file that has several.

    Raises
    ------
    Alert
        If it is not there, of no format that is read, truncated or damaged.
    Transient
        If the disk or the store does not answer.
    """
    blob = place if isinstance(place, Blob) else FileBlob(Path(place))
    try:
        return _open(blob, scan_shape, sidecar, dataset)
    except BaseException:
        blob.close()
        raise


def sidecar_name(name: str) -> str | None:
    """Return the name of the file that describes a file of frames; None if its format needs none."""
    path = PurePath(name)
    suffix = _SIDECARS.get(path.suffix.lower())
    return None if suffix is None else str(path.with_suffix(suffix))


def _open(blob: Blob, scan_shape: Shape | None, sidecar: Blob | Path | None, dataset: str | None) -> FrameSource:
    from runstart.frame_files import batched, hdf5_file, mib_file, numpy_file, raw, raw_header, tiff_file

    begin = blob.read(0, _BEGIN)
    suffix = PurePath(blob.name).suffix.lower()
    if begin.startswith(raw_header.MAGIC):
        return raw.open_raw(blob)
    if begin.startswith(batched.MAGIC):
        return batched.open_batches(blob)
    if begin.startswith(numpy_file.MAGIC):
        return numpy_file.open_numpy(blob, scan_shape)
    if any(blob.read(offset, 8) == hdf5_file.MAGIC for offset in _HDF5_PLACES):
        return hdf5_file.open_hdf5(blob, scan_shape, dataset)
    if begin.startswith(tiff_file.MAGICS):
        return tiff_file.open_tiff(blob, scan_shape)
    if begin.startswith(mib_file.MAGIC):
        return mib_file.open_mib(blob, scan_shape, _read_sidecar(blob, sidecar))
    if suffix in (".raw", ".bin"):
        text = _read_sidecar(blob, sidecar)
        if text is None:
            what = f"{blob.name} has no header, and there is no file {sidecar_name(blob.name)} that describes it."
            raise Alert(what, "Write one with scan_shape, frame_shape and dtype.")
        return raw.open_sidecar_raw(blob, text, sidecar_name(blob.name) or blob.name)
    raise _unknown(blob, begin)


def _unknown(blob: Blob, begin: bytes) -> Alert:
    remedy = "These are read: " + "; ".join(f"{what} ({names})" for names, what in KINDS.items()) + "."
    if not begin:
        return Alert(f"{blob.name} is empty.", "Wait until it is written, or copy it again.")
    return Alert(f"{blob.name} is no file of frames that can be read; it begins with {begin[:12]!r}.", remedy)


def _read_sidecar(blob: Blob, sidecar: Blob | Path | None) -> bytes | None:
    """Return what stands in the file beside; None if there is none."""
    if isinstance(sidecar, Blob):
        return sidecar.read(0, _LONGEST_SIDECAR + 1)
    if sidecar is None:
        name = sidecar_name(blob.name)
        if blob.path is None or name is None or not Path(name).is_file():
            return None
        sidecar = Path(name)
    beside = FileBlob(sidecar)
    try:
        return beside.read(0, _LONGEST_SIDECAR + 1)
    finally:
        beside.close()
