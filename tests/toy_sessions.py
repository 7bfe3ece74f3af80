"""Tiny operators and pipelines of them, written into a folder, and the definitions that know them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

ROOT = Path(__file__).resolve().parents[1]
_NAMESPACE = uuid.UUID("6f0a1c8e-3f53-4f0e-9a59-7a4c1d2b3e4f")

COUNTER = """
from runstart.operators import BytesMessage, EndOfStream, MessageHeader, operator

told = 0


@operator
def count(inputs, parameters):
    global told
    if told >= parameters["messages"]:
        raise EndOfStream
    told += 1
    return BytesMessage(MessageHeader(meta={"number": told}), str(told).encode())
"""

SHOWER = """
import base64

from runstart.operators import operator, publish

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg=="
)


@operator
def show(inputs, parameters):
    if inputs.data == str(parameters["breaks_on"]).encode():
        raise ValueError(f"{parameters['breaks_on']} is too much")
    publish("image/png", PNG, name="a square", keep=parameters["keep"])
"""

IDLER = """
import time

from runstart.operators import BytesMessage, MessageHeader, operator


@operator
def idle(inputs, parameters):
    time.sleep(0.05)
    return BytesMessage(MessageHeader(), b"still here")
"""


def identity(name: str) -> str:
    """Return the id that goes with a name."""
    return str(uuid.uuid5(_NAMESPACE, name))


def write_operator(folder: Path, name: str, run: str, **spec: Any) -> None:
    """Write an operator; `spec` is what its operator.json has besides the names."""
    place = folder / name
    place.mkdir(parents=True)
    place.joinpath("run.py").write_text(run)
    told = {
        "id": identity(name),
        "label": name,
        "description": f"The toy {name}.",
        "image": f"example/{name}:latest",
    }
    place.joinpath("operator.json").write_text(json.dumps(told | spec))


def port(name: str) -> dict[str, str]:
    """Return a port of the type `bytes`."""
    return {"name": name, "label": name, "description": name, "type": "bytes"}


def parameter(name: str, kind: str, default: object, **more: object) -> dict[str, object]:
    """Return a parameter that need not be given."""
    told = {"name": name, "label": name, "description": f"The {name}.", "type": kind, "default": default}
    return told | {"required": False} | more


def write_toys(folder: Path) -> Path:
    """Write all toy operators, and return the folder that they are in."""
    write_operator(
        folder, "counter", COUNTER, outputs=[port("out")], parameters=[parameter("messages", "int", 3, minimum=0)]
    )
    shower = [parameter("keep", "bool", False), parameter("breaks_on", "int", 0)]
    write_operator(folder, "shower", SHOWER, inputs=[port("in")], parameters=shower)
    write_operator(folder, "idler", IDLER, outputs=[port("out")])
    return folder


def pipeline(operators: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return a pipeline of operators in a row, each from `out` to the next one's `in`.

    Each is a name with what its `operators` entry has besides, such as `parameters`.
    """
    made: dict[str, Any] = {"operators": [], "ports": [], "edges": []}
    before = None
    for index, (name, more) in enumerate(operators):
        own = {"id": identity(f"{name} {index}"), "spec_id": identity(name), "node_type": "operator"}
        entry = own | {"label": name, "description": name, "image": f"example/{name}:latest", "tags": []}
        ends = {"inputs": "in" if index else None, "outputs": "out" if index < len(operators) - 1 else None}
        for side, key in ends.items():
            entry[side] = [] if key is None else [identity(f"{name} {index} {key}")]
            if key is not None:
                direction = {"port_type": side[:-1], "portkey": key}
                made["ports"].append(
                    {"id": entry[side][0], "node_type": "port", "canonical_operator_id": own["id"]} | direction
                )
        if before is not None:
            made["edges"].append({"input_id": before["outputs"][0], "output_id": entry["inputs"][0]})
        before = entry | more
        made["operators"].append(before)
    return made


def write_pipeline(folder: Path, name: str, content: object) -> Path:
    """Write a pipeline beside the operators of a folder."""
    path = folder / "pipelines" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def toy_environ(folder: Path, place: Path) -> dict[str, str]:
    """Return the environment of a deployment with the operators of a folder, and its object store at a place."""
    return {
        "RUNSTART_INSTRUMENTS": str(ROOT / "instruments.toml"),
        "RUNSTART_SITES": str(ROOT / "sites.toml"),
        "RUNSTART_OBJECT_STORE": f"file:{place / 'store'}",
        "RUNSTART_OPERATORS": str(folder),
        "RUNSTART_MOUNT_ROOTS": str(place),
    }


def run_job(place: str, name: str) -> None:
    """Run a job of the deployment at a place: for processes that are killed."""
    from definitions import build_definitions

    job = build_definitions(toy_environ(Path(place) / "operators", Path(place))).resolve_job_def(name)
    with dg.instance_for_test() as instance:
        job.execute_in_process(instance=instance)


def events_of(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
    """Return what a run has told of assets: materializations or observations, in order."""
    found = []
    for record in instance.get_records_for_run(run_id, of_type=kind).records:
        event = record.event_log_entry.dagster_event
        assert event is not None
        data: Any = event.event_specific_data
        found.append(data.materialization if hasattr(data, "materialization") else data.asset_observation)
    return found
