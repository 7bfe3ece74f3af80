"""Pipelines of operators: their JSON, what is wrong with one, the plan that a session runs, and its picture."""

from runstart.pipelines.canonical import (
    DEFAULT_REPLICAS,
    MOST_REPLICAS,
    Pipeline,
    PipelineEdge,
    PipelineOperator,
    PipelinePort,
    parse_pipeline,
    pipeline_to_json,
    read_pipeline,
)
from runstart.pipelines.checking import check_pipeline, troubles_of
from runstart.pipelines.drawing import draw_plan
from runstart.pipelines.expansion import RuntimeOperator, RuntimePipeline, RuntimePort, expand
from runstart.pipelines.finding import find_pipelines
from runstart.pipelines.matching import Matched, match_operators, types_fit
from runstart.pipelines.plan import Link, Plan, Rate, Stage
from runstart.pipelines.planning import make_plan
from runstart.pipelines.single import COLLECTOR, READER, single_operator_plan

__all__ = [
    "COLLECTOR",
    "DEFAULT_REPLICAS",
    "MOST_REPLICAS",
    "READER",
    "Link",
    "Matched",
    "Pipeline",
    "PipelineEdge",
    "PipelineOperator",
    "PipelinePort",
    "Plan",
    "Rate",
    "RuntimeOperator",
    "RuntimePipeline",
    "RuntimePort",
    "Stage",
    "check_pipeline",
    "draw_plan",
    "expand",
    "find_pipelines",
    "make_plan",
    "match_operators",
    "parse_pipeline",
    "pipeline_to_json",
    "read_pipeline",
    "single_operator_plan",
    "troubles_of",
    "types_fit",
]
