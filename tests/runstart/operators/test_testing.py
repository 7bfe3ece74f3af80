"""What authors test their operators with."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from runstart.errors import Alert
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.testing import call, published


def write(folder: Path, code: str, **spec: Any) -> Path:
    (folder / "run.py").write_text("from runstart.operators import *\n" + textwrap.dedent(code))
    if spec:
        (folder / "operator.json").write_text(json.dumps(spec))
    return folder / "run.py"


def texts(messages: list[BytesMessage]) -> list[tuple[str, str]]:
    return [(message.port, bytes(message.data).decode()) for message in messages]


def said(*words: str) -> list[BytesMessage]:
    return [BytesMessage(MessageHeader(), word.encode()) for word in words]


def test_messages_are_worked_on_between_set_up_and_tear_down(tmp_path: Path) -> None:
    code = """
    from pathlib import Path
    seen = []

    @dependencies
    def things():
        seen.append("set up")
        yield
        Path(__file__).with_name("seen").write_text(" ".join(seen))

    @operator
    def work(inputs, parameters):
        seen.append(f"{inputs.port}:{bytes(inputs.data).decode()}")
        return {parameters["to"]: inputs}

    @on_finish
    def rest(parameters):
        yield BytesMessage(MessageHeader(), b"rest")
    """
    spec = {
        "inputs": [{"name": "frames"}],
        "outputs": [{"name": "out"}],
        "parameters": [{"name": "to", "type": "str", "default": "out"}],
    }
    run = write(tmp_path, code, **spec)
    assert texts(call(run, said("a", "b"))) == [("out", "a"), ("out", "b"), ("", "rest")]
    assert (tmp_path / "seen").read_text() == "set up frames:a frames:b"
    assert texts(call(run, said("a"), {"to": "there"})) == [("there", "a"), ("", "rest")]
    assert (tmp_path / "seen").read_text() == "set up frames:a"


def test_data_come_as_they_do_in_a_pipeline(tmp_path: Path) -> None:
    code = """
    @operator
    def work(inputs, parameters):
        inputs.data[0] = 0
    """
    with pytest.raises(TypeError, match="read-only"):
        call(write(tmp_path, code), said("a"))


def test_a_source_is_called_to_its_end_or_to_a_limit(tmp_path: Path) -> None:
    code = """
    numbers = list(range(5))

    @operator
    async def source(inputs, parameters):
        if not numbers:
            raise EndOfStream
        return BytesMessage(MessageHeader(), str(numbers.pop(0)).encode())
    """
    run = write(tmp_path, code)
    assert [text for _, text in texts(call(run, []))] == list("01234")
    assert [text for _, text in texts(call(run, [], limit=2))] == list("01")


def test_triggers_are_pulled_by_their_mode(tmp_path: Path) -> None:
    code = """
    left = ["a", "b"]

    @operator
    def reader(inputs, parameters, trigger):
        return BytesMessage(MessageHeader(), left.pop(0).encode()) if left else None
    """
    run = write(tmp_path, code, triggers=[{"name": "one"}, {"name": "all", "mode": "drain"}])
    assert [text for _, text in texts(call(run, [], trigger="one"))] == ["a"]
    assert [text for _, text in texts(call(run, [], trigger="all"))] == ["a", "b"]
    with pytest.raises(Alert, match="no trigger 'some'"):
        call(run, [], trigger="some")


def test_what_is_published_is_remembered_with_what_it_is(tmp_path: Path) -> None:
    code = """
    @operator
    def show(inputs, parameters):
        publish("text/plain", inputs.data, "a text", keep=True)
    """
    published.clear()
    assert call(write(tmp_path, code), said("a", "b")) == []
    assert [(one.media_type, one.data, one.name, one.keep) for one in published] == [
        ("text/plain", b"a", "a text", True),
        ("text/plain", b"b", "a text", True),
    ]


def test_paths_of_mounts_are_in_the_data_directory(tmp_path: Path) -> None:
    code = """
    @operator
    def read(inputs, parameters):
        return BytesMessage(MessageHeader(), (DATA_DIRECTORY / "raw" / "file").read_bytes())
    """
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("content")
    run = write(
        tmp_path, code, inputs=[{"name": "in"}], parameters=[{"name": "raw", "type": "mount", "default": ""}]
    )
    assert texts(call(run, said(""), {"raw": str(data)})) == [("", "content")]


def test_what_an_operator_raises_is_raised_and_nothing_is_left(tmp_path: Path) -> None:
    before, search = set(sys.modules), list(sys.path)
    (tmp_path / "helper_of_it.py").write_text("def fail():\n    raise OSError('no detector')\n")
    code = """
    import helper_of_it

    @operator
    def work(inputs, parameters):
        helper_of_it.fail()
    """
    with pytest.raises(OSError, match="no detector"):
        call(write(tmp_path, code), said("a"))
    assert set(sys.modules) == before
    assert sys.path == search


def test_what_is_written_wrongly_is_told(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="things has no yield"):
        call(write(tmp_path, "@dependencies\ndef things(): ..."), [])
    with pytest.raises(TypeError, match="takes a function"):
        call(write(tmp_path, "@operator\nclass Work: ..."), [])
    with pytest.raises(Alert, match="more than one function under @on_finish"):
        call(
            write(tmp_path, "@operator\ndef o(i, p): ...\n@on_finish\ndef a(p): ...\n@on_finish\ndef b(p): ..."), []
        )
    with pytest.raises(Alert, match="There is no file"):
        call(tmp_path / "nothing.py", [])
