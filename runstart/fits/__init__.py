"""FITS files: named, found, fetched, read and written. Importing this does not import astropy."""

from runstart.fits.archive_source import ArchiveSource
from runstart.fits.folder_source import FolderSource
from runstart.fits.inputs import InputFiles
from runstart.fits.reading import FitsImage, filter_of, read_header, read_image, read_table
from runstart.fits.reference import FitsReference
from runstart.fits.settings import InputSettings, open_inputs
from runstart.fits.source import FitsSource, Located, ResolvedFile
from runstart.fits.store_source import StoreSource, output_key
from runstart.fits.stored_pixels import StoredPixels, stored_pixels
from runstart.fits.structure import HduInfo, check_structure, image_shape, is_whole, locate_image, scan
from runstart.fits.uri_source import UriSource
from runstart.fits.writing import write_image

__all__ = [
    "ArchiveSource",
    "FitsImage",
    "FitsReference",
    "FitsSource",
    "FolderSource",
    "HduInfo",
    "InputFiles",
    "InputSettings",
    "Located",
    "ResolvedFile",
    "StoreSource",
    "StoredPixels",
    "UriSource",
    "check_structure",
    "filter_of",
    "image_shape",
    "is_whole",
    "locate_image",
    "open_inputs",
    "output_key",
    "read_header",
    "read_image",
    "read_table",
    "scan",
    "stored_pixels",
    "write_image",
]
