from __future__ import annotations

from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.toml_files import describe_unknown_key, read_document


def test_the_problem_that_comes_first_in_the_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[one]\nb = 1\n[two]\nc = 2\n")
    document = read_document(file, "")
    assert document.table == {"one": {"b": 1}, "two": {"c": 2}}
    alert = document.alert([(("two", "c"), "is wrong"), (("one", "b"), "is wrong too")])
    assert str(alert) == f"{file}:2: one.b: is wrong too. (1 more to mend in this file.)"


def test_a_file_that_is_not_there_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"cannot be read .*Write one"):
        read_document(tmp_path / "none.toml", "Write one.")


@pytest.mark.parametrize(("key", "told"), [("lagg", "did you mean 'lag'?"), ("zzz", "known keys: lag, gap")])
def test_an_unknown_key_is_told_with_the_nearest_or_all(key: str, told: str) -> None:
    assert describe_unknown_key(key, ["lag", "gap"]).endswith(told)
