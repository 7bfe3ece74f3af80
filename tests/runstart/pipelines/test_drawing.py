from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_building import Builder, chain

from runstart.pipelines import Plan, Rate, draw_plan, make_plan
from runstart.pipelines._folding import JOINT_RADIUS, Picture, fold
from runstart.pipelines._layout import BOX_HEIGHT, BOX_WIDTH, lay_out
from runstart.pipelines.drawing import tell_rate

NAMES = "abcdefghijkl"
# From earlier letters to later ones, so that there is no cycle.
EDGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map(lambda ends: (min(ends), max(ends))), max_size=24
).map(lambda edges: [edge for edge in dict.fromkeys(edges) if edge[0] != edge[1]])


def plan_of(edges: list[tuple[str, str]]) -> Plan:
    fed = {target for _, target in edges}
    builder = Builder({name: ("bytes" if name in fed else "", "frame") for name in NAMES}, edges)
    return make_plan(builder.pipeline(), "twelve", builder.found())


def elements(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter())  # noqa: S314  # what we have just drawn


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg) if element.tag.endswith("}text")]


def _is_inside(picture: Picture, x: float, y: float) -> bool:
    return 0 < x < picture.width and 0 < y < picture.height


@settings(max_examples=60, deadline=None)
@given(EDGES)
def test_no_box_lies_on_another_or_outside_and_edges_go_to_the_right(edges: list[tuple[str, str]]) -> None:
    plan = plan_of(edges)
    picture = fold(lay_out(plan))
    for (x, y), (other_x, other_y) in combinations(picture.boxes.values(), 2):
        assert abs(x - other_x) > BOX_WIDTH or abs(y - other_y) > BOX_HEIGHT
    for x, y in picture.boxes.values():
        assert _is_inside(picture, x, y)
        assert _is_inside(picture, x + BOX_WIDTH, y + BOX_HEIGHT)
    for link, pieces in zip(plan.links, picture.pieces, strict=True):
        assert all(left[0] < right[0] for piece in pieces for left, right in pairwise(piece))
        assert all(_is_inside(picture, *point) for piece in pieces for point in piece)
        source, target = picture.boxes[link.source], picture.boxes[link.target]
        assert pieces[0][0][0] == source[0] + BOX_WIDTH
        assert pieces[-1][-1][0] == pytest.approx(target[0])
        assert source[1] < pieces[0][0][1] < source[1] + BOX_HEIGHT
        assert target[1] < pieces[-1][-1][1] < target[1] + BOX_HEIGHT


@settings(max_examples=60, deadline=None)
@given(EDGES)
def test_no_level_part_of_an_edge_goes_behind_a_box(edges: list[tuple[str, str]]) -> None:
    picture = fold(lay_out(plan_of(edges)))
    steps = [step for pieces in picture.pieces for piece in pieces for step in pairwise(piece)]
    for (x, y), (to_x, to_y) in steps:
        if y == to_y:
            hidden = [
                box
                for box in picture.boxes.values()
                if box[0] < to_x - 1 and x + 1 < box[0] + BOX_WIDTH and box[1] < y < box[1] + BOX_HEIGHT
            ]
            assert hidden == []


@settings(max_examples=60, deadline=None)
@given(EDGES)
def test_labels_have_room(edges: list[tuple[str, str]]) -> None:
    picture = fold(lay_out(plan_of(edges)))
    for (x, y), (other_x, other_y) in combinations(picture.labels, 2):
        assert abs(x - other_x) > 100 or abs(y - other_y) >= 44


@pytest.mark.parametrize("count", [1, 5, 6, 12])
def test_a_long_chain_is_folded_and_its_edges_are_joined_by_number(count: int) -> None:
    names = NAMES[:count]
    fed = set(names[1:])
    edges = list(pairwise(names))
    builder = Builder({name: ("bytes" if name in fed else "", "frame") for name in names}, edges)
    picture = fold(lay_out(make_plan(builder.pipeline(), "chain")))
    assert picture.width < 1900
    rows = {y for _, y in picture.boxes.values()}
    assert len(rows) == {1: 1, 5: 1, 6: 2, 12: 3}[count]
    assert Counter(joint.number for joint in picture.joints) == dict.fromkeys(range(1, len(rows)), 2)
    ends = {point for pieces in picture.pieces for piece in pieces for point in (piece[0], piece[-1])}
    for joint in picture.joints:
        assert any(y == joint.y and abs(x - joint.x) == pytest.approx(JOINT_RADIUS) for x, y in ends)


def test_the_picture_has_labels_replicas_types_rates_and_states() -> None:
    builder = chain()
    plan = make_plan(builder.pipeline(), "center of mass", builder.found())
    rate = Rate(messages_per_s=120.2, bytes_per_s=117.8e6, messages=12345, queue=3)
    svg = draw_plan(plan, {plan.links[0]: rate}, {"partial": "busy", "reduce": "waiting to send"})
    shown = texts(svg)
    for text in (
        "partial",
        "x4",
        "BatchedFrames",
        "com_partial",
        "120 msg/s, 118 MB/s",
        "12,345 messages, queue 3",
        "waiting to send",
    ):
        assert text in shown
    assert "120 msg/s, 118 MB/s, queue 3, 12,345 messages" in svg
    assert "queue" not in " ".join(texts(draw_plan(plan)))


def test_states_have_colours_of_their_own() -> None:
    builder = chain()
    plan = make_plan(builder.pipeline(), "com", builder.found())
    pictures = {
        state: draw_plan(plan, None, {"partial": state}).replace(state, "")
        for state in ("busy", "error", "finished")
    }
    assert len(set(pictures.values())) == 3


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "'/><x", "a & b", "\N{GREEK SMALL LETTER MU}m", "x" * 200]
)
def test_no_text_can_break_the_picture(label: str) -> None:
    builder = chain()
    builder.operators["partial"].update(label=label, description=label)
    svg = draw_plan(make_plan(builder.pipeline(), label), None, {"reader": label})
    tags = {element.tag.rpartition("}")[2] for element in elements(svg)}
    assert tags <= {"svg", "title", "defs", "marker", "path", "rect", "g", "text", "circle"}
    if len(label) < 10:
        assert label in texts(svg)


def test_a_link_that_stands_still_tells_what_has_flowed() -> None:
    builder = chain()
    plan = make_plan(builder.pipeline(), "center of mass", builder.found())
    shown = texts(draw_plan(plan, {plan.links[0]: Rate(0.0, 0.0, 1, 0)}))
    assert "1 message" in shown
    assert not [text for text in shown if "msg/s" in text]


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (Rate(0, 0, 0, 0), "0 msg/s, 0 B/s, queue 0"),
        (Rate(0.25, 999, 1, 0), "0.25 msg/s, 999 B/s, queue 0"),
        (Rate(12345.6, 999_600, 1, 1234), "12,346 msg/s, 1 MB/s, queue 1,234"),
        (Rate(9.996, 1.5e13, 1, 0), "10 msg/s, 15 TB/s, queue 0"),
    ],
)
def test_rates_are_told_in_few_digits(rate: Rate, told: str) -> None:
    assert tell_rate(rate) == told


def test_one_operator_alone_can_be_drawn() -> None:
    builder = Builder({"alone": ("", "frame")}, [])
    assert "alone" in texts(draw_plan(make_plan(builder.pipeline(), "one")))
