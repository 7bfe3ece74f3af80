"""Obeys commands to a session that runs: parameters, triggers, restarts, and its end; each is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert
from runstart.sessions.draining import Phase
from runstart.sessions.mounts import mount_parameters, mounts_of
from runstart.sessions.replicas import ALIVE, Life
from runstart.sessions.triggers import check_trigger
from runstart.specifications import check_values

if TYPE_CHECKING:
    from runstart.pipelines import Plan
    from runstart.sessions.control_hub import ControlHub
    from runstart.sessions.crew import Crew
    from runstart.sessions.draining import Drain
    from runstart.sessions.mailbox import Command
    from runstart.sessions.order import SessionSettings
    from runstart.sessions.replicas import Replica
    from runstart.sessions.tasks import StageSetup
    from runstart.sessions.triggers import Triggers


class CommandDesk:
    """Obeys the commands to one session.

    Parameters
    ----------
    plan : Plan
        What runs.
    setups : mapping of str to StageSetup
        Its stages; their values and mounts are changed here.
    crew : Crew
        Its processes.
    hub : ControlHub
        Reaches them.
    triggers : Triggers
        Pulls them.
    drain : Drain
        Knows what has ended.
    settings : SessionSettings
        What may be mounted.
    answer : callable
        Takes a command's number, `ok` or `error`, and a message.
    stop : callable
        Ends the session: at once if it gets True, otherwise when what is on its way has arrived.
    """

    def __init__(
        self,
        plan: Plan,
        setups: Mapping[str, StageSetup],
        crew: Crew,
        hub: ControlHub,
        triggers: Triggers,
        drain: Drain,
        settings: SessionSettings,
        answer: Callable[[str, str, str], None],
        stop: Callable[[bool], None],
    ) -> None:
        self._plan, self._setups, self._crew = plan, setups, crew
        self._hub, self._triggers, self._drain = hub, triggers, drain
        self._settings, self._answer, self._stop = settings, answer, stop

    def obey(self, command: Command) -> None:
        """Do what a command says, and have it answered, now or when it is done."""
        content = command.content
        try:
            match content.get("command"):
                case "set":
                    self._answer(command.number, "ok", self._set(content))
                case "restart":
                    self._answer(command.number, "ok", self._restart(content))
                case "trigger":
                    self._trigger(command)
                case "stop":
                    self._stop(bool(content.get("now")))
                    self._answer(command.number, "ok", "The session ends.")
                case other:
                    raise Alert(f"There is no command {other!r}.", "There are set, trigger, restart and stop.")
        except Alert as alert:
            self._answer(command.number, "error", str(alert))

    def tell_again(self, replica: Replica) -> None:
        """Tell a process that is ready now what was set while it started."""
        setup = self._setups[replica.stage]
        if setup.is_changed:
            self._tell_values(setup, [replica])

    def _set(self, content: Mapping[str, Any]) -> str:
        setup = self._running(content)
        given = content.get("values")
        if not isinstance(given, dict) or not given:
            raise Alert("The command has no values.", "Say at least one parameter=value.")
        name = setup.stage.name
        values = check_values(setup.stage.spec, {**setup.values, **given}, name)
        # Before anything changes: a path that is missing leaves the old value in force.
        data = mounts_of(setup.stage, values, self._settings.mount_roots)
        is_remounted = data != setup.data
        setup.values, setup.data, setup.is_changed = values, data, True
        shown = ", ".join(f"{key} = {values[key]!r}" for key in given)
        if is_remounted:
            self._say_stop(self._crew.restart(name))
            return f"{name}: {shown}; it is restarted with the new mount."
        self._tell_values(setup, self._crew.stages[name])
        return f"{name}: {shown}."

    def _restart(self, content: Mapping[str, Any]) -> str:
        name = self._running(content).stage.name
        replicas = self._crew.restart(name)
        if not replicas:
            raise Alert(f"No replica of {name} runs just now.", "Wait until it is ready.")
        self._say_stop(replicas)
        return f"{name} is restarted: {len(replicas)} of {len(self._crew.stages[name])} replicas."

    def _trigger(self, command: Command) -> None:
        stage, trigger = str(command.content.get("operator")), str(command.content.get("trigger"))
        check_trigger(self._plan, stage, trigger)
        self._running(command.content)
        ready = [replica.sender for replica in self._crew.stages[stage] if replica.life is Life.READY]
        if not ready:
            raise Alert(f"No replica of {stage} is ready.", "Wait until it is.")
        number = command.number
        self._triggers.pull(stage, trigger, ready, lambda status, text: self._answer(number, status, text))

    def _running(self, content: Mapping[str, Any]) -> StageSetup:
        name = content.get("operator")
        setup = self._setups.get(name) if isinstance(name, str) else None
        if setup is None:
            raise Alert(f"There is no operator {name!r}.", f"There are {', '.join(self._setups)}.")
        if self._drain.phases[setup.stage.name] is not Phase.RUNNING:
            raise Alert(f"{name} has ended already.", "Run the pipeline again.")
        return setup

    def _tell_values(self, setup: StageSetup, replicas: Iterable[Replica]) -> None:
        mounted = mount_parameters(setup.stage)
        values = {name: value for name, value in setup.values.items() if name not in mounted}
        for replica in replicas:
            if replica.life in ALIVE:
                # One that cannot be reached yet is told when it is ready.
                self._hub.send(replica.sender, {"kind": "parameters", "values": values})

    def _say_stop(self, replicas: Iterable[Replica]) -> None:
        for replica in replicas:
            # One that cannot be reached is ended after its time of grace.
            self._hub.send(replica.sender, {"kind": "stop"})
            self._triggers.lost(replica.sender)
