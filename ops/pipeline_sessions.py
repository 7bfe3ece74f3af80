"""Pipelines as Dagster jobs: a run of one is a session, which ends with its sources, or when the run is terminated."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.config_schema import make_config_schema
from ops.session_running import SESSION, TIME_LIMIT, run_plan
from ops.tags import KIND_TAG
from resources import LauncherResource, ObjectStoreResource, SessionsResource
from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.pipelines import Pipeline, Plan, Stage
    from runstart.specifications import FoundOperator

PIPELINE_TAG = "runstart/pipeline"
_KEEP_RUNNING = {
    "type": "boolean",
    "title": "Keep running",
    "description": "Goes on when the sources have ended, until the run is terminated or the session is told to stop.",
    "default": False,
}


@dataclass(frozen=True)
class FoundPipeline:
    """A pipeline in a file that can be run.

    Attributes
    ----------
    name : str
        The file's name without `.json`.
    path : Path
        The file.
    pipeline : Pipeline
        What it says.
    plan : Plan
        What a session runs of it; values that each run must give may be empty.
    operators : mapping of str to FoundOperator
        The operators that are known.
    """

    name: str
    path: Path
    pipeline: "Pipeline"
    plan: "Plan"
    operators: Mapping[str, "FoundOperator"]

    @property
    def job_name(self) -> str:
        """The name of its job."""
        return "pipeline_" + re.sub(r"\W", "_", self.name, flags=re.ASCII)


def load_pipelines(
    paths: Mapping[str, Path], operators: Mapping[str, "FoundOperator"]
) -> tuple[list[FoundPipeline], dict[str, str]]:
    """Return the pipelines that can be run, and what is wrong with each other one, by name.

    Parameters
    ----------
    paths : mapping of str to Path
        The file of each, by its name.
    operators : mapping of str to FoundOperator
        The operators that are known.
    """
    loaded: dict[str, FoundPipeline] = {}
    wrong: dict[str, str] = {}
    for name, path in paths.items():
        try:
            found = _load(name, path, operators)
            other = loaded.get(found.job_name)
            if other is not None:
                raise Alert(f"It would have the job of {other.path}, {found.job_name}.", "Rename one of the files.")
        except Alert as alert:
            wrong[name] = f"The pipeline {path} has no job. {alert.what.rstrip()}\n\n{alert.remedy}"
        else:
            loaded[found.job_name] = found
    return list(loaded.values()), wrong


def define_pipeline_jobs(pipelines: Iterable[FoundPipeline]) -> list[dg.JobDefinition]:
    """Return the job of each pipeline."""
    return [_define_job(found) for found in pipelines]


def pipeline_key(name: str) -> dg.AssetKey:
    """Return the asset of a pipeline."""
    return dg.AssetKey(["pipelines", name])


def stage_key(name: str, stage: str) -> dg.AssetKey:
    """Return the asset of an operator of a pipeline."""
    return dg.AssetKey(["pipelines", name, stage])


def _load(name: str, path: Path, operators: Mapping[str, "FoundOperator"]) -> FoundPipeline:
    from runstart.pipelines import make_plan, read_pipeline

    pipeline = read_pipeline(path)
    return FoundPipeline(name, path, pipeline, make_plan(pipeline, name, operators, may_be_empty=True), operators)


def _define_job(found: FoundPipeline) -> dg.JobDefinition:
    run_pipeline = _define_op(found)
    names = ", ".join(stage.name for stage in found.plan.stages)

    def for_op(config: Mapping[str, Any]) -> dict[str, Any]:
        return {"ops": {run_pipeline.name: {"config": config}}}

    @dg.job(
        name=found.job_name,
        description=f"Runs the pipeline `{found.name}` as a session: {names}. Terminate the run to stop it.",
        config=dg.ConfigMapping(
            config_fn=for_op, config_schema=_config_schema(f"{found.job_name}_job", found.plan)
        ),
        executor_def=dg.in_process_executor,
        tags={KIND_TAG: SESSION, PIPELINE_TAG: found.name},
        metadata={"file": str(found.path), "operators": len(found.plan.stages)},
    )
    def job() -> None:
        run_pipeline()

    return job


def _define_op(found: FoundPipeline) -> dg.OpDefinition:
    @dg.op(
        name=f"run_{found.job_name}",
        description=(
            "Starts the operators, each in a process or container of its own, waits until all are ready, and lets the "
            "sources begin. Shows messages, rates and queues while it runs. At the end nothing is left running; messages "
            "that were lost, if any, are counted, and fail the run."
        ),
        config_schema=_config_schema(found.job_name, found.plan),
        out=dg.Out(dg.String, description="The session: its record lies under sessions/ID/ in the object store."),
        tags={"dagster/compute_kind": "zeromq"},
    )
    def run_pipeline(
        context: dg.OpExecutionContext,
        object_store: ObjectStoreResource,
        launcher: LauncherResource,
        sessions: SessionsResource,
    ) -> str:
        config = context.op_config

        def make() -> "Plan":
            from runstart.pipelines import make_plan

            return make_plan(found.pipeline, found.name, found.operators, config.get("operators", {}))

        return run_plan(
            context,
            object_store,
            launcher,
            sessions,
            make,
            session_key=pipeline_key(found.name),
            key_of=lambda stage: stage_key(found.name, stage),
            triggers=config["triggers"],
            keep_running=config["keep_running"],
            time_limit_s=config.get("time_limit_s"),
        )

    return run_pipeline


def _config_schema(name: str, plan: "Plan") -> dict[str, dg.Field]:
    stages = {stage.name: _stage_field(name, stage) for stage in plan.stages if stage.spec.parameters}
    operators = {}
    if stages:
        operators["operators"] = dg.Field(dg.Shape(stages), description="Parameters of each operator.")
    properties = {
        "triggers": _triggers_schema(plan.stages),
        "keep_running": _KEEP_RUNNING,
        "time_limit_s": TIME_LIMIT,
    }
    return operators | make_config_schema(name, {"properties": properties})


def _stage_field(name: str, stage: "Stage") -> dg.Field:
    from runstart.specifications import parameters_json_schema

    schema = parameters_json_schema(stage.spec)
    # What the pipeline sets is the default here.
    given = {key: value for key, value in stage.values.items() if not (key in schema["required"] and value == "")}
    properties = {
        key: part | ({"default": given[key]} if key in given else {}) for key, part in schema["properties"].items()
    }
    required = [key for key in schema["required"] if key not in given]
    fields = make_config_schema(f"{name}_{stage.name}", {"properties": properties, "required": required})
    return dg.Field(dg.Shape(fields), description=f"{stage.spec.label}: {stage.spec.description}")


def _triggers_schema(stages: Sequence["Stage"]) -> dict[str, Any]:
    known = [f"{stage.name}:{trigger.name}" for stage in stages for trigger in stage.spec.triggers]
    return {
        "type": "array",
        "items": {"type": "string", "enum": known} if known else {"type": "string"},
        "title": "Triggers",
        "description": f"What operators are asked to do as soon as all are ready, in this order: "
        f"{', '.join(known) or 'no operator here has triggers'}.",
        "default": [],
    }
