"""The texts around a new operator's run.py: how its image is made, what it is, and a test that its author can extend."""

from __future__ import annotations

import json
from collections.abc import Sequence

from runstart.specifications._run_template import identifier
from runstart.specifications.operator_spec import OPERATOR_FILE, OperatorSpec, PortSpec


def containerfile(base_image: str, dependencies: Sequence[str]) -> str:
    """Return the text of a new operator's Containerfile; what it installs is never read by a shell."""
    install = ["python", "-m", "pip", "install", "--no-cache-dir", *dependencies]
    lines = [f"FROM {base_image}", "", *([f"RUN {json.dumps(install)}", ""] if dependencies else [])]
    return "\n".join([*lines, f"COPY run.py {OPERATOR_FILE} /app/"]) + "\n"


def readme(name: str, spec: OperatorSpec) -> str:
    """Return the text of a new operator's README.md."""
    ports = [(f"{kind} `{port.name}`", port.type, port.description) for kind, port in _ports(spec)]
    parameters = [
        (f"`{one.name}`", one.type, f"{one.description} Default: {_told(one.default)}.") for one in spec.parameters
    ]
    triggers = [(f"`{one.name}`", one.mode, one.description or "") for one in spec.triggers]
    parts = [f"# {spec.label}", spec.description or f"What {name} does."]
    parts += _table("Ports", ports) + _table("Parameters", parameters) + _table("Triggers", triggers)
    return "\n\n".join([*parts, _COMMANDS.format(name=name, test=f"test_{identifier(name)}.py")]) + "\n"


def _ports(spec: OperatorSpec) -> list[tuple[str, PortSpec]]:
    return [*(("input", port) for port in spec.inputs), *(("output", port) for port in spec.outputs)]


def _told(default: object) -> str:
    return "none" if default == "" else f"`{default}`"


def _table(title: str, rows: Sequence[tuple[str, str, str]]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {' | '.join(row)} |" for row in (("name", "type", "what it is"), ("---",) * 3, *rows)]
    return [f"## {title}", "\n".join(lines)]


_COMMANDS = """## Working on it

```
pytest {test}
runstart operator validate .
runstart operator build {name}
```

`run.py` holds the code, `operator.json` says what it takes and gives; a change of one mostly needs one of the other,
and `validate` tells where they differ."""


def test_py(name: str, spec: OperatorSpec) -> str:
    """Return the text of a new operator's test."""
    body = _test_body(spec)
    code = "\n".join(body)
    helpers = ["call", *(["published"] if "published" in code else [])]
    kit = [word for word in ("BytesMessage", "MessageHeader") if word in code]
    lines = [
        f'"""Tests of {name}: pytest test_{identifier(name)}.py."""',
        "",
        "from __future__ import annotations",
        "",
        *(["import json"] if "json." in code else []),
        "from pathlib import Path",
        "",
        *([f"from runstart.operators import {', '.join(kit)}"] if kit else []),
        f"from runstart.operators.testing import {', '.join(helpers)}",
        "",
        'RUN = Path(__file__).with_name("run.py")',
        "",
        "",
        *body,
    ]
    return "\n".join(lines) + "\n"


def _test_body(spec: OperatorSpec) -> list[str]:
    parts = []
    if spec.inputs:
        parts.append(
            _SHOWN if not spec.outputs else _PASSED.format(passed=", ".join(['b"some data"'] * len(spec.outputs)))
        )
    elif not spec.triggers:
        parts.append(_MADE.format(count=10 * len(spec.outputs)))
    for trigger in spec.triggers:
        count = (3 if trigger.mode == "drain" else 1) if spec.outputs else 0
        text = _PULLED if spec.outputs else _PUBLISHED
        parts.append(text.format(name=trigger.name, word=identifier(trigger.name), count=count))
    return "\n\n\n".join(parts).splitlines()


_PASSED = '''\
def test_a_message_is_passed_on() -> None:
    """What comes in goes out of every output."""
    passed = call(RUN, [BytesMessage(MessageHeader(meta={{"number": 1}}), b"some data")])
    assert [bytes(message.data) for message in passed] == [{passed}]'''
_SHOWN = '''\
def test_the_size_of_a_message_is_shown() -> None:
    """What comes in is seen on the page."""
    published.clear()
    assert call(RUN, [BytesMessage(MessageHeader(), b"some data")]) == []
    assert json.loads(published[-1].data)["bytes"] == 9'''
_MADE = '''\
def test_it_makes_ten_messages() -> None:
    """It ends by itself."""
    assert len(call(RUN, [])) == {count}'''
_PULLED = '''\
def test_pulling_{word}_sends() -> None:
    """A trigger is answered."""
    assert len(call(RUN, [], trigger="{name}")) == {count}'''
_PUBLISHED = '''\
def test_pulling_{word}_is_shown() -> None:
    """A trigger is answered."""
    published.clear()
    call(RUN, [], trigger="{name}")
    assert json.loads(published[-1].data)["trigger"] == "{name}"'''
