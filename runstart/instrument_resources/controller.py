"""The instrument controller: makes one `instruments.toml` of all Instrument resources, and reports on each.

It is level-triggered: the text is the product of all resources together, so it is made anew from all of them at every
change and every minute. Creation, update, deletion and resumption are then the same code, and no finalizer can block a
deletion while the controller is away. Handlers for each event (kopf) would have to find their way back to this text
one by one; a Dagster sensor would live inside the very code location that a bad file keeps from loading, and would
need the right to replace it. The controller keeps nothing itself, and every write is on condition of what was read, so
it can be killed at any time, and two of it do no harm.

Three loops run in threads of their own, so that no server that is slow holds up another: `watch` follows the resources,
`write` makes the text and rolls the code location and the gateway, `report` writes the statuses. What they wait for may be
away for any time: they try again, more and more slowly. A bug in any of them ends the controller.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runstart.errors import Alert, Transient
from runstart.instrument_resources.api import ClusterApi, Rollout
from runstart.instrument_resources.dagster_view import DagsterView, ask_dagster
from runstart.instrument_resources.deciding import Decision, Placed, Refusal, decide
from runstart.instrument_resources.figures import Figures, read_figures
from runstart.instrument_resources.names import TEXT_KEY
from runstart.instrument_resources.origins import make_data, read_data
from runstart.instrument_resources.pulse import Pulse
from runstart.instrument_resources.reporting import Known, differs, make_status
from runstart.instrument_resources.resource import Resource
from runstart.instrument_resources.text import check_text, digest, read_base
from runstart.instrument_resources.watching import Resources
from runstart.storage import ObjectStore

SETTLE_SECONDS = 1.0  # changes that come together roll the code location once
AGAIN_SECONDS = 60.0
REPORT_SECONDS = 10.0
LONGEST_PAUSE = 30.0

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Surroundings:
    """What the controller reads besides the resources.

    Attributes
    ----------
    base : Path, optional
        File with the Kafka clusters, and with instruments that are not resources.
    environ : mapping of str to str
        As the code location has it.
    store : ObjectStore, optional
        Where runs tell their figures.
    dagster : str
        Address of a webserver; empty if there is none to ask.
    """

    base: Path | None
    environ: Mapping[str, str]
    store: ObjectStore | None
    dagster: str = ""


class Controller:
    """Turns resources into the text that the code location reads.

    Parameters
    ----------
    api : ClusterApi
        Where the resources are.
    surroundings : Surroundings
        What else there is.
    pulse : Pulse
        Hears of each loop that comes round.
    """

    def __init__(self, api: ClusterApi, surroundings: Surroundings, pulse: Pulse) -> None:
        self._api = api
        self._surroundings = surroundings
        self._pulse = pulse
        self._to_write, self._to_report = threading.Event(), threading.Event()
        self._resources = Resources(api, self._to_write.set)
        self._decided: tuple[Decision, str] | None = None
        self._trouble = ""
        self._failure: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what is being written then may or may not come to be.

        Raises
        ------
        Exception
            A bug in one of the loops.
        """
        loops: list[tuple[str, Callable[[], None], threading.Event | None, float]] = [
            ("watch", self._resources.follow, None, 0.0),
            ("write", self._write, self._to_write, AGAIN_SECONDS),
            ("report", self._report, self._to_report, REPORT_SECONDS),
        ]
        for name, turn, wake, interval in loops:
            threading.Thread(
                target=self._loop, args=(name, turn, wake, interval, stop), name=name, daemon=True
            ).start()
        stop.wait()
        if self._failure is not None:
            raise self._failure

    def _loop(
        self,
        name: str,
        turn: Callable[[], None],
        wake: threading.Event | None,
        interval: float,
        stop: threading.Event,
    ) -> None:
        pause, told = 0.5, ""
        while not stop.is_set():
            self._pulse.beat(name)
            try:
                turn()
            except (Alert, Transient) as error:
                if str(error) != told:
                    _log.warning("%s: %s", name, error)
                told = str(error)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            except BaseException as error:  # noqa: BLE001 - raised again by run()
                self._failure = error
                stop.set()
                return
            if told:
                _log.info("%s: works again", name)
            pause, told = 0.5, ""
            if wake is not None and wake.wait(interval) and not stop.wait(SETTLE_SECONDS):
                wake.clear()

    def _write(self) -> None:
        """Make the text of all resources, and let the code location read it if it is another."""
        resources = self._resources.snapshot()
        if resources is None:
            return
        try:
            self._make(resources)
            self._trouble = ""
        except (Alert, Transient) as error:
            self._trouble = str(error)
            raise
        finally:
            self._to_report.set()

    def _make(self, resources: list[Resource]) -> None:
        base = read_base(self._surroundings.base, self._surroundings.environ)
        data, version = self._api.read_config_map()
        in_force = read_data(data)
        decision = decide(base, resources, in_force)
        made = make_data(base, decision)
        if any(data.get(key) != value for key, value in made.items()):
            problem = check_text(made[TEXT_KEY], base)
            if problem is not None:
                raise RuntimeError(f"The text that was made cannot be read: {problem}")
            self._api.write_config_map(made, version)
            _log.info("wrote the config map: %s", _tell_changes(in_force, decision))
        text_digest = digest(made[TEXT_KEY])
        self._tell_refusals(decision, resources)
        self._decided = decision, text_digest
        if self._api.read_rollout().digest != text_digest:
            self._api.roll(text_digest)
            _log.info("rolling the code location: digest %s", text_digest[:12])

    def _tell_refusals(self, decision: Decision, resources: list[Resource]) -> None:
        """Log each refusal once."""
        before = {} if self._decided is None else self._decided[0].refusals
        names = {resource.uid: resource.resource_name for resource in resources}
        for uid, refusal in decision.refusals.items():
            if before.get(uid) != refusal:
                _log.warning("refused %s (%s): %s", names[uid], refusal.reason, refusal.text)

    def _report(self) -> None:
        """Write the status of each resource that has changed."""
        resources, trouble = self._resources.snapshot(), self._trouble
        if resources is None:
            return
        decision, text_digest = self._decided or (Decision({}, {}), "")
        known = self._ask(decision, text_digest)
        for resource in resources:
            placed, refusal = decision.placed.get(resource.uid), decision.refusals.get(resource.uid)
            if refusal is None and (placed is None or placed.generation != resource.generation):
                if not trouble:
                    continue  # it came after the decision; the next one is about it
                refusal = Refusal("Blocked", trouble)
            status = make_status(resource, placed, refusal, known)
            if differs(status, resource.status):
                self._api.write_status(resource, status)

    def _ask(self, decision: Decision, text_digest: str) -> Known:
        names = [placed.instrument for placed in decision.placed.values()]
        store, dagster = self._surroundings.store, self._surroundings.dagster
        rollout: Rollout | str = _ask(self._api.read_rollout)
        figures: Figures | str = Figures() if store is None else _ask(lambda: read_figures(store, names))
        view: DagsterView | str = _ask(lambda: ask_dagster(dagster, names)) if dagster else ""
        return Known(text_digest, rollout, figures, view, time.time())


def _ask(question: Callable[[], _Answer]) -> _Answer | str:
    """Return the answer of a server, or why there is none."""
    try:
        return question()
    except (Alert, Transient) as error:
        return str(error)


def _tell_changes(before: Mapping[str, Placed], decision: Decision) -> str:
    """Return which instruments were added, changed and removed."""
    after = decision.placed
    added = [f"+{after[uid].instrument}" for uid in after.keys() - before.keys()]
    removed = [f"-{before[uid].instrument}" for uid in before.keys() - after.keys()]
    changed = [f"~{after[uid].instrument}" for uid in after.keys() & before.keys() if after[uid] != before[uid]]
    return ", ".join(sorted(added + removed + changed)) or "the base"
