"""Folds a long picture of a plan into bands below each other, so that a page need not shrink it until nobody can read it.

It is cut between layers, where edges are level. An edge that is cut ends at a number, and goes on from the same number at
the left of the next band.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from runstart.pipelines._layout import BEND, BOX_HEIGHT, BOX_WIDTH, LANE, MARGIN, Layout, Point, layer_left

JOINT_RADIUS = 9.0
_MOST_LAYERS = 5  # of a band
_STUB = 14.0  # of a cut edge, from its number on


@dataclass(frozen=True)
class Joint:
    """Where a cut edge ends or goes on.

    Attributes
    ----------
    x, y : float
        Center of its circle.
    number : int
        The same at both sides of a cut.
    """

    x: float
    y: float
    number: int


@dataclass(frozen=True)
class Picture:
    """Places in a folded picture, in its units, from its left upper corner.

    Attributes
    ----------
    width, height : float
        Of the picture.
    boxes : mapping of str to (float, float)
        Left upper corner of each stage's box.
    pieces : sequence of sequence of sequence of (float, float)
        Of each link: its pieces, each of the points between which it is level or bends.
    labels : sequence of (float, float)
        Of each link: a point of it, over and under which there is room for words.
    joints : sequence of Joint
        Of all links that are cut.
    """

    width: float
    height: float
    boxes: Mapping[str, Point]
    pieces: Sequence[Sequence[Sequence[Point]]]
    labels: Sequence[Point]
    joints: Sequence[Joint]


def fold(layout: Layout) -> Picture:
    """Return a layout in bands of at most five layers, as equal as they can be."""
    each = ceil(layout.layers / ceil(layout.layers / _MOST_LAYERS))
    cuts = [layer_left(layer) - BEND for layer in range(each, layout.layers, each)]
    split = [_split(route, cuts) for route in layout.routes]
    shifts, height = _shifts(layout, split, cuts)
    boxes = {name: _move(corner, shifts[bisect_left(cuts, corner[0])]) for name, corner in layout.boxes.items()}
    routes = [[[_move(point, shifts[band]) for point in piece] for band, piece in route.items()] for route in split]
    joints = [joint for number, route in enumerate(_cut(routes), start=1) for joint in _join(route, number)]
    edges = [x for route in routes for piece in route for x, _ in piece]
    right = max([*(x + BOX_WIDTH for x, _ in boxes.values()), *edges, *(one.x + JOINT_RADIUS for one in joints)])
    labels = [((route[0][1][0] + route[0][2][0]) / 2, route[0][1][1]) for route in routes]
    return Picture(right + MARGIN, height, boxes, routes, labels, joints)


def _split(route: Sequence[Point], cuts: Sequence[float]) -> dict[int, list[Point]]:
    """Return the points of a link in each band that it goes through; a cut ends one and begins the next."""
    band = bisect_left(cuts, route[0][0])
    pieces = {band: [route[0]]}
    for (x, _), (to_x, to_y) in pairwise(route):
        for cut in cuts:
            if x < cut <= to_x:
                pieces[band].append((cut, to_y))
                band += 1
                pieces[band] = [(cut, to_y)]
        if pieces[band][-1] != (to_x, to_y):
            pieces[band].append((to_x, to_y))
    return pieces


def _shifts(
    layout: Layout, split: Sequence[Mapping[int, Sequence[Point]]], cuts: Sequence[float]
) -> tuple[list[Point], float]:
    """Return how far each band moves, and the height of all."""
    spans: list[list[float]] = [[] for _ in range(len(cuts) + 1)]
    for x, y in layout.boxes.values():
        spans[bisect_left(cuts, x)] += [y, y + BOX_HEIGHT]
    for route in split:
        for band, piece in route.items():
            spans[band] += [y + side for _, y in piece for side in (-LANE / 2, LANE / 2)]
    shifts, height = [], MARGIN
    for band, span in enumerate(spans):
        x = MARGIN + 2 * JOINT_RADIUS + _STUB - cuts[band - 1] if band else 0.0
        shifts.append((x, height - min(span)))
        height += max(span) - min(span) + MARGIN
    return shifts, height


def _move(point: Point, by: Point) -> Point:
    return (point[0] + by[0], point[1] + by[1])


def _cut(routes: Sequence[list[list[Point]]]) -> list[list[list[Point]]]:
    return [route for route in routes if len(route) > 1]


def _join(route: list[list[Point]], number: int) -> list[Joint]:
    """Lengthen the pieces of a link that is cut by a stub each, and return the joints at their ends."""
    joints = []
    for left, right in pairwise(route):
        (x, y), (next_x, next_y) = left[-1], right[0]
        left.append((x + _STUB, y))
        right.insert(0, (next_x - _STUB, next_y))
        joints += [Joint(x + _STUB + JOINT_RADIUS, y, number)]
        joints += [Joint(next_x - _STUB - JOINT_RADIUS, next_y, number)]
    return joints
