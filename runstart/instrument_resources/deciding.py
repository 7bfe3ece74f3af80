"""Decides which version of which resource is in force: each change is tried on what is in force already.

A change that cannot be is explained, and the version before it stays: an instrument in the middle of a run must not
vanish because of a typing error, and no resource can push out another. Of two that want the same name or event topic
the one in force has it, and of two new ones the older. Changes are tried until none is left that fits, so that one
can take what another lets go at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from runstart.errors import Alert
from runstart.instrument_resources.resource import Resource
from runstart.instrument_resources.text import Base, check_text, write_text
from runstart.instruments import Instrument
from runstart.instruments.facility import conflicts
from runstart.toml_files import Problem, validate_named

Reason = Literal["Invalid", "NameTaken", "Conflict", "Blocked"]


@dataclass(frozen=True)
class Placed:
    """An instrument that is in force.

    Attributes
    ----------
    instrument : str
        Its name.
    generation : int
        Of the resource that it comes from.
    table : dict of str to object
        Its table.
    declared : Instrument, optional
        The same, checked; None before that.
    """

    instrument: str
    generation: int
    table: dict[str, Any]
    declared: Instrument | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Refusal:
    """Why a version is not in force.

    Attributes
    ----------
    reason : str
        One word; `Blocked` if no version of any resource can come into force just now.
    text : str
        What is wrong and what to do.
    """

    reason: Reason
    text: str


@dataclass(frozen=True)
class Decision:
    """What is in force from now on.

    Attributes
    ----------
    placed : dict of str to Placed
        Instruments by uid of their resource.
    refusals : dict of str to Refusal
        By uid, for resources whose newest version is not in force.
    """

    placed: dict[str, Placed]
    refusals: dict[str, Refusal]

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return the tables by name of the instrument."""
        return {placed.instrument: placed.table for placed in self.placed.values()}


def decide(base: Base, resources: Iterable[Resource], in_force: Mapping[str, Placed]) -> Decision:
    """Decide what is in force.

    Parameters
    ----------
    base : Base
        What the base file declares; its instruments are not displaced.
    resources : iterable of Resource
        All that there are.
    in_force : mapping of str to Placed
        What has been in force, by uid; what has no resource any more is left out.

    Returns
    -------
    Decision
    """
    ordered = sorted(resources, key=lambda resource: resource.seniority)
    placed: dict[str, Placed] = {}
    refusals: dict[str, Refusal] = {}
    for resource in ordered:
        before = in_force.get(resource.uid)
        fitted = None if before is None else _fit(base, placed.values(), before)
        if isinstance(fitted, Placed):
            placed[resource.uid] = fitted
    waiting = ordered
    while waiting:
        left = [resource for resource in waiting if not _update(base, placed, refusals, resource)]
        if len(left) == len(waiting):
            break
        waiting = left
    return Decision(placed, {resource.uid: refusals[resource.uid] for resource in waiting})


def _update(base: Base, placed: dict[str, Placed], refusals: dict[str, Refusal], resource: Resource) -> bool:
    """Put the newest version of a resource in force if it fits; else note why not."""
    try:
        table = resource.table()
    except Alert as alert:
        refusals[resource.uid] = Refusal("Invalid", str(alert))
        return False
    wanted = Placed(resource.instrument, resource.generation, table)
    before = placed.get(resource.uid)
    if before is not None and (before.instrument, before.table) == (wanted.instrument, wanted.table):
        placed[resource.uid] = replace(before, generation=resource.generation)
        return True
    others = [other for uid, other in placed.items() if uid != resource.uid]
    fitted = _fit(base, others, wanted)
    if isinstance(fitted, Placed):
        tables = {other.instrument: other.table for other in (*others, fitted)}
        problem = check_text(write_text(base.table, tables), base)
        fitted = fitted if problem is None else Refusal("Invalid", problem)
    if isinstance(fitted, Refusal):
        refusals[resource.uid] = fitted
        return False
    placed[resource.uid] = fitted
    return True


def _fit(base: Base, others: Iterable[Placed], wanted: Placed) -> Placed | Refusal:
    """Return an instrument, checked, if it can stand beside the others."""
    name = wanted.instrument
    beside = {other.instrument: other.declared for other in others if other.declared is not None}
    if name in base.facility.instruments or name in beside:
        owner = "the base file" if name in base.facility.instruments else "another resource"
        remedy = "write another spec.name, or delete one of the two"
        return Refusal("NameTaken", f"spec.name: {name!r} is an instrument of {owner} already; {remedy}.")
    declared, problems = validate_named(Instrument, "instruments", name, wanted.table)
    if declared is None:
        return Refusal("Invalid", _tell(name, problems))
    together = {**base.facility.instruments, **beside, name: declared}
    found = conflicts(together, base.facility.clusters)
    return Refusal("Conflict", _tell(name, found)) if found else replace(wanted, declared=declared)


def _tell(name: str, problems: Sequence[Problem]) -> str:
    """Return the first problem, in the words and the place of the resource, with the number of the others."""
    (_, owner, *place), text = problems[0]
    field_path = ".".join(map(str, ("spec", *place) if owner == name else (owner, *place)))
    more = f" ({len(problems) - 1} more to mend.)" if len(problems) > 1 else ""
    return f"{field_path}: {text.rstrip('.?')}{'?' if text.endswith('?') else '.'}{more}"
