"""Operators as Dagster jobs: each runs alone, in a session between a reader of files and a collector of its outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.config_schema import as_sentence, make_config_schema
from ops.session_running import SESSION, TIME_LIMIT, run_plan
from ops.tags import KIND_TAG
from resources import LauncherResource, ObjectStoreResource, SessionsResource

if TYPE_CHECKING:
    from runstart.pipelines import Plan
    from runstart.specifications import FoundOperator

OPERATOR_TAG = "runstart/operator"
_FILES = {
    "type": "array",
    "items": {"type": "string"},
    "title": "Files",
    "description": "Paths of this machine; each file becomes messages, in this order.",
}


def operator_key(name: str) -> dg.AssetKey:
    """Return the asset of an operator that runs alone."""
    return dg.AssetKey(["operators", name])


def operator_job_name(name: str) -> str:
    """Return the name of an operator's job."""
    return f"operator_{name.replace('-', '_')}"


def define_operator_jobs(operators: Mapping[str, "FoundOperator"], troubles: list[str]) -> list[dg.JobDefinition]:
    """Return the job of each operator.

    Parameters
    ----------
    operators : mapping of str to FoundOperator
        The operators by name; reader and collector are among them.
    troubles : list of str
        Gets a sentence for each operator that has no job.
    """
    jobs = []
    for operator in operators.values():
        settings = _settings_of(operator)
        taken = [parameter.name for parameter in operator.spec.parameters if parameter.name in settings]
        if taken:
            troubles.append(
                f"The operator {operator.name} has no job of its own: its parameter {taken[0]} has the name of a setting "
                "of such jobs. Rename the parameter."
            )
        else:
            jobs.append(_define_job(operator, operators))
    return jobs


def _define_job(operator: "FoundOperator", operators: Mapping[str, "FoundOperator"]) -> dg.JobDefinition:
    name = operator_job_name(operator.name)
    run_operator = _define_op(operator, operators)

    def for_op(config: Mapping[str, Any]) -> dict[str, Any]:
        return {"ops": {run_operator.name: {"config": config}}}

    @dg.job(
        name=name,
        description=f"{as_sentence(operator.spec.description)} Runs the operator `{operator.name}` alone.",
        config=dg.ConfigMapping(config_fn=for_op, config_schema=_config_schema(f"{name}_job", operator)),
        executor_def=dg.in_process_executor,
        tags={KIND_TAG: SESSION, OPERATOR_TAG: operator.name},
        metadata={"operator": operator.spec.label, "image": operator.spec.image, "folder": str(operator.folder)},
    )
    def job() -> None:
        run_operator()

    return job


def _define_op(operator: "FoundOperator", operators: Mapping[str, "FoundOperator"]) -> dg.OpDefinition:
    name = operator_job_name(operator.name)

    @dg.op(
        name=f"run_{name}",
        description=(
            f"Starts `{operator.name}` as it runs in pipelines: in a process or container of its own, fed with messages. "
            "What it puts out is kept in the object store and listed with its pictures; everything is removed at the end."
        ),
        config_schema=_config_schema(name, operator),
        out=dg.Out(
            dg.String, description="The session: outputs lie under sessions/ID/published/ in the object store."
        ),
        tags={"dagster/compute_kind": "zeromq"},
    )
    def run_operator(
        context: dg.OpExecutionContext,
        object_store: ObjectStoreResource,
        launcher: LauncherResource,
        sessions: SessionsResource,
    ) -> str:
        key = operator_key(operator.name)
        config = context.op_config
        settings = {name: config[name] for name in _settings_of(operator) if name in config}
        values = {name: value for name, value in config.items() if name not in settings}
        files = [Path(file).expanduser() for file in settings.get("files", [])]

        def make() -> "Plan":
            from runstart.pipelines import single_operator_plan

            return single_operator_plan(operator, values, files, operators)

        return run_plan(
            context,
            object_store,
            launcher,
            sessions,
            make,
            session_key=key,
            key_of=lambda _stage: key,
            triggers=[f"{operator.name}:{trigger}" for trigger in settings.get("triggers", [])],
            time_limit_s=settings.get("time_limit_s"),
        )

    return run_operator


def _config_schema(name: str, operator: "FoundOperator") -> dict[str, dg.Field]:
    from runstart.specifications import parameters_json_schema

    schema = parameters_json_schema(operator.spec)
    settings = _settings_of(operator)
    required = [*schema["required"], *(["files"] if "files" in settings else [])]
    return make_config_schema(name, {"properties": schema["properties"] | settings, "required": required})


def _settings_of(operator: "FoundOperator") -> dict[str, Any]:
    """Return what the job asks for beside the operator's parameters, as JSON Schema."""
    settings: dict[str, Any] = {"files": _FILES} if operator.spec.inputs else {}
    if operator.spec.triggers:
        settings["triggers"] = _triggers_schema(operator)
    return settings | {"time_limit_s": TIME_LIMIT}


def _triggers_schema(operator: "FoundOperator") -> dict[str, Any]:
    names = [trigger.name for trigger in operator.spec.triggers]
    return {
        "type": "array",
        "items": {"type": "string", "enum": names},
        "title": "Triggers",
        "description": f"What it is asked to do, in this order: {', '.join(names)}.",
        "default": [],
    }
