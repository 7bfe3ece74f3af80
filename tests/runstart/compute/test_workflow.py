"""Workflows: what Ocean's clients send is read, what cannot be run is refused by its field, and nothing else happens."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from compute_kit import DATA_ID, input_of, workflow_payload
from hypothesis import given
from hypothesis import strategies as st

from runstart.compute import read_workflow
from runstart.errors import Alert

OCEAN = {
    "stages": [
        {
            "index": 0,
            "input": [{"id": DATA_ID, "url": ["https://example.org/data.csv"], "index": 0}],
            "compute": {"Instances": 1, "namespace": "withgpu", "maxtime": 3600},
            "algorithm": {
                "id": "did:op:" + 64 * "b",
                "url": "https://example.org/algo.js",
                "rawcode": "console.log('this is a test')",
                "container": {"image": "node", "tag": "10", "entrypoint": "node $ALGO"},
            },
            "output": {
                "metadataUri": "https://example.org",
                "owner": "0xC41808BBef371AD5CFc76466dDF9dEe228d2BdAA",
                "publishOutput": True,
                "publishAlgorithmLog": True,
                "whitelist": ["0x00Bd138aBD70e2F00903268F3Db08f2D25677C9e"],
                "metadata": {"name": "Workflow output"},
            },
        }
    ]
}


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return Ocean's workflow with another value somewhere."""
    made: Any = copy.deepcopy(OCEAN)
    at = made["stages"][0]
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return made


def test_what_oceans_clients_send_is_read_as_it_is_meant() -> None:
    workflow = read_workflow(OCEAN)
    stage = workflow.stage
    assert stage.input[0].folder == 64 * "a"
    assert stage.input[0].url == ("https://example.org/data.csv",)
    assert stage.compute.maxtime == 3600
    assert stage.algorithm.raw_code == "console.log('this is a test')"
    assert stage.algorithm.container.reference == "node:10"
    assert stage.output.publish_output
    assert stage.output.publish_algorithm_log


def test_a_stored_workflow_is_the_one_inside_it() -> None:
    stored = {"kind": "WorkFlow", "apiVersion": "v0.0.1", "metadata": {"name": "x"}, "spec": {"metadata": OCEAN}}
    assert read_workflow(stored) == read_workflow(OCEAN)


def test_what_was_read_is_written_and_read_again_the_same() -> None:
    workflow = read_workflow(OCEAN | {"chainId": 137})
    assert type(workflow).model_validate_json(workflow.model_dump_json(by_alias=True)) == workflow
    assert workflow.chain_id == 137


def test_an_image_goes_by_its_digest_if_there_is_one() -> None:
    digest = "sha256:" + 64 * "0"
    container = {"image": "node", "tag": "10", "entrypoint": "node $ALGO", "checksum": digest}
    assert read_workflow(changed(("algorithm", "container"), container)).stage.algorithm.container.reference == (
        f"node@{digest}"
    )
    other = container | {"checksum": "0xabc"}
    assert (
        read_workflow(changed(("algorithm", "container"), other)).stage.algorithm.container.reference == "node:10"
    )


@pytest.mark.parametrize(
    ("code", "is_code"), [("1234567890", False), ("12345678901", True), ("", False), (None, False)]
)
def test_a_placeholder_is_no_code_and_the_address_counts(code: str | None, is_code: bool) -> None:
    algorithm = read_workflow(changed(("algorithm", "rawcode"), code)).stage.algorithm
    assert (algorithm.raw_code is not None) is is_code
    assert algorithm.url == ("https://example.org/algo.js",)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (None, "`workflow` is required in the payload and must include workflow stages"),
        ({}, "`workflow` is required in the payload and must include workflow stages"),
        ([], "`workflow` is required in the payload and must include workflow stages"),
        ({"kind": "WorkFlow"}, "`workflow` is required in the payload and must include workflow stages"),
        ({"stages": []}, "Missing stages"),
        ({"stages": {}}, "Missing stages"),
        ({"chainId": 1}, "Missing stages"),
        ({"stages": [1, 2]}, "Multiple stages are not supported yet"),
        ({"stages": [None]}, "Missing algorithm in stage 0"),
        *(
            ({"stages": [{name: part for name, part in OCEAN["stages"][0].items() if name != left_out}]}, text)
            for left_out, text in (
                ("algorithm", "Missing algorithm in stage 0"),
                ("compute", "Missing compute in stage 0"),
                ("input", "Missing input in stage 0"),
                ("output", "Missing output in stage 0"),
            )
        ),
    ],
)
def test_what_is_missing_is_said_in_oceans_words(payload: object, words: str) -> None:
    with pytest.raises(Alert) as caught:
        read_workflow(payload)
    assert caught.value.what == words


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("input", 0, "url"), [], "input.0"),
        (("input", 0, "url"), ["ftp://example.org"], "input.0.url"),
        (("input", 0, "url"), ["https://example.org/a b"], "input.0.url"),
        (("input", 0, "url"), ["file:///etc/passwd"], "input.0.url"),
        (("input", 0, "url"), 5, "input.0.url"),
        (("input", 0, "checksum"), ["md5:1"], "input.0.checksum"),
        (("input", 0, "checksum"), ["sha256:" + 64 * "0"] * 2, "input.0"),
        (("input", 0), {"id": DATA_ID, "remote": {"txId": "0x1", "serviceId": "1"}}, "input.0"),
        (("compute", "maxtime"), -1, "compute.maxtime"),
        (("compute", "maxtime"), float("inf"), "compute.maxtime"),
        (("compute", "Instances"), 2, "compute.Instances"),
        (("compute", "cpuNumber"), "many", "compute.cpuNumber"),
        (("algorithm", "container", "image"), "../evil", "algorithm.container.image"),
        (("algorithm", "container", "image"), "a image", "algorithm.container.image"),
        (("algorithm", "container", "tag"), "a tag", "algorithm.container.tag"),
        (("algorithm", "container", "checksum"), "sha256:0", "algorithm.container.checksum"),
        (("algorithm", "container", "entrypoint"), "", "algorithm.container.entrypoint"),
        (("algorithm", "container", "entrypoint"), "node '", "algorithm.container.entrypoint"),
        (("algorithm", "id"), "../x", "algorithm.id"),
        (("algorithm", "rawcode"), 2_000_001 * "x", "algorithm.rawcode"),
        (("algorithm", "algocustomdata"), {"a": "\ud800"}, "algorithm.algocustomdata"),
        (("algorithm", "rawcode"), 20 * "\ud800", "algorithm.rawcode"),
        (("algorithm", "algocustomdata"), 2_000_001 * "x", "algorithm.algocustomdata"),
        (("output", "publishOutput"), "perhaps", "output.publishOutput"),
    ],
)
def test_what_is_wrong_is_refused_by_the_name_of_its_field(
    path: tuple[str | int, ...], value: Any, field: str
) -> None:
    with pytest.raises(Alert) as caught:
        read_workflow(changed(path, value))
    assert caught.value.what.startswith(f"workflow.stages.0.{field}"), caught.value.what
    assert len(caught.value.what) < 500


def test_two_inputs_of_one_name_are_refused_for_they_would_share_a_folder() -> None:
    twice = [input_of("store:results/a"), input_of("store:results/b", id=DATA_ID.removeprefix("did:op:"))]
    with pytest.raises(Alert, match=r"names 'a+' twice"):
        read_workflow(workflow_payload(input=twice))


def test_a_job_without_data_is_one() -> None:
    assert read_workflow(workflow_payload()).stage.input == ()


def test_an_algorithm_that_lies_in_its_image_needs_no_code() -> None:
    container = {"image": "mean", "tag": "1", "entrypoint": "mean --all"}
    assert read_workflow(workflow_payload(algorithm={"container": container})).stage.algorithm.raw_code is None
    with pytest.raises(Alert, match=r"needs \$ALGO"):
        read_workflow(workflow_payload(algorithm={"container": container | {"entrypoint": "sh $ALGO"}}))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_paths = st.sampled_from(
    [
        (part, *more)
        for part, mores in {
            "input": ((), (0,), (0, "id"), (0, "url"), (0, "checksum"), (0, "remote")),
            "compute": ((), ("maxtime",), ("Instances",), ("ramGB",)),
            "algorithm": (
                (),
                ("container",),
                ("container", "entrypoint"),
                ("url",),
                ("rawcode",),
                ("algocustomdata",),
            ),
            "output": ((), ("publishOutput",)),
        }.items()
        for more in mores
    ]
)


@given(_json)
def test_anything_at_all_is_a_workflow_or_an_alert(payload: object) -> None:
    with contextlib.suppress(Alert):
        read_workflow(payload)


@given(_paths, _json)
def test_anything_in_a_field_is_a_workflow_that_can_be_kept_or_an_alert(
    path: tuple[str | int, ...], value: object
) -> None:
    with contextlib.suppress(Alert):
        workflow = read_workflow(changed(path, value))
        for each in workflow.stage.input:
            assert "/" not in each.folder
            assert not each.folder.startswith(".")
        assert workflow.model_dump_json(by_alias=True)
