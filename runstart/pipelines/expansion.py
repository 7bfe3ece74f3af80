"""A pipeline's runtime JSON: each replica of an operator with ports of its own, and an edge between all that talk.

An output port is there once for each replica and each operator behind it, so that every operator behind it gets a copy of
a message, and one of its replicas takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from pydantic import Field

from runstart.pipelines.canonical import Pipeline, PipelineEdge, PipelineOperator, PipelinePort
from runstart.specifications.keeping import KeepingModel


class RuntimeOperator(PipelineOperator):
    """One replica of an operator.

    Attributes
    ----------
    id : UUID
        Its own.
    canonical_id : UUID
        Of the operator in the pipeline.
    parallel_index : int
        Counted from 0.
    """

    canonical_id: UUID
    parallel_index: int = 0


class RuntimePort(PipelinePort):
    """A port of a replica.

    Attributes
    ----------
    id : UUID
        Its own.
    canonical_id : UUID
        Of the port in the pipeline.
    operator_id : UUID
        The replica that it belongs to.
    targets_canonical_operator_id : UUID or None
        The operator that it sends to, or whose messages an input takes in.
    """

    canonical_id: UUID
    operator_id: UUID
    targets_canonical_operator_id: UUID | None = None


class RuntimePipeline(KeepingModel):
    """A pipeline with all its replicas."""

    id: UUID
    operators: list[RuntimeOperator] = Field(default_factory=list)
    ports: list[RuntimePort] = Field(default_factory=list)
    edges: list[PipelineEdge] = Field(default_factory=list)


def expand(pipeline: Pipeline) -> RuntimePipeline:
    """Return a pipeline with a replica for each of its operators' `replicas`; all ids but the canonical ones are new.

    Parameters
    ----------
    pipeline : Pipeline
        One that `check_pipeline` lets pass.
    """
    replicas = {
        operator.id: [_replica(operator, index) for index in range(operator.replicas)]
        for operator in pipeline.operators
    }
    behind = _ports_behind(pipeline)
    ports: dict[UUID, list[RuntimePort]] = {}
    outputs: dict[tuple[UUID, UUID], list[RuntimePort]] = {}
    for port in pipeline.ports:
        owners = replicas[port.canonical_operator_id]
        if port.port_type == "input":
            ports[port.id] = [_port(port, owner, port.canonical_operator_id) for owner in owners]
            continue
        targets = behind.get(port.id, [])
        for target in targets:
            outputs[port.id, target.id] = [_port(port, owner, target.canonical_operator_id) for owner in owners]
        ports[port.id] = [one for target in targets for one in outputs[port.id, target.id]]
        if not targets:
            ports[port.id] = [_port(port, owner, None) for owner in owners]
    edges = [
        PipelineEdge(input_id=source.id, output_id=target.id)
        for edge in pipeline.edges
        for source in outputs[edge.input_id, edge.output_id]
        for target in ports[edge.output_id]
    ]
    every = [one for group in ports.values() for one in group]
    operators = [_with_ports(replica, every) for group in replicas.values() for replica in group]
    return RuntimePipeline(id=uuid4(), operators=operators, ports=every, edges=edges)


def _ports_behind(pipeline: Pipeline) -> dict[UUID, list[PipelinePort]]:
    """Return the input ports that each output port is wired to."""
    ports = {port.id: port for port in pipeline.ports}
    behind: dict[UUID, list[PipelinePort]] = {}
    for edge in pipeline.edges:
        behind.setdefault(edge.input_id, []).append(ports[edge.output_id])
    return behind


def _replica(operator: PipelineOperator, index: int) -> RuntimeOperator:
    parameters = [one.model_copy(update={"value": one.current}) for one in operator.parameters]
    fields = operator.model_dump(exclude={"id", "parameters", "inputs", "outputs"})
    replica = RuntimeOperator(**fields, id=uuid4(), canonical_id=operator.id, parallel_index=index)
    return replica.model_copy(update={"parameters": parameters})


def _port(port: PipelinePort, owner: RuntimeOperator, target: UUID | None) -> RuntimePort:
    return RuntimePort(
        **port.model_dump(exclude={"id"}),
        id=uuid4(),
        canonical_id=port.id,
        operator_id=owner.id,
        targets_canonical_operator_id=target,
    )


def _with_ports(replica: RuntimeOperator, ports: Sequence[RuntimePort]) -> RuntimeOperator:
    mine = [port for port in ports if port.operator_id == replica.id]
    inputs = [port.id for port in mine if port.port_type == "input"]
    outputs = [port.id for port in mine if port.port_type == "output"]
    return replica.model_copy(update={"inputs": inputs, "outputs": outputs})
