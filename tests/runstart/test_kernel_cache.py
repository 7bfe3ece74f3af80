"""Kernels from an image's folder, in processes of their own: numba reads its settings once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runstart.kernel_cache import _link_all

MODULE = """
from numba import njit

@njit(cache=True)
def double(x):
    return x + x
"""


class Place:
    """A module with a kernel, the image's folder and a pod's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept, self.own = folder / "image", folder / "pod" / "kernels"
        (folder / "one_kernel.py").write_text(MODULE)

    def run(self, cache: Path, *arguments: float, locator: str = "runstart.kernel_cache.SeededCacheLocator") -> str:
        """Call the kernel, and return what numba says of its cache."""
        environment = os.environ | {
            "NUMBA_DEBUG_CACHE": "1",
            "NUMBA_CACHE_DIR": str(cache),
            "NUMBA_CACHE_LOCATOR_CLASSES": locator,
            "RUNSTART_KERNELS": str(self.kept),
        }
        script = f"from one_kernel import double; assert all(double(x) == 2 * x for x in {arguments})"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def contents(self) -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in self.kept.rglob("*") if file.is_file()}


def test_what_the_image_has_is_loaded_and_what_it_lacks_is_added_for_this_pod_alone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert "data saved to" in place.run(place.kept, 1, locator="UserProvidedCacheLocator")
    in_image = place.contents()

    both = place.run(place.own, 1, 1.5)
    assert both.count("data loaded from") == 1
    assert both.count("data saved to") == 1
    # Next time both are there, and the image is as it was.
    again = place.run(place.own, 1, 1.5)
    assert again.count("data loaded from") == 2
    assert "saved to" not in again
    assert place.contents() == in_image


def test_without_kernels_in_the_image_all_are_compiled(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert "data saved to" in place.run(place.own, 1)


def test_of_two_processes_that_begin_at_once_one_makes_the_folder_and_nothing_else_is_left(tmp_path: Path) -> None:
    kept, folder = tmp_path / "image", tmp_path / "pod" / "module"
    kept.mkdir()
    (kept / "kernel.nbc").write_text("compiled")
    for _ in range(2):
        # Neither saw the folder before.
        _link_all(kept, folder)
    assert list(folder.parent.iterdir()) == [folder]
    assert (folder / "kernel.nbc").readlink() == kept / "kernel.nbc"
