from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from runstart.errors import Alert
from runstart.pipelines import Stage
from runstart.sessions.mounts import link_mounts, mounts_of
from runstart.specifications import OperatorSpec


def stage(*parameters: dict[str, object]) -> Stage:
    plain = {"label": "x", "description": "", "type": "mount", "default": "", "required": False}
    spec = OperatorSpec.model_validate(
        {
            "id": str(uuid4()),
            "label": "Reader",
            "description": "",
            "image": "x/reader",
            "parameters": [{**plain, **parameter} for parameter in parameters],
        }
    )
    return Stage("reader", uuid4(), spec)


READER = stage({"name": "scan"}, {"name": "output_dir"}, {"name": "cache", "writable": True})


def test_only_what_says_so_or_is_called_output_may_be_written(tmp_path: Path) -> None:
    values = {"scan": str(tmp_path), "output_dir": str(tmp_path), "cache": str(tmp_path)}

    mounts = mounts_of(READER, values, None)

    assert {name: mount.writable for name, mount in mounts.items()} == {
        "scan": False,
        "output_dir": True,
        "cache": True,
    }
    assert mounts["scan"].target == "/mnt/scan"
    assert mounts["scan"].source == tmp_path


def test_empty_mount_that_is_not_required_is_left_out() -> None:
    assert mounts_of(READER, {"scan": ""}, None) == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("scans/a", "not an absolute path"),
        ("/no/such/file", "does not exist"),
        ("", "absolute"),
        ("/" + "x" * 300, "does not exist"),
    ],
)
def test_path_that_cannot_be_mounted_is_named_with_operator_and_parameter(value: str, said: str) -> None:
    with pytest.raises(Alert, match=f"scan of reader is '{value}'.*{said}"):
        mounts_of(stage({"name": "scan", "required": True}), {"scan": value}, None)


def test_link_that_leads_out_of_the_roots_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "file").write_text("x")

    assert mounts_of(READER, {"scan": str(inside / "file")}, (inside,))["scan"].source == inside / "file"
    for path in (inside / "link", inside / ".." / "out", outside, tmp_path):
        with pytest.raises(Alert, match="outside"):
            mounts_of(READER, {"scan": str(path)}, (inside,))
    with pytest.raises(Alert, match="outside"):
        mounts_of(READER, {"scan": str(inside)}, ())


def test_processes_see_links_that_change_with_the_mounts(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    folder = tmp_path / "mnt"

    link_mounts(folder, mounts_of(READER, {"scan": str(first), "cache": str(first)}, None))
    link_mounts(folder, mounts_of(READER, {"scan": str(second)}, None))

    assert {path.name: path.resolve() for path in folder.iterdir()} == {"scan": second}


def test_path_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(Alert, match="scan of reader is '/etc"):
        mounts_of(READER, {"scan": "/etc\0/x"}, None)
