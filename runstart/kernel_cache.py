"""Where numba finds kernels that were compiled when an image was built, on a root that nobody may write to.

numba takes a cache only where it can write. So its cache is a folder for this process or pod alone, and begins with links
to what the image holds: a kernel for a type that nobody foresaw can be added, and a link that is replaced harms nothing.
numba imports this where NUMBA_CACHE_LOCATOR_CLASSES names it; RUNSTART_KERNELS is the folder of the image.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from numba.core.caching import UserProvidedCacheLocator

__all__ = ["SeededCacheLocator"]


class SeededCacheLocator(UserProvidedCacheLocator):  # type: ignore[misc] # numba has no types
    """A cache in `NUMBA_CACHE_DIR` that begins with what is in `RUNSTART_KERNELS`."""

    def ensure_cache_path(self) -> None:
        """Make the folder of a module's kernels; raises OSError where it cannot be written to, as numba expects."""
        folder = Path(self.get_cache_path())
        kept = Path(os.environ["RUNSTART_KERNELS"]) / folder.name
        if kept.is_dir() and not folder.exists():
            _link_all(kept, folder)
        super().ensure_cache_path()


def _link_all(kept: Path, folder: Path) -> None:
    """Make a folder of links under its name at once; of several processes, one does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent))
    for file in kept.iterdir():
        (partial / file.name).symlink_to(file)
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial)
        if not folder.is_dir():
            raise
