from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import pytest

import runstart.schemas
from runstart.errors import Alert
from runstart.schemas.regenerate import main, regenerate_modules

SCHEMAS = Path(runstart.schemas.__file__).parent
GENERATED = SCHEMAS / "generated"


@pytest.mark.skipif(shutil.which("flatc") is None, reason="the FlatBuffers compiler is not installed")
def test_generated_modules_are_those_of_the_schemas(tmp_path):
    modules = regenerate_modules(tmp_path / "generated")
    committed = sorted(GENERATED.glob("*.py"))
    assert [module.name for module in modules] == [module.name for module in committed]
    for module, other in zip(modules, committed, strict=True):
        # Compilers of other versions word their output differently, but the slots are the format.
        assert slots(module) == slots(other)


def test_each_table_union_and_enum_has_its_module():
    text = "".join(path.read_text() for path in SCHEMAS.glob("*.fbs"))
    names = re.findall(r"^(?:table|union|enum) (\w+)", text, flags=re.MULTILINE)
    assert len(names) == len(set(names)) == 52
    for name in names:
        assert importlib.import_module(f"runstart.schemas.generated.{name}")


def test_missing_compiler_is_an_alert_that_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Alert, match="flatbuffers-compiler"):
        regenerate_modules(tmp_path / "generated")
    assert main() == 1
    assert "flatc" in capsys.readouterr().err


def slots(module: Path) -> list[str]:
    return sorted(set(re.findall(r"\.Prepend\w+Slot\(\d+", module.read_text())))
