"""Files from elsewhere, kept on the local disk within a budget of bytes and shared by all processes."""

from runstart.file_cache.cache import FileCache, Usage
from runstart.file_cache.downloads import ContentChanged
from runstart.file_cache.index import Content

__all__ = ["Content", "ContentChanged", "FileCache", "Usage"]
