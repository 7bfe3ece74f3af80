"""HDF5 groups and datasets as the NeXus file has them: nothing in them comes from the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_COMPRESSED_FROM = 4096  # bytes; smaller arrays only grow by a chunk's overhead
_CHUNK_BYTES = 1 << 20


def make_group(parent: h5py.Group, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    """Create a group of a NeXus class."""
    group = parent.create_group(name)
    describe(group, nx_class, **attributes)
    return group


def describe(group: h5py.Group, nx_class: str, **attributes: Any) -> None:
    """Set the class and other attributes of a group."""
    for key, value in {"NX_class": nx_class, **attributes}.items():
        group.attrs[key] = value


def write_dataset(group: h5py.Group, name: str, value: Any, **attributes: str) -> None:
    """Create a dataset without times: a text, a list of texts, or numbers, which are compressed if they are many."""
    if isinstance(value, str):
        dataset = group.create_dataset(name, data=storable(value), dtype=h5py.string_dtype(), track_times=False)
    elif isinstance(value, (list, tuple)):
        texts = np.array([storable(text) for text in value], dtype=object)
        dataset = group.create_dataset(name, data=texts, dtype=h5py.string_dtype(), track_times=False)
    else:
        array = np.asarray(value)
        options: dict[str, Any] = {}
        if array.nbytes >= _COMPRESSED_FROM:
            options = {
                "compression": "gzip",
                "compression_opts": 1,
                "shuffle": True,
                "chunks": _chunks(array),
            }
        dataset = group.create_dataset(name, data=array, track_times=False, **options)
    for key, text in attributes.items():
        dataset.attrs[key] = storable(text)


def storable(text: str) -> str:
    """Return a text that HDF5 takes: it ends a text at NUL, and UTF-8 has no lone surrogates."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _chunks(array: npt.NDArray[Any]) -> tuple[int, ...]:
    """Return a chunk of whole trailing dimensions of about a megabyte."""
    shape = list(array.shape)
    for axis in range(array.ndim):
        rest = int(np.prod(shape[axis + 1 :], dtype=np.int64)) * array.itemsize
        shape[axis] = min(shape[axis], max(1, _CHUNK_BYTES // rest))
    return tuple(shape)
