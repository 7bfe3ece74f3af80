"""One object store for everything that is kept: a folder on a laptop, S3 anywhere else, alike to the caller."""

from runstart.storage.file_store import FileStore
from runstart.storage.object_store import ObjectMissing, ObjectStore, PreconditionFailed, StoredObject, check_key
from runstart.storage.opening import make_s3_client, open_store, store_url
from runstart.storage.s3_store import S3Store

__all__ = [
    "FileStore",
    "ObjectMissing",
    "ObjectStore",
    "PreconditionFailed",
    "S3Store",
    "StoredObject",
    "check_key",
    "make_s3_client",
    "open_store",
    "store_url",
]
