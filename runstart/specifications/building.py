"""Builds an operator's image with the first engine that the machine has; no shell reads what comes from files.

The engine gets a copy of the folder without tests, hidden files, caches and links, so that nothing that is no part of the
operator can get into an image. The image carries operator.json as the label that interactEM reads.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from runstart.errors import Alert
from runstart.specifications.finding import FoundOperator
from runstart.specifications.image_names import is_image

ENGINES = ("buildah", "podman", "docker")
SPEC_LABEL = "interactem.operator.spec"
"""Label of an image; holds its operator.json."""
_LEFT_OUT = ("test_*.py", "*_test.py", "tests", "__pycache__", "*.pyc", ".*")


def build_image(found: FoundOperator, engine: str | None = None, tag: str | None = None) -> str:
    """Build an operator's image, and return its name; what the engine prints is seen.

    Parameters
    ----------
    found : FoundOperator
        The operator.
    engine : {"buildah", "podman", "docker"}, optional
        The first one that the machine has by default.
    tag : str, optional
        The image's name; by default the one in operator.json.

    Raises
    ------
    Alert
        If there is no engine or Containerfile, the name is none of an image, or the engine fails.
    """
    image = tag or found.spec.image
    if not is_image(image):
        raise Alert(f"The image {image!r} is none.", "Give one like registry/team/name:latest with --tag.")
    if not (found.folder / "Containerfile").is_file():
        raise Alert(
            f"{found.folder} has no Containerfile.", "Write one: FROM a base image, COPY run.py /app/run.py."
        )
    program = _find_engine(engine)
    with tempfile.TemporaryDirectory(prefix="runstart-build-") as place:
        context = Path(place) / found.name
        _copy(found.folder, context)
        ended = subprocess.run(_command(program, image, found, context), check=False)
    if ended.returncode:
        what = f"{Path(program).name} ended with exit code {ended.returncode}, and {image} was not built."
        raise Alert(what, "What it printed says why.")
    return image


def _find_engine(engine: str | None) -> str:
    if engine is not None and engine not in ENGINES:
        raise Alert(f"{engine!r} is no engine that builds images.", f"Choose from: {', '.join(ENGINES)}.")
    for name in (engine,) if engine else ENGINES:
        program = shutil.which(name)
        if program:
            return program
    what = f"This machine has no {engine}." if engine else f"This machine has none of {', '.join(ENGINES)}."
    raise Alert(what, "Install one of them, or run operators without images.")


def _command(program: str, image: str, found: FoundOperator, context: Path) -> list[str]:
    label = json.dumps(json.loads(found.spec.to_json()), separators=(",", ":"))
    built = [program, "build", "--tag", image, "--file", str(context / "Containerfile")]
    return [*built, "--label", f"{SPEC_LABEL}={label}", str(context)]


def _copy(folder: Path, context: Path) -> None:
    patterns = shutil.ignore_patterns(*_LEFT_OUT)

    def left_out(directory: str, names: list[str]) -> set[str]:
        links = {name for name in names if (Path(directory) / name).is_symlink()}
        return patterns(directory, names) | links

    shutil.copytree(folder, context, ignore=left_out)
