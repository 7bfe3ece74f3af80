"""Operators, pipelines and probes as assets: what sessions of them show and leave behind.

They are made by jobs of their own, whose runs are sessions. The operators of a pipeline follow each other as they are
wired, so that its lineage is its graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from ops.config_schema import as_sentence
from ops.operator_jobs import operator_job_name, operator_key
from ops.pipeline_sessions import FoundPipeline, pipeline_key, stage_key
from ops.probe_session import PROBE_JOB, PROBE_KEY
from ops.session_running import OWNERS

if TYPE_CHECKING:
    from runstart.pipelines import Stage
    from runstart.specifications import FoundOperator

OPERATORS_GROUP, PIPELINES_GROUP, SESSIONS_GROUP = "operators", "pipelines", "sessions"
KINDS = {"zeromq", "python"}


def define_operator_assets(operators: Iterable[FoundOperator]) -> list[dg.AssetSpec]:
    """Return an asset for what each operator puts out when it runs alone."""
    return [
        dg.AssetSpec(
            operator_key(operator.name),
            description=f"{as_sentence(operator.spec.description)}\n\nThese are the outputs of the job "
            f"`{operator_job_name(operator.name)}`, which runs it alone: one materialization for each output that it "
            "keeps, and one for each session.",
            group_name=OPERATORS_GROUP,
            kinds=KINDS,
            owners=OWNERS,
            metadata={"image": operator.spec.image, "folder": str(operator.folder)},
        )
        for operator in operators
    ]


def define_pipeline_assets(pipelines: Iterable[FoundPipeline]) -> list[dg.AssetSpec]:
    """Return for each pipeline an asset of its sessions, and one for each of its operators."""
    return [asset for found in pipelines for asset in (_sessions(found), *_stages(found))]


def define_wrong_pipelines(wrong: Mapping[str, str]) -> list[dg.AssetSpec]:
    """Return for each pipeline that cannot be run an asset that says why, where its users look for it.

    Parameters
    ----------
    wrong : mapping of str to str
        What is wrong, by the pipeline's name.
    """
    return [
        dg.AssetSpec(
            pipeline_key(name),
            description=f"**This pipeline is left out.**\n\n{text}\n\nMend it, then reload the definitions.",
            group_name=PIPELINES_GROUP,
            kinds=KINDS,
            owners=OWNERS,
            tags={"left_out": ""},
        )
        for name, text in wrong.items()
    ]


def define_probe_asset() -> dg.AssetSpec:
    """Return the asset of probe sessions."""
    return dg.AssetSpec(
        PROBE_KEY,
        description=f"Sessions of the job `{PROBE_JOB}`: a probe sends numbered messages, and they arrive, counted, at the "
        "end of the session: in the stream, or, if it is segmented, in the segmentation behind it.",
        group_name=SESSIONS_GROUP,
        kinds={"python"},
        owners=OWNERS,
    )


def _sessions(found: FoundPipeline) -> dg.AssetSpec:
    sources = {link.source for link in found.plan.links}
    last = [stage.name for stage in found.plan.stages if stage.name not in sources]
    return dg.AssetSpec(
        pipeline_key(found.name),
        deps=[stage_key(found.name, name) for name in last],
        description=f"Sessions of the job `{found.job_name}`. While one runs, its observations show the graph with what "
        "goes over its edges, the operators, and the host; its end is a materialization with what became of every message.",
        group_name=PIPELINES_GROUP,
        kinds=KINDS,
        owners=OWNERS,
        metadata={"file": str(found.path), "job": found.job_name},
    )


def _stages(found: FoundPipeline) -> list[dg.AssetSpec]:
    return [_stage(found, stage) for stage in found.plan.stages]


def _stage(found: FoundPipeline, stage: Stage) -> dg.AssetSpec:
    before = dict.fromkeys(link.source for link in found.plan.links if link.target == stage.name)
    return dg.AssetSpec(
        stage_key(found.name, stage.name),
        deps=[stage_key(found.name, name) for name in before],
        description=f"{as_sentence(stage.spec.description)}\n\nThe operator `{stage.name}` of the pipeline "
        f"`{found.name}`: what it shows while a session runs, what it keeps, and its figures at the end.",
        group_name=PIPELINES_GROUP,
        kinds=KINDS,
        owners=OWNERS,
        metadata={"operator": stage.spec.label, "replicas": stage.parallelism},
    )
