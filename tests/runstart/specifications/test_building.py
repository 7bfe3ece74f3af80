from __future__ import annotations

import json
from pathlib import Path

import pytest
from operator_specs import operator_data, write_operator_json

from runstart.errors import Alert
from runstart.specifications import SPEC_LABEL, FoundOperator, build_image, parse_operator_spec

ENGINE = """\
#!/bin/sh
for argument in "$@"; do printf '%s\\0' "$argument"; done > {seen}/{name}
for last in "$@"; do :; done
ls -A "$last" > {seen}/files
exit {code}
"""


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "seen").mkdir()
    return tmp_path / "seen"


def install(seen: Path, *names: str, code: int = 0) -> None:
    for name in ("buildah", "podman", "docker"):
        # Those of the machine are hidden by ones that cannot be run.
        program = seen.parent / "bin" / name
        program.write_text(ENGINE.format(seen=seen, name=name, code=code) if name in names else "")
        program.chmod(0o755 if name in names else 0o644)


def arguments(seen: Path, name: str) -> list[str]:
    return (seen / name).read_bytes().decode().split("\0")[:-1]


@pytest.fixture
def found(tmp_path: Path) -> FoundOperator:
    data = operator_data(description='It\'s "quoted" $(touch ran) `touch ran`; \N{GREEK SMALL LETTER MU}')
    folder = write_operator_json(tmp_path / "count-electrons", **data).parent
    for name in ("run.py", "Containerfile", "test_run.py", ".env", "helper.py"):
        (folder / name).touch()
    (folder / "__pycache__").mkdir()
    (folder / "secret").symlink_to("/etc/passwd")
    return FoundOperator("count-electrons", folder, parse_operator_spec(json.dumps(data), "count-electrons"))


def test_the_specification_travels_as_a_label_that_no_shell_reads(seen: Path, found: FoundOperator) -> None:
    install(seen, "podman")
    assert build_image(found, "podman") == "registry/team/count-electrons:latest"
    given = arguments(seen, "podman")
    assert given[:3] == ["build", "--tag", "registry/team/count-electrons:latest"]
    label = given[given.index("--label") + 1]
    name, _, text = label.partition("=")
    assert name == SPEC_LABEL == "interactem.operator.spec"
    assert parse_operator_spec(text, "label") == found.spec
    assert not list(seen.parent.rglob("ran"))


def test_the_engine_sees_no_tests_hidden_files_caches_and_links(seen: Path, found: FoundOperator) -> None:
    install(seen, "podman")
    build_image(found, "podman")
    assert (seen / "files").read_text().split() == ["Containerfile", "helper.py", "operator.json", "run.py"]
    assert not Path(arguments(seen, "podman")[-1]).exists()


def test_the_name_of_the_image_may_be_chosen(seen: Path, found: FoundOperator) -> None:
    install(seen, "docker")
    assert build_image(found, "docker", "team/count:2") == "team/count:2"
    assert "team/count:2" in arguments(seen, "docker")


@pytest.mark.parametrize("tag", ["--privileged", "a b", "A"])
def test_a_name_that_is_no_image_s_is_refused(seen: Path, found: FoundOperator, tag: str) -> None:
    install(seen, "docker")
    with pytest.raises(Alert, match="is none"):
        build_image(found, "docker", tag)
    assert not (seen / "docker").exists()


def test_the_first_engine_that_there_is_builds(
    seen: Path, found: FoundOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(seen, "buildah", "podman")
    build_image(found)
    assert (seen / "buildah").exists()
    assert not (seen / "podman").exists()
    monkeypatch.setenv("PATH", str(seen))
    with pytest.raises(Alert, match="none of buildah, podman, docker"):
        build_image(found)
    with pytest.raises(Alert, match="has no podman"):
        build_image(found, "podman")
    with pytest.raises(Alert, match="'sh' is no engine"):
        build_image(found, "sh")


def test_an_engine_that_fails_is_an_alert(seen: Path, found: FoundOperator) -> None:
    install(seen, "podman", code=125)
    with pytest.raises(Alert, match="podman ended with exit code 125"):
        build_image(found, "podman")


def test_without_a_containerfile_nothing_is_built(seen: Path, found: FoundOperator) -> None:
    install(seen, "podman")
    (found.folder / "Containerfile").unlink()
    with pytest.raises(Alert, match="has no Containerfile"):
        build_image(found, "podman")
