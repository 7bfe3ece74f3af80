"""Places where files arrive, a folder or a bucket: what lies there, and which of it was handed out already."""

from __future__ import annotations

from runstart.places.arrival import Arrival, Listing
from runstart.places.birth import birth_of
from runstart.places.bucket import Bucket, BucketPlace, open_bucket
from runstart.places.folder import FolderPlace, folder_of
from runstart.places.place import FileGone, Place, Wanted
from runstart.places.seen import Cursor, Seen

__all__ = [
    "Arrival",
    "Bucket",
    "BucketPlace",
    "Cursor",
    "FileGone",
    "FolderPlace",
    "Listing",
    "Place",
    "Seen",
    "Wanted",
    "birth_of",
    "folder_of",
    "open_bucket",
]
