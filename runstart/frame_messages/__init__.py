"""What operators on frames send each other: batches, sums, arrays, tables and pictures; and what they keep of scans."""

from runstart.frame_messages.arrays import array_message, is_array, read_array, read_meta
from runstart.frame_messages.batches import Batch, ScanInfo, batch_message, read_batch
from runstart.frame_messages.coloring import Look, colored_picture
from runstart.frame_messages.counting import count_message
from runstart.frame_messages.files import FileReader, find_file, find_files
from runstart.frame_messages.load import Load, LoadMeter, load_messages
from runstart.frame_messages.media import as_file, is_batch, media_type_of
from runstart.frame_messages.moments import load_kernel, sum_moments
from runstart.frame_messages.open_scans import OpenScans, ScanSums
from runstart.frame_messages.partials import ScanPartial, partial_message, read_partial
from runstart.frame_messages.pictures import array_picture
from runstart.frame_messages.reading import MEGABYTE, RepeatedReader, read_batches, read_messages
from runstart.frame_messages.saving import CountedSums
from runstart.frame_messages.scan_sums import CenterOfMassSums, PatternSums, VirtualImageSums
from runstart.frame_messages.showing import LatestPicture, picture_of
from runstart.frame_messages.tables import csv_records, publish_tables, read_tables, table_message

__all__ = [
    "MEGABYTE",
    "Batch",
    "CenterOfMassSums",
    "CountedSums",
    "FileReader",
    "LatestPicture",
    "Load",
    "LoadMeter",
    "Look",
    "OpenScans",
    "PatternSums",
    "RepeatedReader",
    "ScanInfo",
    "ScanPartial",
    "ScanSums",
    "VirtualImageSums",
    "array_message",
    "array_picture",
    "as_file",
    "batch_message",
    "colored_picture",
    "count_message",
    "csv_records",
    "find_file",
    "find_files",
    "is_array",
    "is_batch",
    "load_kernel",
    "load_messages",
    "media_type_of",
    "partial_message",
    "picture_of",
    "publish_tables",
    "read_array",
    "read_batch",
    "read_batches",
    "read_messages",
    "read_meta",
    "read_partial",
    "read_tables",
    "sum_moments",
    "table_message",
]
