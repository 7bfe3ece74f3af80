"""Every container file of the repository: linted by hadolint, and what hadolint does not look for."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT) for folder in ("k8s", "operators") for path in (ROOT / folder).rglob("Containerfile")
)
# Those that are built on a foreign image; an operator's own is built on ours, which is made beside it.
FROM_FOREIGN = [Path("k8s/images/code-location/Containerfile"), Path("operators/base/Containerfile")]
OURS = "localhost/runstart/operator"
# Tags of our own images, which are made here and pulled from nowhere.
IGNORED = ("DL3006", "DL3007")
SECRET = re.compile(r"(?i)(password|passwd|token|secret|api_?key)\w*\s*[=:]\s*\S")


def instructions(file: Path) -> list[tuple[str, str]]:
    """Return the instructions of a container file, each with its arguments on one line."""
    text = (ROOT / file).read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    split = (line.strip().partition(" ") for line in text.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, _, rest in split]


def arguments(file: Path, wanted: str) -> list[str]:
    return [rest for word, rest in instructions(file) if word == wanted]


def test_there_are_the_files_that_are_looked_at() -> None:
    assert len(FILES) > 15
    assert set(FROM_FOREIGN) <= set(FILES)


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    ignored = [part for code in IGNORED for part in ("--ignore", code)]
    command = [str(program), "--format", "json", *ignored, *map(str, FILES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = [f"{one['file']}:{one['line']}: {one['code']} {one['message']}" for one in json.loads(done.stdout)]
    assert found == []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_foreign_image_is_named_by_its_digest(file: Path) -> None:
    images = {rest.split()[0] for rest in arguments(file, "FROM")}
    if file not in FROM_FOREIGN:
        assert {image.partition(":")[0] for image in images} == {OURS}
        return
    stages = {rest.split()[-1] for rest in arguments(file, "FROM") if " AS " in rest}
    assert images - stages == {"${BASE}"}
    base, *_ = (rest for rest in arguments(file, "ARG") if rest.startswith("BASE="))
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)


def test_all_are_built_on_the_same_digest() -> None:
    assert len({arguments(file, "ARG")[0] for file in FROM_FOREIGN}) == 1


@pytest.mark.parametrize("file", FROM_FOREIGN, ids=str)
def test_an_image_is_for_a_numbered_user_without_rights(file: Path) -> None:
    assert arguments(file, "USER") == ["10001:10001"]


@pytest.mark.parametrize("file", FROM_FOREIGN, ids=str)
def test_an_image_says_what_it_is(file: Path) -> None:
    labels = {part.partition("=")[0] for rest in arguments(file, "LABEL") for part in shlex.split(rest)}
    wanted = ("title", "description", "version", "licenses")
    assert labels >= {f"org.opencontainers.image.{name}" for name in wanted}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_nothing_is_fetched_by_add_nor_run_by_sudo_nor_kept_of_secrets(file: Path) -> None:
    assert arguments(file, "ADD") == []
    assert not [rest for rest in arguments(file, "RUN") if re.search(r"\b(sudo|curl|wget)\b", rest)]
    kept = [rest for word in ("ENV", "ARG", "LABEL") for rest in arguments(file, word)]
    assert not [rest for rest in kept if SECRET.search(rest)]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_what_pip_downloads_is_in_no_layer(file: Path) -> None:
    for rest in arguments(file, "RUN"):
        if "pip" in rest and "install" in rest:
            assert "--no-cache-dir" in rest or "--mount=type=cache,target=/root/.cache/pip" in rest


@pytest.mark.parametrize("file", FROM_FOREIGN, ids=str)
def test_what_is_installed_comes_before_the_code(file: Path) -> None:
    # So that a change of code rebuilds the last layers only.
    final = instructions(file)[max(i for i, (word, _) in enumerate(instructions(file)) if word == "FROM") :]
    copied = [rest.split()[0] for word, rest in final if word == "COPY"]
    assert copied[0] == "--from=libraries"
    assert "--from=code" in copied[1:]
