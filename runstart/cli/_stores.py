"""Opens the object store for commands that serve: it answers, or fails, before those who wait for them give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstart.storage import ObjectStore


def open_quick_store(url: str) -> ObjectStore:
    """Return a store that answers or fails within 10 s, the time that Prometheus gives a scrape.

    Raises
    ------
    Alert
        If the URL names no store.
    """
    from runstart.storage import make_s3_client, open_store

    if not url.startswith("s3:"):
        return open_store(url)
    from botocore.config import Config

    quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
    return open_store(url, make_s3_client(config=quick))
