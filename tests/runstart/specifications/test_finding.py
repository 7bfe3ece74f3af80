from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest
from operator_specs import OPERATOR_ID, write_operator_json

from runstart.errors import Alert
from runstart.specifications import check_operator_name, find_operators, operators_folders


def test_each_folder_with_an_operator_json_is_an_operator(tmp_path: Path) -> None:
    for name in ("sum-frames", "count"):
        write_operator_json(tmp_path / name, id=str(uuid4()))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "README.md").touch()
    troubles: list[str] = []
    found = find_operators([tmp_path], troubles)
    assert list(found) == ["count", "sum-frames"]
    assert found["count"].folder == tmp_path / "count"
    assert troubles == []


def test_what_cannot_be_read_is_told_and_hides_nothing(tmp_path: Path) -> None:
    write_operator_json(tmp_path / "good")
    write_operator_json(tmp_path / "Bad_Name", id=str(uuid4()))
    write_operator_json(tmp_path / "wrong", image=7)
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "operator.json").write_bytes(b"\xff\x00")
    write_operator_json(tmp_path / "zwilling", id=str(OPERATOR_ID))
    troubles: list[str] = []
    assert list(find_operators([tmp_path / "none", tmp_path], troubles)) == ["good"]
    told = "\n".join(troubles)
    assert len(troubles) == 5
    assert all(
        word in told for word in ("'Bad_Name'", "wrong/operator.json", "garbage/operator.json", "none", "zwilling")
    )


def test_the_first_folder_counts(tmp_path: Path) -> None:
    mine = write_operator_json(tmp_path / "mine" / "count")
    write_operator_json(tmp_path / "shipped" / "count", id=str(uuid4()))
    troubles: list[str] = []
    found = find_operators([tmp_path / "mine", tmp_path / "shipped"], troubles)
    assert found["count"].folder == mine.parent
    assert len(troubles) == 1


def test_the_folders_of_the_environment_come_before_the_default(tmp_path: Path) -> None:
    named = os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")])
    folders = operators_folders({"RUNSTART_OPERATORS": named}, tmp_path / "shipped")
    assert folders == [tmp_path / "a", tmp_path / "b", tmp_path / "shipped"]
    assert operators_folders({}, tmp_path) == [tmp_path]


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a--b", "1a", "a/b", "..", "a b", "a\n", "a" * 61])
def test_a_name_that_is_no_folders_is_refused(name: str) -> None:
    with pytest.raises(Alert, match="no name of an operator"):
        check_operator_name(name)
    check_operator_name("center-of-mass-2")
