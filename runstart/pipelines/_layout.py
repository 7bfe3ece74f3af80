"""Where the boxes and edges of a picture of a plan go: in layers from left to right, with few crossings.

A stage's layer is the longest way to it from a source. An edge that passes layers gets a place of its own in each of
them, as if a stage were there, so that it never goes behind a box. Every edge is level over a length where its label
has room above and below it, in a lane of its own, and before it enters a layer. Edges that end at one side of a box are
spread over it in the order of their other ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from runstart.pipelines.plan import Link, Plan

BOX_WIDTH = 176.0
BOX_HEIGHT = 64.0
BEND = 30.0  # in which an edge goes from a box to its lane, and from there to a box
_GAP = 124.0 + 2 * BEND  # between layers: an edge's label fits
_ROW = 96.0  # from one box to the next in a layer
LANE = 50.0  # from one edge to the next where both are level
MARGIN = 28.0
_SWEEPS = 8

Point = tuple[float, float]
_Node = tuple[str, int]  # a stage and 0, or a link's number and the layer that it passes


@dataclass(frozen=True)
class Layout:
    """Places in a picture that is one long strip, in its units, from its left upper corner.

    Attributes
    ----------
    layers : int
        How many there are, at least 1.
    boxes : mapping of str to (float, float)
        Left upper corner of each stage's box.
    routes : sequence of sequence of (float, float)
        Of each link: its points, between which it bends and is level in turns, beginning and ending with a bend.
    """

    layers: int
    boxes: Mapping[str, Point]
    routes: Sequence[Sequence[Point]]


def lay_out(plan: Plan) -> Layout:
    """Return where everything of a plan goes."""
    layer_of = _layers(plan)
    chains = [_chain(number, link, layer_of) for number, link in enumerate(plan.links)]
    layers = _order(plan, layer_of, chains)
    centers = _center_rows(layers, chains)
    ends = _spread_ends(plan.links, chains, centers)
    lanes = _lanes(plan.links, chains, layer_of, ends, centers)
    boxes = {name: (layer_left(layer), centers[name, 0] - BOX_HEIGHT / 2) for name, layer in layer_of.items()}
    routes = [_route(link, layer_of, *ends[number], lanes[number]) for number, link in enumerate(plan.links)]
    return Layout(len(layers), boxes, routes)


def layer_left(layer: int) -> float:
    """Return where the boxes of a layer begin."""
    return MARGIN + layer * (BOX_WIDTH + _GAP)


def _route(
    link: Link, layer_of: Mapping[str, int], begin: float, end: float, lanes: Sequence[float]
) -> list[Point]:
    """Return the points of a link that is level before its target's layer, or in each layer that it passes."""
    first, last = layer_of[link.source], layer_of[link.target]
    x, until = layer_left(first) + BOX_WIDTH, layer_left(last) - BEND
    route = [(x, begin), (x + BEND, lanes[0])]
    for layer, (lane, next_lane) in enumerate(pairwise(lanes), start=first + 2):
        route += [(layer_left(layer) - BEND, lane), (layer_left(layer), next_lane)]
    return [*route, (until, lanes[-1]), (layer_left(last), end)]


def _lanes(
    links: Sequence[Link],
    chains: Sequence[Sequence[_Node]],
    layer_of: Mapping[str, int],
    ends: Sequence[tuple[float, float]],
    centers: Mapping[_Node, float],
) -> list[list[float]]:
    """Return the heights at which each link is level; between two layers these are as far apart as their labels need."""
    lanes = [[centers[node] for node in chain[1:-1]] for chain in chains]
    gaps: dict[int, list[int]] = {}
    for number, link in enumerate(links):
        if not lanes[number]:
            gaps.setdefault(layer_of[link.source], []).append(number)
    for numbers in gaps.values():
        numbers.sort(key=lambda number: (sum(ends[number]), ends[number]))
        wanted = [_own_end(links, number, ends[number]) for number in numbers]
        for number, height in zip(numbers, _push_apart(wanted, [LANE] * (len(numbers) - 1)), strict=True):
            lanes[number] = [height]
    return lanes


def _own_end(links: Sequence[Link], number: int, ends: tuple[float, float]) -> float:
    """Return the height of the end that a link shares with fewer others."""
    with_source = sum(link.source == links[number].source for link in links)
    with_target = sum(link.target == links[number].target for link in links)
    return ends[1] if with_source > with_target else ends[0] if with_target > with_source else sum(ends) / 2


def _layers(plan: Plan) -> dict[str, int]:
    layer_of: dict[str, int] = {}
    for stage in plan.stages:  # in the order of messages
        sources = [layer_of[link.source] for link in plan.links if link.target == stage.name]
        layer_of[stage.name] = max(sources, default=-1) + 1
    return layer_of


def _chain(number: int, link: Link, layer_of: Mapping[str, int]) -> list[_Node]:
    passed = range(layer_of[link.source] + 1, layer_of[link.target])
    return [(link.source, 0), *((f"\0{number}", layer) for layer in passed), (link.target, 0)]


def _order(plan: Plan, layer_of: Mapping[str, int], chains: Sequence[Sequence[_Node]]) -> list[list[_Node]]:
    """Return the nodes of each layer from top to bottom, by sweeps that put each at the mean of its neighbours."""
    layers: list[list[_Node]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for stage in plan.stages:
        layers[layer_of[stage.name]].append((stage.name, 0))
    for chain in chains:
        for node in chain[1:-1]:
            layers[node[1]].append(node)
    before, after = _neighbours(chains)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, chains)
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        for layer in layers if forth else layers[::-1]:
            rank = {node: place / max(len(each) - 1, 1) for each in layers for place, node in enumerate(each)}
            near = before if forth else after
            layer.sort(key=lambda node: _mean([rank[one] for one in near.get(node, [])], rank[node]))
        crossings = _crossings(layers, chains)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _neighbours(chains: Sequence[Sequence[_Node]]) -> tuple[dict[_Node, list[_Node]], dict[_Node, list[_Node]]]:
    before: dict[_Node, list[_Node]] = {}
    after: dict[_Node, list[_Node]] = {}
    for chain in chains:
        for left, right in pairwise(chain):
            before.setdefault(right, []).append(left)
            after.setdefault(left, []).append(right)
    return before, after


def _crossings(layers: Sequence[Sequence[_Node]], chains: Sequence[Sequence[_Node]]) -> int:
    place = {node: (number, row) for number, layer in enumerate(layers) for row, node in enumerate(layer)}
    steps = [(place[left], place[right]) for chain in chains for left, right in pairwise(chain)]
    return sum(
        one[0][0] == other[0][0] and (one[0][1] - other[0][1]) * (one[1][1] - other[1][1]) < 0
        for number, one in enumerate(steps)
        for other in steps[:number]
    )


def _center_rows(layers: Sequence[Sequence[_Node]], chains: Sequence[Sequence[_Node]]) -> dict[_Node, float]:
    """Return the height of each node: near the mean of its neighbours', with room between those of a layer."""
    center: dict[_Node, float] = {}
    for layer in layers:
        total = 0.0
        for node in layer:
            center[node] = total
            total += _room(node)
        for node in layer:
            center[node] -= (total - _room(layer[-1])) / 2
    before, after = _neighbours(chains)
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        for layer in layers if forth else layers[::-1]:
            near = before if forth else after
            wanted = [_mean([center[one] for one in near.get(node, [])], center[node]) for node in layer]
            rooms = [(_room(upper) + _room(lower)) / 2 for upper, lower in pairwise(layer)]
            center |= zip(layer, _push_apart(wanted, rooms), strict=True)
    return center


def _push_apart(wanted: Sequence[float], rooms: Sequence[float]) -> list[float]:
    """Return heights with room between them, as near to the wanted ones as one pass down and one up bring them."""
    down, up = list(wanted), list(wanted)
    for row, room in enumerate(rooms, start=1):
        down[row] = max(down[row], down[row - 1] + room)
    for row in range(len(rooms) - 1, -1, -1):
        up[row] = min(up[row], up[row + 1] - rooms[row])
    return [(low + high) / 2 for low, high in zip(up, down, strict=True)]


def _room(node: _Node) -> float:
    return LANE if node[1] else _ROW


def _spread_ends(
    links: Sequence[Link], chains: Sequence[Sequence[_Node]], center: Mapping[_Node, float]
) -> list[tuple[float, float]]:
    """Return the heights at which each link leaves and enters its boxes."""
    begins, ends = [0.0] * len(links), [0.0] * len(links)
    for side, heights in ((0, begins), (-1, ends)):
        other = 1 if side == 0 else -2
        groups: dict[_Node, list[int]] = {}
        for number, chain in enumerate(chains):
            groups.setdefault(chain[side], []).append(number)
        for box, numbers in groups.items():
            numbers.sort(key=lambda number: center[chains[number][other]])
            step = BOX_HEIGHT / (len(numbers) + 1)
            for row, number in enumerate(numbers, start=1):
                heights[number] = center[box] - BOX_HEIGHT / 2 + row * step
    return list(zip(begins, ends, strict=True))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
