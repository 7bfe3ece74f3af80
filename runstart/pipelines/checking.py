"""Says all that keeps a pipeline from running, each fault by the operator and port that it is at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from uuid import UUID

from runstart.errors import Alert
from runstart.pipelines.canonical import MOST_REPLICAS, Pipeline, PipelineEdge, PipelineOperator, PipelinePort
from runstart.pipelines.matching import ANY_TYPE, Matched, match_operators, types_fit
from runstart.pipelines.plan import find_cycle
from runstart.specifications import FoundOperator, value_troubles
from runstart.specifications.image_names import is_image


def check_pipeline(pipeline: Pipeline, operators: Mapping[str, FoundOperator] | None = None) -> None:
    """Raise an Alert with all that keeps a pipeline from running.

    Parameters
    ----------
    pipeline : Pipeline
        To be checked.
    operators : mapping of str to FoundOperator, optional
        What is known of operators: the types of their ports, and the parameters that they have.
    """
    troubles = troubles_of(pipeline, operators)
    if troubles:
        listed = "\n".join(f"- {trouble}" for trouble in troubles)
        count = "one fault" if len(troubles) == 1 else f"{len(troubles)} faults"
        raise Alert(
            f"The pipeline has {count}:\n{listed}\n", "Mend the pipeline, then: runstart pipeline check FILE."
        )


def troubles_of(pipeline: Pipeline, operators: Mapping[str, FoundOperator] | None = None) -> list[str]:
    """Return a sentence for each thing that keeps a pipeline from running, its wires first; see `check_pipeline`."""
    if not pipeline.operators:
        return ["There are no operators."]
    graph = _Graph(pipeline, match_operators(pipeline, operators or {}))
    troubles = [trouble for check in _CHECKS for trouble in check(graph)]
    return list(dict.fromkeys(troubles))


class _Graph:
    """A pipeline with what its checks look up.

    Of several with the same id, which is a fault of its own, the first counts.
    """

    def __init__(self, pipeline: Pipeline, matched: list[Matched]) -> None:
        self.pipeline = pipeline
        self.matched = matched
        self.operators: dict[UUID, Matched] = {}
        self.ports: dict[UUID, PipelinePort] = {}
        for one in matched:
            self.operators.setdefault(one.operator.id, one)
        for port in pipeline.ports:
            self.ports.setdefault(port.id, port)

    def owner(self, port: PipelinePort) -> Matched | None:
        """Return the operator that a port belongs to."""
        return self.operators.get(port.canonical_operator_id)

    def tell(self, port: PipelinePort) -> str:
        """Return words for a port, such as `reader: output 'frames'`."""
        owner = self.owner(port)
        return f"{owner.name if owner else 'no operator'}: {port.port_type} {port.portkey!r}"

    def wires(self) -> list[tuple[PipelinePort, PipelinePort]]:
        """Return the ports of each edge that goes from an output to an input."""
        ends = [(self.ports.get(edge.input_id), self.ports.get(edge.output_id)) for edge in self.pipeline.edges]
        return [
            (source, target)
            for source, target in ends
            if source and target and (source.port_type, target.port_type) == ("output", "input")
        ]


def _check_ids(graph: _Graph) -> list[str]:
    nodes: list[PipelineOperator | PipelinePort] = [*graph.pipeline.operators, *graph.pipeline.ports]
    counts = Counter(node.id for node in nodes)
    return [
        f"The id {node_id} is that of {count} operators or ports; each needs one of its own."
        for node_id, count in counts.items()
        if count > 1
    ]


def _check_ports(graph: _Graph) -> list[str]:
    troubles = []
    for port in graph.pipeline.ports:
        owner = graph.owner(port)
        if owner is None:
            told = f"The {port.port_type} {port.portkey!r} ({port.id}) belongs to no operator of the pipeline"
            troubles.append(f"{told}: there is no operator {port.canonical_operator_id}.")
        elif port.id not in _listed(owner.operator, port.port_type):
            troubles.append(f"{graph.tell(port)} ({port.id}) is not in the operator's list of {port.port_type}s.")
    keys = Counter((port.canonical_operator_id, port.port_type, port.portkey) for port in graph.pipeline.ports)
    for (operator_id, direction, key), count in keys.items():
        if count > 1 and operator_id in graph.operators:
            troubles.append(f"{graph.operators[operator_id].name}: {direction} {key!r} is there {count} times.")
    return troubles


def _check_listed_ports(graph: _Graph) -> list[str]:
    troubles = []
    for one in graph.matched:
        for direction in ("input", "output"):
            for port_id in _listed(one.operator, direction):
                port = graph.ports.get(port_id)
                if port is None:
                    troubles.append(f"{one.name}: its {direction} {port_id} is not among the pipeline's ports.")
                elif port.canonical_operator_id != one.operator.id or port.port_type != direction:
                    troubles.append(f"{one.name}: its {direction} {port_id} is another port, {graph.tell(port)}.")
    return troubles


def _check_port_names(graph: _Graph) -> list[str]:
    troubles = []
    for port in graph.pipeline.ports:
        owner = graph.owner(port)
        if owner is not None and owner.port(port.port_type, port.portkey) is None:
            declared = owner.spec.inputs if port.port_type == "input" else owner.spec.outputs
            names = ", ".join(repr(one.name) for one in declared) or "none"
            troubles.append(f"{graph.tell(port)} is not in its operator.json; its {port.port_type}s are {names}.")
    return troubles


def _check_edges(graph: _Graph) -> list[str]:
    troubles = []
    for edge in graph.pipeline.edges:
        source, target = graph.ports.get(edge.input_id), graph.ports.get(edge.output_id)
        if source is None or target is None:
            troubles.append(_tell_dangling(graph, edge))
        elif source.port_type != "output" or target.port_type != "input":
            told = f"{graph.tell(source)} is wired to {graph.tell(target)}"
            troubles.append(f"{told}; an edge goes from an output (its input_id) to an input (its output_id).")
    counts = Counter((edge.input_id, edge.output_id) for edge in graph.pipeline.edges)
    for (source_id, target_id), count in counts.items():
        if count > 1 and source_id in graph.ports and target_id in graph.ports:
            told = f"{graph.tell(graph.ports[source_id])} is wired to {graph.tell(graph.ports[target_id])}"
            troubles.append(f"{told} {count} times.")
    return troubles


def _tell_dangling(graph: _Graph, edge: PipelineEdge) -> str:
    ends = {"input_id": edge.input_id, "output_id": edge.output_id}
    missing = " and ".join(f"{key} {port_id}" for key, port_id in ends.items() if port_id not in graph.ports)
    there = next((graph.ports[port_id] for port_id in ends.values() if port_id in graph.ports), None)
    return f"{graph.tell(there) if there else 'An edge'} is wired to nothing: there is no port {missing}."


def _check_types(graph: _Graph) -> list[str]:
    troubles = []
    for source, target in graph.wires():
        given, taken = _type(graph, source), _type(graph, target)
        if not types_fit(given, taken):
            told = f"{graph.tell(source)} gives {given!r}, but {graph.tell(target)} takes {taken!r}"
            troubles.append(f"{told}; the types must be equal, or the input's be {ANY_TYPE!r}.")
    return troubles


def _check_cycles(graph: _Graph) -> list[str]:
    edges = [
        (giver.name, taker.name)
        for source, target in graph.wires()
        if (giver := graph.owner(source)) and (taker := graph.owner(target))
    ]
    cycle = find_cycle([one.name for one in graph.matched], edges)
    return (
        [f"The operators go round in a circle: {' -> '.join(cycle)}; remove one of these edges."] if cycle else []
    )


def _check_inputs(graph: _Graph) -> list[str]:
    fed = {target.canonical_operator_id for _, target in graph.wires()}
    troubles = []
    for one in graph.matched:
        if one.spec.inputs and one.operator.id not in fed:
            names = " or ".join(f"{port.name!r} ({port.type or 'any type'})" for port in one.spec.inputs)
            troubles.append(f"{one.name}: nothing is wired to its input {names}; wire an output to it.")
    return troubles


def _check_parallelism(graph: _Graph) -> list[str]:
    troubles = []
    for one in graph.matched:
        count = one.operator.parallelism
        if count is not None and not 1 <= count <= MOST_REPLICAS:
            troubles.append(f"{one.name}: its parallelism is {count}; allowed is 1 to {MOST_REPLICAS}.")
        elif count is not None and count > 1 and not one.operator.is_parallel:
            told = f"{one.name}: its parallelism is {count}, but its parallel_config is none"
            troubles.append(f"{told}: it needs all messages in one place; allowed is 1, or none.")
        elif one.operator.is_parallel and not one.spec.is_parallel:
            troubles.append(f"{one.name}: its parallel_config is not none, but that of its operator.json is.")
    return troubles


def _check_values(graph: _Graph) -> list[str]:
    # What is required and empty, such as the file to read, is given with each run.
    return [
        f"{one.name}: {trouble}{'' if trouble.endswith('?') else '.'}"
        for one in graph.matched
        for trouble in value_troubles(one.spec, one.operator.values)
    ]


def _check_images(graph: _Graph) -> list[str]:
    return [
        f"{one.name}: {one.operator.image!r} is no image; write it like registry/team/name:latest."
        for one in graph.matched
        if not is_image(one.operator.image)
    ]


def _listed(operator: PipelineOperator, direction: str) -> list[UUID]:
    return operator.inputs if direction == "input" else operator.outputs


def _type(graph: _Graph, port: PipelinePort) -> str:
    owner = graph.owner(port)
    spec = owner.port(port.port_type, port.portkey) if owner else None
    return spec.type if spec else port.type or ""


_CHECKS: tuple[Callable[[_Graph], list[str]], ...] = (
    _check_ids,
    _check_ports,
    _check_listed_ports,
    _check_port_names,
    _check_edges,
    _check_types,
    _check_cycles,
    _check_inputs,
    _check_parallelism,
    _check_values,
    _check_images,
)
