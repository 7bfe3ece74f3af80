from __future__ import annotations

import errno
import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from operation_toys import filtered_toy, toy

from runstart.errors import Alert, Transient
from runstart.fits import FitsReference, write_image
from runstart.operation_kit import (
    Answer,
    Entry,
    Float,
    OutputFile,
    OutputImage,
    Work,
    Workplace,
    execute,
    find_output,
    load_entry,
    operation,
    prepare,
    remove,
)
from runstart.operation_kit.keys import library_version

FILES = ["night/a.fits", "night/b.fits"]


class Told:
    """What a reporter was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, str]] = []
        self.outputs: list[OutputFile] = []

    def progress(self, fraction: float, message: str) -> None:
        self.steps.append((fraction, message))

    def output(self, output: OutputFile) -> None:
        self.outputs.append(output)


def run(place: Workplace, told: Told | None = None, **inputs: Any) -> Answer:
    return execute(toy, {"input_files": FILES, **inputs}, place, told)


def claim_of(place: Workplace, **inputs: Any) -> Any:
    key = prepare(toy, {"input_files": FILES, **inputs}, place.inputs).key
    return json.loads(place.store.get(f"operations/{key}/claim.json").data)


def test_a_request_is_computed_once_and_then_found(place: Workplace, log: Any) -> None:
    first, second = run(place), run(place)
    assert (first.computed, second.computed) == (True, False)
    assert first.entry == second.entry == load_entry(place.store, first.entry.key)
    assert len(log.pids) == 1
    assert run(place, level=2).computed


def test_an_output_has_its_objects_and_their_digests(place: Workplace) -> None:
    entry = run(place).entry
    (output,) = entry.outputs
    assert (output.basename, output.type, output.source) == (entry.key, "fits", "store")
    assert (output.label, output.figures) == ("a.fits", {"level": 1.0})
    assert set(output.objects) == {"fits", "large", "small", "tif"}
    for name, object_name in output.objects.items():
        data = place.store.get(object_name).data
        assert hashlib.sha256(data).hexdigest() == output.sha256[name]
        assert object_name.startswith(f"operations/{entry.key}/1-")
    assert output.thumbnail.startswith("![")


def test_outputs_that_are_yielded_are_numbered_from_one(place: Workplace) -> None:
    entry = run(place, mode="several", count=3).entry
    assert [output.basename for output in entry.outputs] == [f"{entry.key}-{n}" for n in (1, 2, 3)]
    assert [output.label for output in entry.outputs] == ["number 0", "number 1", "number 2"]
    single = run(place, mode="several", count=1).entry
    assert [output.basename for output in single.outputs] == [f"{single.key}-1"]


def test_a_picture_has_no_fits(place: Workplace) -> None:
    entry = run(place, mode="picture").entry
    assert entry.outputs[0].type == "image"
    assert set(entry.outputs[0].objects) == {"large", "small", "tif"}
    with pytest.raises(Alert, match="No data operation has made the FITS image"):
        find_output(place.store, entry.key)


def test_the_entry_says_what_the_key_was_made_of(place: Workplace) -> None:
    entry = run(place, note="x").entry
    digests = [f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in ("a", "b")]
    inputs = {"input_files": digests, "level": 1.0, "count": 2, "mode": "plain", "note": "x"}
    assert entry.made_of == {
        "operation": "Toy",
        "version": "1",
        "source_sha256": toy.source_sha256,
        "library": library_version(),
        "inputs": inputs,
    }
    assert entry.asked == {**inputs, "input_files": FILES}
    canonical = json.dumps(entry.made_of, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() == entry.key


def test_a_fits_output_says_where_it_comes_from(place: Workplace) -> None:
    from astropy.io import fits

    entry = run(place, note="why").entry
    with fits.open(place.store.root / entry.outputs[0].objects["fits"]) as file:  # type: ignore[attr-defined]
        history = "\n".join(file["SCI"].header["HISTORY"])
        assert entry.key in file[0].header.values()
    for text in ("Toy, version 1", "a.fits sha256", "b.fits sha256", "level = 1.0", "note = why"):
        assert text in history


def test_progress_grows_from_0_to_1_and_outputs_are_told_as_they_are_made(place: Workplace) -> None:
    told = Told()
    answer = run(place, told, mode="several")
    fractions = [fraction for fraction, _ in told.steps]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert "image 1" in [message for _, message in told.steps]
    assert tuple(told.outputs) == answer.entry.outputs
    again = Told()
    run(place, again, mode="several")
    assert tuple(again.outputs) == answer.entry.outputs
    assert again.steps[-1] == (1.0, "Found in the cache")


@pytest.mark.parametrize(
    ("mode", "kind", "text"),
    [
        ("alert", Alert, "does not like"),
        ("alert_after_one", Alert, "has had enough"),
        ("nothing", Alert, "made nothing"),
        ("crash", ZeroDivisionError, "^$"),
        ("wrong", TypeError, "toy yields list"),
    ],
)
def test_a_failure_leaves_no_entry_and_releases_the_claim_at_once(
    place: Workplace, log: Any, mode: str, kind: type[Exception], text: str
) -> None:
    for attempt in (1, 2):
        with pytest.raises(kind, match=text):
            run(place, mode=mode)
        assert claim_of(place, mode=mode)["attempt"] == attempt
        assert claim_of(place, mode=mode)["released"]
    assert len(log.pids) == 2
    assert not [name for name in place.store.list() if name.endswith("entry.json")]
    assert [path for path in place.scratch.iterdir() if path.is_dir()] == []


def test_the_scratch_folder_is_removed(place: Workplace) -> None:
    run(place)
    assert [path for path in place.scratch.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ["fits", "large", "small", "tif"])
def test_an_output_that_is_deleted_is_computed_again(place: Workplace, name: str) -> None:
    first = run(place).entry
    place.store.delete(first.outputs[0].objects[name])
    assert load_entry(place.store, first.key) is None
    second = run(place)
    assert second.computed
    assert second.entry.key == first.key
    assert second.entry.outputs[0].objects != first.outputs[0].objects
    assert not run(place).computed


def damaged(entry: Entry) -> dict[str, bytes]:
    whole = json.loads(entry.to_json())
    changed = {
        "another format": {**whole, "format": 99},
        "another key": {**whole, "key": "0" * 64},
        "a field more": {**whole, "x": 1},
        "a field less": {name: value for name, value in whole.items() if name != "seconds"},
        "no time": {**whole, "made_at": "yesterday"},
        "no outputs": {**whole, "outputs": None},
        "an output of another form": {**whole, "outputs": [{**whole["outputs"][0], "objects": ["x"]}]},
        "an object of another form": {**whole, "outputs": [{**whole["outputs"][0], "objects": {"fits": 1}}]},
        "a list": [whole],
    }
    return {"empty": b"", "half": entry.to_json()[:200], "bytes": b"\xff\xfe"} | {
        name: json.dumps(value).encode() for name, value in changed.items()
    }


def test_a_damaged_entry_is_an_alert_that_says_how_to_mend_it(place: Workplace, log: Any) -> None:
    entry = run(place).entry
    name = f"operations/{entry.key}/entry.json"
    for what, data in damaged(entry).items():
        place.store.put(name, data)
        with pytest.raises(Alert, match=f"entry {name} cannot be read.*forget {entry.key}"):
            run(place)
        assert len(log.pids) == 1, what
    remove(place.store, entry.key)
    assert run(place).computed


def test_an_output_is_an_input_of_another_operation(place: Workplace) -> None:
    entry = run(place, mode="several").entry
    assert find_output(place.store, f"{entry.key}-2") == entry.outputs[1].objects["fits"]
    made = execute(toy, {"input_files": [f"store/{entry.key}-2"]}, place)
    digest = entry.outputs[1].sha256["fits"]
    assert made.entry.made_of["inputs"]["input_files"] == [f"sha256:{digest}"]
    for basename in (f"{entry.key}-3", "f" * 64):
        with pytest.raises(Alert, match="No data operation has made"):
            execute(toy, {"input_files": [f"store/{basename}"]}, place)


def test_a_file_that_is_not_there_is_an_alert_and_claims_nothing(place: Workplace) -> None:
    for name in ("night/x.fits", "nowhere/a.fits"):
        with pytest.raises(Alert):
            execute(toy, {"input_files": [*FILES, name]}, place)
    assert place.store.list() == []


@operation(name="Figures", version="1", description="Tells figures.")
def figures(
    work: Work, bad: Annotated[float, Float("Bad", "Whether to tell one that is none.")] = 0.0
) -> OutputImage:
    told = {
        "nan": math.nan,
        "inf": np.float32(math.inf),
        "count": np.int64(3),
        "text": "x",
        "mean": np.float32(0.5),
    }
    more: dict[str, Any] = {"mask": np.zeros(2)} if bad else {}
    return OutputImage(np.zeros((4, 4), np.float32), figures={**told, **more})


def test_figures_become_plain_json(place: Workplace) -> None:
    answer = execute(figures, {}, place)
    expected = {"nan": "nan", "inf": "inf", "count": 3, "text": "x", "mean": 0.5}
    assert answer.entry.outputs[0].figures == expected
    assert execute(figures, {}, place).entry == answer.entry
    with pytest.raises(TypeError, match="'mask' is a ndarray"):
        execute(figures, {"bad": 1}, place)


@operation(name="Full", version="1", description="Finds the disk full.")
def full(work: Work, number: Annotated[float, Float("Number", "Of the error.")]) -> OutputImage:
    raise OSError(int(number), "message", str(work.scratch / "file"))


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, Transient), (errno.EDQUOT, Transient), (errno.EBADF, OSError)]
)
def test_a_full_disk_passes(place: Workplace, number: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        execute(full, {"number": number}, place)


@operation(name="Ended", version="1", description="Says how it ended.")
def ended(work: Work) -> Any:
    def make() -> Any:
        try:
            yield OutputImage(np.zeros((4, 4), np.float32))
            yield "no output"
        finally:
            (work.scratch.parent / "ended").write_text(str(work.scratch.is_dir()))

    return make()


def test_a_generator_is_ended_before_its_scratch_folder_goes(place: Workplace) -> None:
    with pytest.raises(TypeError, match="ended yields str"):
        execute(ended, {}, place)
    assert (place.scratch / "ended").read_text() == "True"


@pytest.fixture
def filters(place: Workplace, tmp_path: Path) -> Workplace:
    """A workplace with images whose headers name a filter, or none."""
    for name, header in {"rp": {"FILTER": "rp"}, "gp": {"FILTER": "gp"}, "v": {"FILTER": "V"}, "none": {}}.items():
        write_image(tmp_path / "night" / f"{name}.fits", np.zeros((4, 4), np.int16), header)
    return place


def ask(place: Workplace, *files: Any, **others: Any) -> str:
    """Return the filters that the operation was told."""
    return execute(filtered_toy, {"input_files": list(files), **others}, place).entry.outputs[0].label


def of(name: str, filter_name: str) -> dict[str, str]:
    return {"source": "night", "basename": f"{name}.fits", "filter": filter_name}


def test_a_filter_is_read_from_the_header_if_the_request_does_not_say(filters: Workplace) -> None:
    assert ask(filters, "night/rp.fits") == "rp"
    assert ask(filters, of("none", "gp"), "night/gp.fits") == "gp,gp"
    assert ask(filters, of("rp", "gp")) == "gp"
    reference = {"source": "night", "basename": "none.fits", "primary_optical_element": "rp"}
    assert ask(filters, reference) == "rp"


def test_a_filter_that_nobody_asks_for_is_not_told(filters: Workplace) -> None:
    assert ask(filters, "night/rp.fits", others=[of("none", "V"), "night/v.fits"]) == "rp,-,-"


def test_the_filters_are_part_of_what_the_key_is_made_of(filters: Workplace) -> None:
    request = prepare(filtered_toy, {"input_files": ["night/rp.fits", of("none", "rp")]}, filters.inputs)
    assert request.made_of["filters"] == {"input_files": ["rp", "rp"]}
    assert set(request.filters) == {FitsReference.parse("night/rp.fits"), FitsReference.parse(of("none", "rp"))}


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (["night/none.fits"], "input_files: night/none.fits has no filter"),
        (["night/rp.fits", "night/v.fits"], "night/v.fits is of the filter 'V'. Accepted are rp, gp"),
        (["night/rp.fits", of("none", "zs")], "night/none.fits is of the filter 'zs'"),
        (
            ["night/rp.fits", "night/gp.fits"],
            "mixes filters: night/rp.fits is of 'rp', night/gp.fits of 'gp'",
        ),
        (["night/a.fits"], "a.fits"),
    ],
)
def test_images_of_wrong_filters_are_an_alert(filters: Workplace, files: list[Any], text: str) -> None:
    with pytest.raises(Alert, match=text) as caught:
        ask(filters, *files)
    assert caught.value.remedy
    assert filters.store.list() == []
