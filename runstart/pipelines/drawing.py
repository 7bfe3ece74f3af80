"""Draws a plan as SVG: a box for each operator, an edge for each link, and what is going on where it is running.

Colours are told apart by colour-blind people too, and each state is written out; all texts are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from runstart.pipelines._folding import JOINT_RADIUS, Picture, fold
from runstart.pipelines._layout import BOX_HEIGHT, BOX_WIDTH, Point, lay_out
from runstart.pipelines.plan import Link, Plan, Rate, Stage

_INK, _MUTED, _LINE, _PAPER = "#1c2733", "#5b6b7b", "#8fa1b3", "#ffffff"
_IDLE = "#9aa7b4"
_COLORS = {  # of states: what is said of one, and of a part of it such as `restarting (2 of 3)`
    "busy": "#2a78c2",
    "running": "#2a78c2",
    "idle": _IDLE,
    "starting": "#c9a227",
    "ready": "#c9a227",
    "restarting": "#d9822b",
    "waiting": "#d9822b",
    "draining": "#7a5fc0",
    "finished": "#2e9e6b",
    "ended": "#2e9e6b",
    "error": "#cc3d3d",
    "failed": "#cc3d3d",
    "lost": "#cc3d3d",
    "stopped": "#6b7683",
}
_FONT = "font-family='Inter,Segoe UI,Helvetica,Arial,sans-serif'"
_ARROW = (
    "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' "
    f"markerUnits='userSpaceOnUse' orient='auto'><path d='M0 0.5 L8 4 L0 7.5 Z' fill='{_LINE}'/></marker></defs>"
)
_LETTER = 0.56  # mean width of a letter, in font sizes
_LABEL_SIZE = 11.0
_LABEL_LINE = 14.0
_SHADOWS = 2  # boxes that show behind one with replicas


def draw_plan(plan: Plan, rates: Mapping[Link, Rate] | None = None, states: Mapping[str, str] | None = None) -> str:
    """Return the picture of a plan.

    Parameters
    ----------
    plan : Plan
        Its operators and links.
    rates : mapping of Link to Rate, optional
        What goes over the links.
    states : mapping of str to str, optional
        Of stages: `idle`, `busy`, `waiting to send`, `draining`, `finished`, `error`, ...

    Returns
    -------
    str
        An SVG document with a white background.
    """
    picture = fold(lay_out(plan))
    parts = [*_edges(plan, picture), *_boxes(plan, picture, states or {}), *_labels(plan, picture, rates or {})]
    width, height = f"{picture.width:.0f}", f"{picture.height:.0f}"
    box = f"width='{width}' height='{height}' viewBox='0 0 {width} {height}'"
    head = [
        f"<svg xmlns='http://www.w3.org/2000/svg' {box} role='img' {_FONT}>",
        f"<title>{escape(plan.name)}</title>",
        _ARROW,
        f"<rect width='100%' height='100%' rx='10' fill='{_PAPER}'/>",
    ]
    return "\n".join([*head, *parts, "</svg>\n"])


def tell_rate(rate: Rate) -> str:
    """Return a rate in words: `120 msg/s, 118 MB/s, queue 3`."""
    return f"{_tell_flow(rate)}, queue {rate.queue:,}"


def _edges(plan: Plan, picture: Picture) -> Iterator[str]:
    for link, pieces in zip(plan.links, picture.pieces, strict=True):
        told = escape(f"{link.source}.{link.source_port} → {link.target}.{link.target_port}")
        drawn = " ".join(_curve(piece) for piece in pieces)
        yield (
            f"<path d='{drawn}' fill='none' stroke='{_LINE}' stroke-width='1.8' marker-end='url(#tip)'>"
            f"<title>{told}</title></path>"
        )
    for joint in picture.joints:
        place = f"cx='{joint.x:.1f}' cy='{joint.y:.1f}' r='{JOINT_RADIUS:g}'"
        yield f"<circle {place} fill='{_PAPER}' stroke='{_LINE}' stroke-width='1.4'/>"
        yield _text(joint.x, joint.y + 3.5, str(joint.number), size=10, fill=_MUTED, weight=600, anchor="middle")


def _curve(piece: Sequence[Point]) -> str:
    """Return a path that leaves and reaches each point level."""
    (x, y), *rest = piece
    drawn = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        middle = (x + to_x) / 2
        bend = f" C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        drawn += f" H{to_x:.1f}" if y == to_y else bend
        x, y = to_x, to_y
    return drawn


def _boxes(plan: Plan, picture: Picture, states: Mapping[str, str]) -> Iterator[str]:
    for stage in plan.stages:
        yield from _box(stage, picture.boxes[stage.name], states.get(stage.name, ""))


def _box(stage: Stage, corner: Point, state: str) -> Iterator[str]:
    x, y = corner
    color = _COLORS.get(state.split(" ", maxsplit=1)[0].lower(), _IDLE)
    frame = f"width='{BOX_WIDTH:.0f}' height='{BOX_HEIGHT:.0f}' rx='8' stroke-width='1.2'"
    yield f"<g><title>{escape(f'{stage.name}: {stage.spec.description}')}</title>"
    for shadow in range(_SHADOWS if stage.parallelism > 1 else 0, 0, -1):
        yield f"<rect x='{x + 4 * shadow:.1f}' y='{y + 4 * shadow:.1f}' {frame} fill='#eef2f6' stroke='#c3ced9'/>"
    yield f"<rect x='{x:.1f}' y='{y:.1f}' {frame} fill='#f7f9fb' stroke='#b4c1cd'/>"
    yield f"<rect x='{x:.1f}' y='{y:.1f}' width='6' height='{BOX_HEIGHT:.0f}' rx='3' fill='{color}'/>"
    badge = f"x{stage.parallelism}" if stage.parallelism > 1 else ""
    room = BOX_WIDTH - 28 - (30 if badge else 0)
    lines = _wrap(stage.spec.label, room, 13)
    rows = len(lines) + bool(state)
    first = y + BOX_HEIGHT / 2 - (rows - 1) * 8.5 + 4.5
    for row, line in enumerate(lines):
        yield _text(x + 16, first + 17 * row, line, size=13, fill=_INK, weight=600)
    if state:
        bottom = first + 17 * len(lines)
        yield f"<circle cx='{x + 20:.1f}' cy='{bottom - 4:.1f}' r='4' fill='{color}'/>"
        yield _text(x + 29, bottom, _shorten(state, BOX_WIDTH - 40, 11.5), size=11.5, fill=_MUTED)
    if badge:
        yield _text(x + BOX_WIDTH - 12, first, badge, size=13, fill=_MUTED, weight=600, anchor="end")
    yield "</g>"


def _labels(plan: Plan, picture: Picture, rates: Mapping[Link, Rate]) -> Iterator[str]:
    for link, (x, y) in zip(plan.links, picture.labels, strict=True):
        yield from _words(x, y - 6, [_port_type(plan, link)], _MUTED)
        if link in rates:
            rate = rates[link]
            yield f"<g><title>{tell_rate(rate)}, {rate.messages:,} messages</title>"
            yield from _words(x, y + 14, _tell_link(rate), _INK)
            yield "</g>"


def _tell_link(rate: Rate) -> list[str]:
    """Return how a link flows, or what has flowed if it stands still."""
    waiting = f", queue {rate.queue:,}" if rate.queue else ""
    messages = f"{rate.messages:,} message{'' if rate.messages == 1 else 's'}{waiting}"
    return [_tell_flow(rate), messages] if rate.messages_per_s else [messages]


def _words(x: float, y: float, lines: Sequence[str], fill: str) -> Iterator[str]:
    """Draw lines of words on paper that hides what crosses them."""
    width = max(len(line) for line in lines) * _LABEL_SIZE * _LETTER
    frame = (
        f"x='{x - width / 2:.1f}' y='{y - 10:.1f}' width='{width:.1f}' height='{_LABEL_LINE * len(lines) - 1:.1f}'"
    )
    yield f"<rect {frame} fill='{_PAPER}' opacity='0.85'/>"
    for row, line in enumerate(lines):
        yield _text(x, y + _LABEL_LINE * row, line, size=_LABEL_SIZE, fill=fill, anchor="middle")


def _port_type(plan: Plan, link: Link) -> str:
    ports = [port for port in plan.stage(link.source).spec.outputs if port.name == link.source_port]
    return _shorten(ports[0].type, 150, _LABEL_SIZE) if ports else ""


def _tell_flow(rate: Rate) -> str:
    messages = f"{rate.messages_per_s:,.0f}" if rate.messages_per_s >= 10 else f"{rate.messages_per_s:.3g}"
    return f"{messages} msg/s, {_tell_bytes(rate.bytes_per_s)}/s"


def _tell_bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _wrap(text: str, room: float, size: float) -> list[str]:
    """Return a text on one line, or on two if it is too long for one."""
    if len(text) * size * _LETTER <= room:
        return [text]
    most = int(room / (size * _LETTER))
    space = text.rfind(" ", 0, most + 1)
    if space < 1:
        return [_shorten(text, room, size)]
    return [text[:space], _shorten(text[space + 1 :], room, size)]


def _shorten(text: str, room: float, size: float) -> str:
    most = int(room / (size * _LETTER))
    return text if len(text) <= most else f"{text[: max(most - 1, 1)].rstrip()}…"


def _text(
    x: float, y: float, text: str, *, size: float, fill: str, weight: int = 400, anchor: str = "start"
) -> str:
    style = f"font-size='{size:g}' fill='{fill}' font-weight='{weight}' text-anchor='{anchor}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(text)}</text>"
