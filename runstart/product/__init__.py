"""What a live run leaves behind: pictures, a NeXus file, and the digest that proves two results equal."""

from runstart.product.log_thumbnails import log_thumbnails
from runstart.product.model import RunProduct, content_digest, digest_arrays
from runstart.product.nexus import nexus_bytes
from runstart.product.pictures import (
    bank_png,
    logs_png,
    overview_png,
    pictures_png,
    pixel_tof_png,
    rate_png,
    tof_png,
)
from runstart.product.stored import StoredProduct, read_product
from runstart.product.thumbnails import detector_thumbnail, thumbnails, tof_thumbnail

__all__ = [
    "RunProduct",
    "StoredProduct",
    "bank_png",
    "content_digest",
    "detector_thumbnail",
    "digest_arrays",
    "log_thumbnails",
    "logs_png",
    "nexus_bytes",
    "overview_png",
    "pictures_png",
    "pixel_tof_png",
    "rate_png",
    "read_product",
    "thumbnails",
    "tof_png",
    "tof_thumbnail",
]
