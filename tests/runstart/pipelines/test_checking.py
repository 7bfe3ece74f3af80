from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pipeline_building import Builder, chain, make_id

from runstart.errors import Alert
from runstart.pipelines import check_pipeline, troubles_of, types_fit

Change = Callable[[Builder], Any]


def test_a_right_pipeline_has_no_troubles() -> None:
    builder = chain()
    assert troubles_of(builder.pipeline(), builder.found()) == []
    assert troubles_of(builder.pipeline()) == []
    check_pipeline(builder.pipeline(), builder.found())


def _rewire(number: int, source: tuple[str, str], target: tuple[str, str]) -> Change:
    def change(builder: Builder) -> None:
        builder.edges[number] = {"input_id": make_id(*source), "output_id": make_id(*target)}

    return change


def _set(name: str, **more: Any) -> Change:
    return lambda builder: builder.operators[name].update(more)


def _set_port(name: str, direction: str, **more: Any) -> Change:
    return lambda builder: builder.ports[name, direction].update(more)


def _set_value(operator: str, number: int, **more: Any) -> Change:
    return lambda builder: builder.operators[operator]["parameters"][number].update(more)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda builder: builder.edges.append(builder.edge("reduce", "partial")),
            "The operators go round in a circle: partial -> reduce -> partial; remove one of these edges.",
        ),
        (
            _rewire(2, ("partial", "output"), ("partial", "input")),
            "The operators go round in a circle: partial -> partial; remove one of these edges.",
        ),
        (
            _rewire(1, ("reader", "output"), ("reduce", "input")),
            (
                "reader: output 'the_output' gives 'BatchedFrames', but reduce: input 'the_input' takes 'com_partial'; "
                "the types must be equal, or the input's be 'bytes'."
            ),
        ),
        (
            lambda builder: builder.edges.pop(1),
            "reduce: nothing is wired to its input 'the_input' (com_partial); wire an output to it.",
        ),
        (
            _rewire(2, ("reduce", "input"), ("display", "input")),
            (
                "reduce: input 'the_input' is wired to display: input 'the_input'; an edge goes from an output (its "
                "input_id) to an input (its output_id)."
            ),
        ),
        (
            _rewire(2, ("display", "input"), ("reduce", "output")),
            (
                "display: input 'the_input' is wired to reduce: output 'the_output'; an edge goes from an output (its "
                "input_id) to an input (its output_id)."
            ),
        ),
        (
            _rewire(2, ("reduce", "output"), ("nobody", "input")),
            (
                "reduce: output 'the_output' is wired to nothing: there is no port output_id "
                f"{make_id('nobody', 'input')}."
            ),
        ),
        (
            _rewire(2, ("nobody", "output"), ("nobody", "input")),
            (
                f"An edge is wired to nothing: there is no port input_id {make_id('nobody', 'output')} and output_id "
                f"{make_id('nobody', 'input')}."
            ),
        ),
        (
            lambda builder: builder.edges.append(builder.edges[0]),
            "reader: output 'the_output' is wired to partial: input 'the_input' 2 times.",
        ),
        (
            _set_port("reader", "output", canonical_operator_id=make_id("nobody")),
            (
                f"The output 'the_output' ({make_id('reader', 'output')}) belongs to no operator of the pipeline: there is "
                f"no operator {make_id('nobody')}."
            ),
        ),
        (
            _set_port("reader", "output", id=make_id("other")),
            f"reader: its output {make_id('reader', 'output')} is not among the pipeline's ports.",
        ),
        (
            _set("reduce", inputs=[]),
            f"reduce: input 'the_input' ({make_id('reduce', 'input')}) is not in the operator's list of inputs.",
        ),
        (
            _set("reduce", inputs=[make_id("reduce", "input"), make_id("partial", "input")]),
            f"reduce: its input {make_id('partial', 'input')} is another port, partial: input 'the_input'.",
        ),
        (
            _set_port("reader", "output", portkey="frames"),
            "reader: output 'frames' is not in its operator.json; its outputs are 'the_output'.",
        ),
        (
            _set("reduce", id=make_id("partial")),
            f"The id {make_id('partial')} is that of 2 operators or ports; each needs one of its own.",
        ),
        (_set("partial", parallelism=0), "partial: its parallelism is 0; allowed is 1 to 128."),
        (_set("partial", parallelism=129), "partial: its parallelism is 129; allowed is 1 to 128."),
        (
            _set("partial", parallelism=2, parallel_config=None),
            (
                "partial: its parallelism is 2, but its parallel_config is none: it needs all messages in one place; "
                "allowed is 1, or none."
            ),
        ),
        (
            _set_value("partial", 1, value=577, maximum=600),
            "partial: parameter 'crop_to_x': 577 is above the largest; allowed is a whole number from 0 to 576.",
        ),
        (
            _set_value("partial", 1, name="crop_to_y"),
            "partial: there is no parameter 'crop_to_y'; did you mean 'crop_to_x'?",
        ),
        (
            _set("partial", image="--privileged"),
            "partial: '--privileged' is no image; write it like registry/team/name:latest.",
        ),
    ],
)
def test_a_fault_is_told_by_operator_and_port(change: Change, told: str) -> None:
    builder = chain()
    change(builder)
    assert told in troubles_of(builder.pipeline(), builder.found())


def test_a_pipeline_of_nothing_is_none() -> None:
    assert troubles_of(Builder({}, []).pipeline()) == ["There are no operators."]


def test_a_port_that_is_there_twice_is_told() -> None:
    builder = chain()
    builder.ports["reader", "again"] = builder.ports["reader", "output"] | {"id": make_id("again")}
    builder.operators["reader"]["outputs"].append(make_id("again"))
    assert troubles_of(builder.pipeline(), builder.found()) == ["reader: output 'the_output' is there 2 times."]


def test_all_faults_are_told_at_once() -> None:
    builder = chain()
    builder.edges.pop(0)
    _set("reduce", parallelism=200)(builder)
    with pytest.raises(Alert) as caught:
        check_pipeline(builder.pipeline(), builder.found())
    assert "2 faults" in str(caught.value)
    assert "partial: nothing is wired" in str(caught.value)
    assert "reduce: its parallelism is 200" in str(caught.value)


def test_types_that_a_pipeline_says_are_checked_without_folders() -> None:
    builder = chain()
    builder.ports["reader", "output"]["type"] = "frame"
    assert troubles_of(builder.pipeline()) == []  # what partial takes is not known
    builder.ports["partial", "input"]["type"] = "image"
    (told,) = troubles_of(builder.pipeline())
    assert told.startswith(
        "reader: output 'the_output' gives 'frame', but partial: input 'the_input' takes 'image'"
    )


def test_replicas_are_refused_where_the_folder_s_operator_has_none() -> None:
    builder = chain()
    builder.operators["reader"]["parallelism"] = 4
    found = builder.found()
    found["reader"].spec.parallel_config.type = "none"
    (told,) = troubles_of(builder.pipeline(), found)
    assert told == "reader: its parallel_config is not none, but that of its operator.json is."


@pytest.mark.parametrize(
    ("gives", "takes", "fits"),
    [
        ("BatchedFrames", "batched_frames", True),
        ("com-partial", "COM Partial", True),
        ("frame", "bytes", True),
        ("frame", "Bytes", True),
        ("bytes", "frame", False),
        ("com", "com_partial", False),
        ("frame", "", True),
        ("", "frame", True),
    ],
)
def test_types_fit_when_they_are_equal_or_the_input_takes_bytes(gives: str, takes: str, fits: bool) -> None:
    assert types_fit(gives, takes) is fits
