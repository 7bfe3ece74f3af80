from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operation_toys import every_kind, toy
from typer.testing import CliRunner

from runstart.cli import app
from runstart.cli._operation_inputs import LocalFiles, read_inputs
from runstart.errors import Alert
from runstart.fits import read_image, write_image
from runstart.operation_kit import find_operation

COMMANDS = ("list", "describe", "run", "show", "forget", "prune")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with two images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RUNSTART_FILE_CACHE", str(tmp_path / "cache"))
    for name in ("OBJECT_STORE", "OPERATIONS", "MEMORY_LIMIT", "FITS_FOLDERS", "FITS_URIS", "SCRATCH", "SITES"):
        monkeypatch.delenv(f"RUNSTART_{name}", raising=False)
    for name, value in (("a", 1), ("b b", 5)):
        write_image(tmp_path / f"{name}.fits", np.full((6, 8), value, np.float32), {"OBJECT": name})
    return tmp_path


def run(*arguments: str, stdin: str = "") -> Any:
    return CliRunner().invoke(app, ["operations", *arguments], input=stdin)


def succeed(*arguments: str, stdin: str = "") -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    output: str = result.stdout
    return output


def fail(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.count("runstart: ") == 1
    text: str = result.stderr
    return text


def brighten(*more: str) -> dict[str, Any]:
    arguments = ("run", "increase_brightness", "a.fits", "-i", "brightness=2", "--json", *more)
    answer: dict[str, Any] = json.loads(succeed(*arguments))
    return answer


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    assert succeed(command, "--help").count(f"runstart operations {command}") >= 2


def test_the_list_shows_every_operation_and_its_inputs() -> None:
    text = succeed("list")
    for part in (
        "increase_brightness",
        "Increase Brightness",
        "input_files: fits 2..999",
        "subtraction_file: fits 1",
    ):
        assert part in text
    assert 'stacking_mode: simple | reproject = "simple"' in " ".join(text.split())


def test_the_list_and_the_descriptions_are_there_for_programs() -> None:
    listed = json.loads(succeed("list", "--json"))
    median = find_operation("median")
    assert listed["median"] == median.wizard() == json.loads(succeed("describe", "Median"))
    assert json.loads(succeed("describe", "median", "--schema")) == median.schema()


def test_an_operation_that_is_not_there_is_told() -> None:
    assert "Did you mean 'Median'" in fail("describe", "medan")


def test_local_files_are_computed_and_found_the_next_time(folder: Path) -> None:
    first = succeed("run", "subtraction", "b b.fits", "a.fits", "--input", "subtraction_file=./a.fits")
    assert "computed in" in first
    places = [Path(line.strip()) for line in first.splitlines() if line.endswith(".fits")]
    assert [float(read_image(place).data[0, 0]) for place in places] == [0.0, 4.0]
    assert all(place.is_relative_to(folder / ".runstart" / "store") for place in places)
    second = succeed("run", "Subtraction", "*.fits", "-i", "subtraction_file=a.fits")
    assert "from the cache" in second
    assert second.splitlines()[1:] == first.splitlines()[1:]


def test_a_request_may_be_a_file_or_standard_input_and_inputs_override_it(folder: Path) -> None:
    request = {"input_files": [(folder / "a.fits").as_uri()], "brightness": 9}
    (folder / "request.json").write_text(json.dumps(request))
    with_input = ("increase_brightness", "a.fits", "-i", "brightness=9.0", "--json")
    assert json.loads(succeed("run", *with_input))["computed"]
    again = succeed("run", "increase_brightness", "a.fits", "--request", "request.json", "--json")
    assert not json.loads(again)["computed"]
    changed = ("increase_brightness", "a.fits", "--request", "-", "-i", "brightness=10", "--json")
    made = json.loads(succeed("run", *changed, stdin=json.dumps(request)))
    assert made["made_of"]["inputs"]["brightness"] == 10.0


def test_a_request_from_elsewhere_names_no_file_of_this_machine(folder: Path) -> None:
    request = {"input_files": [(folder / "a.fits").as_uri()], "brightness": 9}
    (folder / "request.json").write_text(json.dumps(request))
    assert "in no folder that may be read" in fail("run", "increase_brightness", "--request", "request.json")


def write_sites(file: Path, folder: Path) -> None:
    (folder / "arrived").mkdir()
    (folder / "arrived" / "a.fits").write_bytes((folder / "a.fits").read_bytes())
    file.write_text(f'[sites.HILL]\nfirst_night = 2025-01-01\nexposures = "file:{folder / "arrived"}"\n')


@pytest.mark.parametrize("name", ["sites.toml", "others.toml"])
def test_exposures_of_sites_are_sources(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ("run", "increase_brightness", "HILL/a.fits", "-i", "brightness=2", "--json")
    assert "no source 'HILL'" in fail(*ask)
    write_sites(folder / name, folder)
    if name != "sites.toml":
        monkeypatch.setenv("RUNSTART_SITES", str(folder / name))
    assert json.loads(succeed(*ask))["asked"]["input_files"] == ["HILL/a.fits"]


def test_a_file_of_sites_that_is_not_there_is_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTART_SITES", "nothing.toml")
    assert "nothing.toml" in fail("run", "increase_brightness", "a.fits", "-i", "brightness=2")


def test_a_site_with_the_name_of_a_folder_is_an_alert(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sites(folder / "sites.toml", folder)
    monkeypatch.setenv("RUNSTART_FITS_FOLDERS", f"HILL={folder}")
    told = " ".join(fail("run", "increase_brightness", "HILL/a.fits", "-i", "brightness=2").split())
    assert "The site 'HILL'" in told
    assert "RUNSTART_FITS_FOLDERS" in told


def test_outputs_are_copied_where_they_are_wanted(folder: Path) -> None:
    text = succeed("run", "increase_brightness", "a.fits", "-i", "brightness=2", "--export", "deep/out")
    copies = sorted((folder / "deep" / "out").iterdir())
    assert [str(copy.relative_to(folder)) in text for copy in copies] == [True] * 4
    key = brighten()["key"]
    (image,) = (copy for copy in copies if copy.suffix == ".fits")
    assert image.name == f"increase_brightness-{key[:12]}-1.fits"
    assert {copy.name.removeprefix(image.stem) for copy in copies} == {".fits", ".tif", "-large.jpg", "-small.jpg"}
    assert float(read_image(image).data[0, 0]) == 3.0
    (folder / "file").write_bytes(b"")
    export = ("run", "increase_brightness", "a.fits", "-i", "brightness=2", "--export", "file")
    assert "file cannot be written" in fail(*export)


def test_another_store_is_used_if_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTART_OBJECT_STORE", f"file:{folder / 'mine'}")
    key = brighten()["key"]
    assert (folder / "mine" / "operations" / key / "entry.json").is_file()
    assert brighten("--store", "file:other")["computed"]
    assert (folder / "other" / "operations" / key / "entry.json").is_file()
    assert not (folder / ".runstart").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["x.fits"], "no file 'x.fits' here"),
        (["./x/y.fits"], "no file './x/y.fits' here"),
        (["x*.fits"], "No file matches 'x*.fits'"),
        (["nowhere/x.fits", "-i", "brightness=1"], "no source 'nowhere'"),
        (["a.fits", "-i", "brightness"], "'brightness' is no input"),
        (["a.fits", "-i", "brightness=much"], "brightness is 'much', which is no finite number"),
        (["a.fits", "-i", "brightness=NaN"], "brightness is nan"),
        (["a.fits", "-i", "brightness=1", "-i", "brightness=2"], "'brightness' is given 2 times"),
        (["a.fits", "-i", "level=1"], "has no input 'level'"),
        (["-i", "input_files=[1", "-i", "brightness=1"], "'[1' is no JSON"),
        (["--request", "absent.json"], "'absent.json' cannot be read"),
        (["--request", "a.fits"], "'a.fits' is no JSON"),
        (["a.fits", "-i", "brightness=1", "--memory-limit", "much"], "is no size"),
        (["a.fits", "-i", "brightness=1", "--store", "ftp:x"], "does not name an object store"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], text: str) -> None:
    assert text in fail("run", "increase_brightness", *arguments)


def test_a_key_shows_what_it_was_made_of(folder: Path) -> None:
    entry = brighten()
    text = succeed("show", entry["key"][:10])
    digest = hashlib.sha256((folder / "a.fits").read_bytes()).hexdigest()
    objects = entry["outputs"][0]["sha256"].values()
    for part in (entry["key"], "Increase Brightness, version", f"sha256:{digest}", "a.fits", "brightness = 2.0"):
        assert part in text
    assert all(f"sha256:{sha256}" in text for sha256 in objects)
    shown = json.loads(succeed("show", entry["key"], "--json"))
    assert shown == {name: value for name, value in entry.items() if name != "computed"}
    assert "No key" in fail("show", "f" * 64)


def test_the_names_shown_are_those_of_who_asked_first(folder: Path) -> None:
    key = brighten()["key"]
    (folder / "a.fits").rename(folder / "renamed.fits")
    assert "from the cache" in succeed("run", "increase_brightness", "renamed.fits", "-i", "brightness=2")
    shown = succeed("show", key)
    assert "by the names that the first who asked gave them" in shown
    assert "a.fits" in shown
    assert "renamed.fits" not in shown


def test_what_a_file_tells_does_not_reach_the_terminal_as_it_is(folder: Path) -> None:
    entry = brighten()
    name = folder / ".runstart" / "store" / "operations" / entry["key"] / "entry.json"
    fields = json.loads(name.read_text())
    fields["outputs"][0]["label"] = "\x1b[2J[bold]x"
    name.write_text(json.dumps(fields))
    assert "?[2J[bold]x" in succeed("show", entry["key"])
    succeed("run", "increase_brightness", "a.fits", "-i", "brightness=2")


def test_colours_and_filters_are_shown_with_their_files(folder: Path) -> None:
    channel = {"uri": "a.fits", "color": {"r": 255, "g": 0, "b": 0}, "zmin": 0, "zmax": 5}
    key = json.loads(
        succeed(
            "run", "color_image", "-i", f"color_channels={json.dumps(channel)}", "-i", "alignment=none", "--json"
        )
    )["key"]
    text = succeed("show", key)
    assert "a.fits" in text
    assert '"zmax": 5.0' in text


def test_forgetting_removes_what_was_made() -> None:
    key = brighten()["key"]
    assert f"{key} would be removed" in succeed("forget", key[:8], "--dry-run")
    assert not brighten()["computed"]
    assert "6 objects removed" in succeed("forget", f"{key}-1")
    assert "No key" in fail("forget", key)
    assert brighten()["computed"]


def test_pruning_removes_what_is_old(folder: Path) -> None:
    key = brighten()["key"]
    assert "0 keys removed" in succeed("prune", "--older-than", "1")
    place = folder / ".runstart" / "store" / "operations" / key
    for name, field in (("entry.json", "made_at"), ("claim.json", "at")):
        fields = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps({**fields, field: "2020-02-03T04:05:06+00:00"}))
    assert "1 keys would be removed" in succeed("prune", "--older-than", "1", "--dry-run")
    assert not brighten()["computed"]
    assert f"{key} of 2020-02-03" in succeed("prune", "--older-than", "1")
    assert brighten()["computed"]


def test_pruning_keeps_what_nights_need(folder: Path) -> None:
    from datetime import date

    from runstart.nights import Product, Record, Site, save_record
    from runstart.storage import FileStore

    key = brighten()["key"]
    store = FileStore(folder / ".runstart" / "store")
    record = Record("hill", "2026-03-28", "stacks", "1", "", products=(Product("M51", key=key, basename=key),))
    save_record(store, Site(name="hill", first_night=date(2026, 1, 1), exposures="file:/x"), record)
    text = succeed("prune", "--older-than", "0")
    assert "0 keys removed" in text
    assert "1 keys kept, because nights need them" in text
    assert not brighten()["computed"]
    store.delete("nights/hill/2026-03-28/stacks.json")
    assert "1 keys removed" in succeed("prune", "--older-than", "0")


def test_pruning_tells_what_it_cannot_date(folder: Path) -> None:
    key = brighten()["key"]
    for name in ("entry.json", "claim.json"):
        (folder / ".runstart" / "store" / "operations" / key / name).write_text("{")
    text = succeed("prune", "--older-than", "0")
    assert f"{key}: its age is not known" in text
    assert "0 keys removed" in text
    assert f"operations forget {key}" in fail("show", key)


def given(*assignments: str, files: tuple[str, ...] = (), operation: Any = every_kind) -> dict[str, Any]:
    return read_inputs(operation, files, assignments, LocalFiles())


def test_values_are_read_as_their_kind_says(folder: Path) -> None:
    read = given(
        "images=archive/x",
        'images=["archive/y", {"source": "archive", "basename": "z", "filter": "rp"}]',
        'target={"ra": 1, "dec": 2}',
        'track={"ra": 1, "dec": 2}',
        'track={"ra": 3, "dec": 4}',
        "radius=1e1",
        "order=3",
        "title=5=five",
        "method=simple",
        "unknown=x",
    )
    assert read == {
        "images": ["archive/x", "archive/y", {"source": "archive", "basename": "z", "filter": "rp"}],
        "target": {"ra": 1, "dec": 2},
        "track": [{"ra": 1, "dec": 2}, {"ra": 3, "dec": 4}],
        "radius": 10.0,
        "order": 3,
        "title": "5=five",
        "method": "simple",
        "unknown": "x",
    }


def test_a_path_counts_before_a_source_and_links_are_followed(folder: Path) -> None:
    (folder / "archive").mkdir()
    (folder / "archive" / "x").symlink_to(folder / "a.fits")
    uri = (folder / "a.fits").as_uri()
    channel = {"uri": "a.fits", "zmin": 0}
    assert given("images=archive/x", "images=s3://b/k", files=("a.fits", "archive/y")) == {
        "images": [uri, "archive/y", uri, "s3://b/k"]
    }
    assert given(f"channels={json.dumps(channel)}") == {"channels": [{"uri": uri, "zmin": 0}]}


def test_files_for_an_operation_that_takes_none_are_an_alert() -> None:
    without = type(toy)(**{**vars(toy), "inputs": {"level": toy.inputs["level"]}})
    with pytest.raises(Alert, match="takes no files"):
        given(files=("a.fits",), operation=without)
