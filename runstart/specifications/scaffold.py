"""Writes new operators: a folder that passes `validate`, ruff and pytest as it is; nothing is ever written over."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from runstart.errors import Alert
from runstart.specifications._folder_templates import containerfile, readme, test_py
from runstart.specifications._run_template import identifier, run_py
from runstart.specifications.finding import check_operator_name
from runstart.specifications.image_names import is_image
from runstart.specifications.operator_spec import (
    OPERATOR_FILE,
    OperatorSpec,
    ParallelConfig,
    PortSpec,
    TagSpec,
    TriggerSpec,
    parse_operator_spec,
)
from runstart.specifications.parameters import ParameterSpec

BASE_IMAGE = "localhost/runstart/operator:latest"
REGISTRY = "localhost/runstart/"
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?([<>=!~]=?=?[A-Za-z0-9.*+!_-]+(,\s*[<>=!~]=?=?[A-Za-z0-9.*+!_-]+)*)?"
)


@dataclass(frozen=True)
class NewOperator:
    """What a new operator is to be.

    Attributes
    ----------
    name : str
        Its folder's: words of lower-case letters and digits with `-` between them.
    label, description : str
        For people.
    inputs, outputs : tuple of PortSpec
        Without any port and trigger it takes and gives `bytes`.
    parameters : tuple of parameter
        See `read_parameter`.
    triggers : tuple of TriggerSpec
        What it can be asked to do.
    tags : tuple of str
        What a machine must have, such as `gpu`.
    parallel : {"none", "embarrassing"}
        Whether it may have replicas.
    registry : str
        Begins the name of its image.
    base_image : str
        What its image is made from.
    dependencies : tuple of str
        Python packages that its image gets, such as `scipy>=1.11`.
    """

    name: str
    label: str = ""
    description: str = ""
    inputs: tuple[PortSpec, ...] = ()
    outputs: tuple[PortSpec, ...] = ()
    parameters: tuple[ParameterSpec, ...] = ()
    triggers: tuple[TriggerSpec, ...] = ()
    tags: tuple[str, ...] = ()
    parallel: str = "none"
    registry: str = REGISTRY
    base_image: str = BASE_IMAGE
    dependencies: tuple[str, ...] = ()


def new_spec(new: NewOperator) -> OperatorSpec:
    """Return the specification of a new operator, with an id of its own.

    Raises
    ------
    Alert
        If a name, an image or a package is none, or two ports, parameters or triggers have one name.
    """
    check_operator_name(new.name)
    image = f"{new.registry.rstrip('/')}/{new.name}:latest".removeprefix("/")
    for told, name in (("image", image), ("base image", new.base_image)):
        if not is_image(name):
            raise Alert(f"The {told} {name!r} is none.", "Write it like registry/team/name:latest.")
    for package in new.dependencies:
        if not _REQUIREMENT.fullmatch(package):
            raise Alert(f"The dependency {package!r} is no Python package.", "Write it like scipy or scipy>=1.11.")
    label = new.label or new.name.replace("-", " ").capitalize()
    inputs, outputs = list(new.inputs), list(new.outputs)
    if not (inputs or outputs or new.triggers):
        inputs, outputs = [_any_port("input", "What it gets.")], [_any_port("output", "What it gives.")]
    spec = OperatorSpec.model_construct(
        id=uuid4(),
        label=label,
        description=new.description or f"{label}.",
        image=image,
        inputs=inputs,
        outputs=outputs,
        parameters=list(new.parameters),
        tags=[TagSpec(value=tag) for tag in new.tags],
        parallel_config=ParallelConfig.model_validate({"type": new.parallel}),
        triggers=list(new.triggers),
    )
    return parse_operator_spec(spec.to_json(), new.name)  # checks what the parts cannot: that names are unique


def write_operator(new: NewOperator, parent: Path) -> Path:
    """Write the folder of a new operator, whole or not at all, and return it.

    Parameters
    ----------
    new : NewOperator
        What it is to be.
    parent : Path
        The folder of operators; made if it is not there.

    Raises
    ------
    Alert
        If the folder is there already, cannot be written, or something of the operator is wrong.
    """
    spec = new_spec(new)
    folder = parent / new.name
    if folder.exists() or folder.is_symlink():
        raise Alert(f"{folder} is there already, and nothing is written over.", "Choose another --name.")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{new.name}-", dir=parent) as place:
            made = Path(place) / new.name
            made.mkdir()
            for name, text in _files(new, spec).items():
                (made / name).write_text(text, encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        raise Alert(f"{folder} cannot be written: {error.strerror}.", "Choose another --output-dir.") from error
    return folder


def _files(new: NewOperator, spec: OperatorSpec) -> dict[str, str]:
    return {
        OPERATOR_FILE: spec.to_json(),
        "run.py": run_py(new.name, spec),
        "Containerfile": containerfile(new.base_image, new.dependencies),
        "README.md": readme(new.name, spec),
        f"test_{identifier(new.name)}.py": test_py(new.name, spec),
    }


def _any_port(name: str, description: str) -> PortSpec:
    return PortSpec(name=name, label=name.capitalize(), description=description, type="bytes")
