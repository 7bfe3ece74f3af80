"""Files of frames: read in batches by one interface, whatever the format; and written.

Importing this loads no library of a format: each comes with its first file.
"""

from runstart.frame_files.batch import (
    BatchedFrameHeader,
    FrameHeader,
    SlotNumbers,
    batch_header,
    decode_batch,
    encode_batch,
    pack_message,
    split_scan,
    unpack_message,
)
from runstart.frame_files.batched import BatchWriter
from runstart.frame_files.blob import Blob, BlobFile, FileBlob, ObjectBlob
from runstart.frame_files.counted_hdf5 import write_counted
from runstart.frame_files.opening import KINDS, open_frames, sidecar_name
from runstart.frame_files.raw_writer import RawWriter
from runstart.frame_files.source import NO_SLOT, FrameSource, ScanHeader, read_batches, split_into_batches

__all__ = [
    "KINDS",
    "NO_SLOT",
    "BatchWriter",
    "BatchedFrameHeader",
    "Blob",
    "BlobFile",
    "FileBlob",
    "FrameHeader",
    "FrameSource",
    "ObjectBlob",
    "RawWriter",
    "ScanHeader",
    "SlotNumbers",
    "batch_header",
    "decode_batch",
    "encode_batch",
    "open_frames",
    "pack_message",
    "read_batches",
    "sidecar_name",
    "split_into_batches",
    "split_scan",
    "unpack_message",
    "write_counted",
]
