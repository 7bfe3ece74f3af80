"""What of a pipeline a session runs: stages in the order of their messages, and the links between their ports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runstart.specifications import OperatorSpec

_LONGEST_NAME = 40  # characters; it becomes part of names of sockets, containers and folders


@dataclass(frozen=True)
class Stage:
    """An operator of a pipeline, with all its replicas.

    Attributes
    ----------
    name : str
        Unique in the plan: lower-case letters and digits with `-` between words, of its label.
    id : UUID
        Of the operator in the pipeline.
    spec : OperatorSpec
        What it takes and gives.
    folder_name : str or None
        The operator's folder, among those that were found; None if it can only be run from its image.
    parallelism : int
        How many replicas there are.
    values : dict
        Of all its parameters, checked.
    """

    name: str
    id: UUID
    spec: OperatorSpec
    folder_name: str | None = None
    parallelism: int = 1
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A connection of two stages' ports.

    Attributes
    ----------
    source, source_port : str
        The stage whose output it begins at.
    target, target_port : str
        The stage whose input it ends at.
    """

    source: str
    source_port: str
    target: str
    target_port: str


@dataclass(frozen=True)
class Plan:
    """A pipeline that can be run.

    Attributes
    ----------
    name : str
        The pipeline's.
    stages : tuple of Stage
        Each after all whose messages it gets.
    links : tuple of Link
        In the order of the pipeline's edges.
    """

    name: str
    stages: tuple[Stage, ...]
    links: tuple[Link, ...]

    def stage(self, name: str) -> Stage:
        """Return the stage of a name; KeyError if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


@dataclass(frozen=True)
class Rate:
    """What went over a link.

    Attributes
    ----------
    messages_per_s, bytes_per_s : float
        Lately.
    messages : int
        Since the session's start.
    queue : int
        Messages sent and not yet received.
    """

    messages_per_s: float
    bytes_per_s: float
    messages: int
    queue: int


def stage_names(labels: Iterable[str]) -> list[str]:
    """Return a unique name for each label: `Center of mass` twice gives center-of-mass and center-of-mass-2."""
    names: list[str] = []
    for label in labels:
        slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "operator"
        name, number = slug, 1
        while name in names:
            number += 1
            name = f"{slug}-{number}"
        names.append(name)
    return names


def order_stages(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return names so that each comes after those with an edge to it; those on or behind a cycle are left out.

    Parameters
    ----------
    names : iterable of str
        Their order is kept where the edges leave it open.
    edges : iterable of (str, str)
        From a name to another.
    """
    waits: dict[str, set[str]] = {name: set() for name in names}
    for source, target in edges:
        waits[target].add(source)
    ordered: list[str] = []
    while ready := next((name for name in waits if waits[name] <= set(ordered)), None):
        ordered.append(ready)
        del waits[ready]
    return ordered


def find_cycle(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names along a cycle, from the foremost and back to it; empty if there is none."""
    known, wires = list(names), list(edges)
    ordered = set(order_stages(known, wires))
    sources = {target: source for source, target in wires if source not in ordered}
    if not sources:
        return []
    path = [next(iter(sources))]
    while path[-1] not in path[:-1]:
        path.append(sources[path[-1]])  # everything left over has a source that is left over
    cycle = path[path.index(path[-1]) + 1 :][::-1]
    first = cycle.index(min(cycle, key=known.index))
    return [*cycle[first:], *cycle[: first + 1]]
