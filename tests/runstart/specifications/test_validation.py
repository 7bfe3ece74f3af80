from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from operator_specs import parameter, write_operator_json

from runstart.specifications import validate_operator

RUN = """\
from runstart.operators import DATA_DIRECTORY, BytesMessage, operator

@operator
def count(inputs, parameters, trigger=None):
    if trigger == "read_now":
        return None
    used = (parameters["suffix"], parameters["crop_to_x"], parameters.get("contrast", 1), parameters["flip"])
    return (DATA_DIRECTORY / "raw_data_dir", parameters["colormap"], used)
"""


def write(folder: Path, run: str = RUN, containerfile: str = "FROM base\n", **more: Any) -> Path:
    file = write_operator_json(folder / "count-electrons", **more)
    (file.parent / "run.py").write_text(run)
    (file.parent / "Containerfile").write_text(containerfile)
    return file.parent


def told(folder: Path) -> list[str]:
    return [f"{'error' if one.is_error else 'warning'}: {one.text}" for one in validate_operator(folder)]


def test_a_right_operator_has_no_findings(tmp_path: Path) -> None:
    assert told(write(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            '["crop_to_x"]',
            '["crop_to_y"]',
            "error: run.py, line 7: operator.json has no parameter 'crop_to_y'; did you mean",
        ),
        (
            '.get("contrast", 1)',
            '.get("kontrast")',
            "error: run.py, line 7: operator.json has no parameter 'kontrast'; did",
        ),
        ('parameters["flip"]', "True", "warning: run.py does not use the parameter 'flip' of operator.json."),
        ('"raw_data_dir"', "inputs", "warning: run.py does not use the parameter 'raw_data_dir' of operator.json."),
        (
            '"read_now"',
            '"read"',
            "error: run.py, line 5: operator.json has no trigger 'read'; did you mean 'read_now'?",
        ),
        ("@operator", "", "error: run.py has no function under @operator; exactly one is needed."),
        (
            "@operator",
            "@operator\ndef f(a, b): ...\n@operator()",
            "error: run.py has f, count under @operator; exactly one",
        ),
        (", trigger=None", "", "error: run.py: count must take trigger=None, because operator.json has triggers."),
        ("inputs, parameters, ", "", "error: run.py: count must take inputs and parameters."),
        ("def count(", "def count)", "error: run.py, line 4 is no Python: "),
        ("import", "\0", "error: run.py"),
    ],
)
def test_a_fault_of_run_py_is_told(tmp_path: Path, old: str, new: str, finding: str) -> None:
    found = told(write(tmp_path, run=RUN.replace(old, new)))
    assert any(one.startswith(finding) for one in found), found


@pytest.mark.parametrize("decorator", ["@kit.operator", "@operator(keeps_state=True)", "@dependencies\n@operator"])
@pytest.mark.parametrize("head", ["def", "async def"])
def test_a_kernel_is_known_by_its_decorator(tmp_path: Path, decorator: str, head: str) -> None:
    run = RUN.replace("@operator", decorator).replace("\ndef", f"\n{head}")
    assert told(write(tmp_path, run=run)) == []


@pytest.mark.parametrize(
    "signature", ["inputs, parameters, *, trigger=None", "inputs, parameters, **more", "*given, trigger=None"]
)
def test_any_signature_that_takes_all_is_right(tmp_path: Path, signature: str) -> None:
    assert told(write(tmp_path, run=RUN.replace("inputs, parameters, trigger=None", signature))) == []


def test_parameters_that_are_handed_on_whole_may_all_be_used(tmp_path: Path) -> None:
    run = "@operator\ndef count(inputs, parameters, trigger=None):\n    return work(**parameters)\n"
    assert told(write(tmp_path, run=run)) == []


@pytest.mark.parametrize(
    ("more", "finding"),
    [
        ({"image": "Not An Image"}, "error: The image 'Not An Image' is none"),
        (
            {"image": "team/other"},
            "warning: The image 'team/other' does not have the folder's name, 'count-electrons'.",
        ),
        ({"label": None}, "error: "),
        (
            {"tags": [{"value": "gpu", "descripton": "x"}]},
            "warning: operator.json: tags: the field 'descripton' is not read",
        ),
    ],
)
def test_a_fault_of_operator_json_is_told(tmp_path: Path, more: dict[str, Any], finding: str) -> None:
    found = told(write(tmp_path, **more))
    assert any(one.startswith(finding) for one in found), found


def test_a_field_beside_the_one_that_it_resembles_is_no_slip(tmp_path: Path) -> None:
    found = told(write(tmp_path, paralel_config={}, parameters=[parameter("crop_to_x", maximun=9)]))
    assert not any("is not read" in one for one in found)


def test_a_misspelled_field_is_told_with_the_right_name(tmp_path: Path) -> None:
    bounded = parameter("contrast", minimun=0)
    data = {"parallel_confg": {"type": "none"}, "parameters": [bounded]}
    folder = write(tmp_path, **data)
    text = (folder / "operator.json").read_text().replace('"parallel_config"', '"other"')
    (folder / "operator.json").write_text(text)
    found = told(folder)
    assert (
        "warning: operator.json: the field 'parallel_confg' is not read; did you mean 'parallel_config'?" in found
    )
    assert (
        "warning: operator.json: parameter 'contrast': the field 'minimun' is not read; did you mean 'minimum'?"
        in found
    )


@pytest.mark.parametrize(("text", "finding"), [(None, "There is no Containerfile"), ("RUN x", "has no FROM")])
def test_a_containerfile_makes_an_image(tmp_path: Path, text: str | None, finding: str) -> None:
    folder = write(tmp_path, containerfile=text or "")
    if text is None:
        (folder / "Containerfile").unlink()
    assert [one for one in told(folder) if finding in one]


def test_a_folder_without_its_files_is_told(tmp_path: Path) -> None:
    assert "operator.json cannot be read" in told(tmp_path)[0]
    folder = write(tmp_path)
    (folder / "run.py").unlink()
    assert told(folder) == [
        "error: run.py cannot be read: No such file or directory. It holds the operator's code."
    ]


def test_code_is_not_run(tmp_path: Path) -> None:
    folder = write(tmp_path, run=RUN + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    told(folder)
    assert not (tmp_path / "ran").exists()
