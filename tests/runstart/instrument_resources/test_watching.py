from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from instrument_tables import make_resource

from runstart.errors import Transient
from runstart.instrument_resources.api import Change, VersionGone
from runstart.instrument_resources.watching import Resources


class ScriptedApi:
    """Gives lists and watches in the order of a script; an exception in it is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def list_resources(self) -> Any:
        self.asked.append("list")
        return self._next()

    def watch_resources(self, version: str) -> Iterator[Change]:
        self.asked.append(version)
        for change in self._next():
            if isinstance(change, Exception):
                raise change
            yield change

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def make(*answers: Any) -> tuple[Resources, ScriptedApi, list[set[str]]]:
    api, seen = ScriptedApi(*answers), list[set[str]]()
    resources = Resources(api, lambda: seen.append(names(resources)))  # type: ignore[arg-type]
    return resources, api, seen


def names(resources: Resources) -> set[str]:
    return {resource.instrument for resource in resources.snapshot() or []}


SANS, LOQ = make_resource("SANS"), make_resource("LOQ")


def test_nothing_is_known_before_the_first_list() -> None:
    resources, _, seen = make(Transient("away"))
    with pytest.raises(Transient):
        resources.follow()
    assert resources.snapshot() is None
    assert seen == []


def test_changes_are_followed_from_where_the_watch_before_ended() -> None:
    watches = [Change("2", "ADDED", LOQ), Change("5", "BOOKMARK")], [Change("6", "DELETED", SANS)]
    resources, api, seen = make(({SANS.uid: SANS}, "1"), *watches)
    resources.follow()
    resources.follow()
    assert api.asked == ["list", "1", "5"]
    assert seen == [{"SANS"}, {"SANS", "LOQ"}, {"LOQ"}]


def test_a_version_that_is_gone_is_listed_anew_and_a_deletion_not_overlooked() -> None:
    resources, api, seen = make(({SANS.uid: SANS}, "1"), [VersionGone()], ({LOQ.uid: LOQ}, "9"), [])
    resources.follow()
    resources.follow()
    assert api.asked == ["list", "1", "list", "9"]
    assert seen == [{"SANS"}, {"LOQ"}]


def test_a_watch_that_breaks_is_resumed() -> None:
    resources, api, _ = make(({}, "1"), [Change("2", "ADDED", SANS), Transient("cut")], [])
    with pytest.raises(Transient):
        resources.follow()
    resources.follow()
    assert api.asked == ["list", "1", "2"]
    assert names(resources) == {"SANS"}


def test_a_change_of_the_status_alone_is_no_news() -> None:
    resources, _, seen = make(({SANS.uid: SANS}, "1"), [Change("2", "MODIFIED", SANS)])
    resources.follow()
    assert seen == [{"SANS"}]
