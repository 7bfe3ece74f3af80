"""Values that one step of a run gives to the next, as JSON in the object store: steps may be in different pods.

They lie under `step_values/RUN_ID/`. A step that is executed again in another run finds those of the run that made them,
so they are kept until `pruning` takes them away: a week after the end of their run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources.object_store import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

FOLDER = "step_values"
MOST_RETRIES = 5
RETRY_SECONDS = 5.0

_OTHER = re.compile(r"[^A-Za-z0-9_.-]")


class StepValuesIOManager(dg.ConfigurableIOManager):
    """Keeps what JSON gives back as it is: texts, numbers, lists, dictionaries. Nothing is ever unpickled."""

    object_store: ObjectStoreResource

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Keep the value of an output.

        Raises
        ------
        ValueError
            If JSON would give back another value.
        dagster.RetryRequested
            If the store does not answer.
        """
        from runstart.errors import Transient

        data = _to_json(obj)
        try:
            self._store().put(value_key(context.get_identifier()), data)
        except Transient as error:
            raise dg.RetryRequested(MOST_RETRIES, RETRY_SECONDS) from error

    def load_input(self, context: dg.InputContext) -> Any:
        """Return the value of the output that an input is connected with.

        Raises
        ------
        dagster.Failure
            If it is gone, or damaged.
        dagster.RetryRequested
            If the store does not answer.
        """
        from runstart.errors import Transient
        from runstart.storage import ObjectMissing

        upstream = context.upstream_output
        if upstream is None:
            raise ValueError(f"input {context.name!r} is connected with no output")
        key = value_key(upstream.get_identifier())
        try:
            return json.loads(self._store().get(key).data)
        except Transient as error:
            raise dg.RetryRequested(MOST_RETRIES, RETRY_SECONDS) from error
        except (ObjectMissing, ValueError) as error:
            trouble = "gone" if isinstance(error, ObjectMissing) else "damaged"
            raise dg.Failure(
                f"What {upstream.step_key} gave to this step is {trouble} ({key}). Launch the run again as a whole.",
                allow_retries=False,
            ) from error

    def _store(self) -> ObjectStore:
        return self.object_store.open()


def value_key(identifier: Sequence[str]) -> str:
    """Return the object key of an output: of different outputs, different keys.

    Parameters
    ----------
    identifier : sequence of str
        Run id, step key, output, and for one of several outputs its mapping key.
    """
    parts = [_OTHER.sub(lambda found: f"={ord(found[0]):x}=", part) for part in identifier]
    return "/".join([FOLDER, *parts]) + ".json"


def run_id_of(key: str) -> str:
    """Return the id of the run whose value has an object key."""
    return key.split("/")[1]


def _to_json(value: object) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"{type(value).__name__} is no value for another step: {error}") from error
    if json.loads(text) != value:
        raise ValueError(f"JSON gives back another value than this {type(value).__name__}")
    return text.encode()
