"""What a live run leaves behind: pictures, a NeXus file, and the digest that proves two results equal."""

from runstart.product._hdf5 import describe, make_group, write_dataset
from runstart.product._style import DPI, INK, MUTED, TIDY_STEPS, printable, short_number, tidy
from runstart.product.log_thumbnails import log_thumbnails
from runstart.product.model import RunProduct, content_digest, digest_arrays
from runstart.product.nexus import nexus_bytes
from runstart.product.pictures import (
    bank_png,
    drawing,
    logs_png,
    overview_png,
    pictures_png,
    pixel_tof_png,
    rate_png,
    tof_png,
)
from runstart.product.stored import StoredProduct, read_product
from runstart.product.thumbnails import (
    LONGEST_MARKDOWN,
    SmallPicture,
    detector_thumbnail,
    small_picture,
    thumbnails,
    tof_thumbnail,
)

__all__ = [
    "DPI",
    "INK",
    "LONGEST_MARKDOWN",
    "MUTED",
    "TIDY_STEPS",
    "RunProduct",
    "SmallPicture",
    "StoredProduct",
    "bank_png",
    "content_digest",
    "describe",
    "detector_thumbnail",
    "digest_arrays",
    "drawing",
    "log_thumbnails",
    "logs_png",
    "make_group",
    "nexus_bytes",
    "overview_png",
    "pictures_png",
    "pixel_tof_png",
    "printable",
    "rate_png",
    "read_product",
    "short_number",
    "small_picture",
    "thumbnails",
    "tidy",
    "tof_png",
    "tof_thumbnail",
    "write_dataset",
]
