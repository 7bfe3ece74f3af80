from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.operation_kit import find_operation, find_operations

DECLARED = """
from runstart.operation_kit import operation

@operation(name="{name}", version="1", description="Does it.")
def {slug}(work):
    return None
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, str]]]:
    """Makes packages of modules; returns the environment that names them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def make_packages(**packages: dict[str, str]) -> dict[str, str]:
        for package, modules in packages.items():
            (tmp_path / package).mkdir()
            for module, text in {"__init__": "", **modules}.items():
                (tmp_path / package / f"{module}.py").write_text(text)
        return {"RUNSTART_OPERATIONS": ", ".join(packages)}

    yield make_packages
    for name in set(sys.modules) - before:
        if name.startswith("site_"):
            del sys.modules[name]


def declared(name: str, slug: str) -> str:
    return DECLARED.format(name=name, slug=slug)


def test_packages_that_the_environment_names_are_found(make: Callable[..., dict[str, str]]) -> None:
    environ = make(
        site_one={"first": declared("First Thing", "first_thing"), "_private": "raise AssertionError"},
        site_two={"second": declared("Second", "second")},
    )
    own = find_operations({})
    found = find_operations(environ)
    assert set(found) == {*own, "first_thing", "second"}
    assert list(found) == sorted(found)
    assert find_operation("first thing", environ) is find_operation("first_thing", environ)


def test_an_operation_that_another_module_imports_is_found_once(make: Callable[..., dict[str, str]]) -> None:
    environ = make(
        site_one={
            "first": declared("First", "first") + "also = first\n",
            "second": "from site_one.first import first\n",
        }
    )
    environ["RUNSTART_OPERATIONS"] += ",site_one"
    assert "first" in find_operations(environ)


@pytest.mark.parametrize(
    ("name", "slug"), [("First", "other"), ("Other", "first"), ("FIRST", "other"), ("First", "first")]
)
def test_two_operations_of_one_name_are_an_alert(make: Callable[..., dict[str, str]], name: str, slug: str) -> None:
    environ = make(site_one={"a": declared("First", "first")}, site_two={"b": declared(name, slug)})
    with pytest.raises(Alert, match=r"called 'first': of site_one\.a and site_two\.b"):
        find_operations(environ)


def test_an_operation_of_runstarts_own_cannot_be_hidden(make: Callable[..., dict[str, str]]) -> None:
    own = next(iter(find_operations({}).values()))
    with pytest.raises(Alert, match="Two data operations"):
        find_operations(make(site_one={"a": declared(own.name, "another")}))


@pytest.mark.parametrize(
    ("package", "text"),
    [
        ("site_absent", "cannot be imported"),
        ("../somewhere", "no name of a package"),
        (".relative", "no name of a package"),
        ("json.decoder", "is a module"),
    ],
)
def test_a_package_that_is_none_is_an_alert(package: str, text: str) -> None:
    with pytest.raises(Alert, match=text):
        find_operations({"RUNSTART_OPERATIONS": package})


def test_a_mistake_inside_of_an_operation_keeps_its_traceback(make: Callable[..., dict[str, str]]) -> None:
    with pytest.raises(ZeroDivisionError):
        find_operations(make(site_one={"a": "1 / 0"}))


def test_an_unknown_name_is_an_alert_with_the_nearest(make: Callable[..., dict[str, str]]) -> None:
    environ = make(site_one={"a": declared("Sharpening", "sharpen")})
    with pytest.raises(Alert, match="Did you mean 'Sharpening'"):
        find_operation("sharpenning", environ)
    with pytest.raises(Alert, match=r"There are .*sharpen"):
        find_operation("qqqq", environ)
