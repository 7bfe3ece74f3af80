"""Where compute jobs run: what a data owner offers to algorithms of strangers, and what is announced of it.

Environments are tables of `compute.toml`. What a table leaves out comes from Ocean's environment variables, under their
names, and then from Ocean's defaults. If the file declares none those variables alone make one environment; without either
there is none, and no job is taken.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from runstart.errors import Alert
from runstart.toml_files import Problem, describe_error, named_tables, read_document, validate_named

COMPUTE_VARIABLE = "RUNSTART_COMPUTE"
NAME_VARIABLE = "RUNSTART_COMPUTE_ENVIRONMENT"
USUAL_COMPUTE_FILE = "compute.toml"
USUAL_NAME = "ocean-compute"

_KIND = "environments"
_OCEAN_VARIABLES = {
    "nCPU": "cpus",
    "cpuType": "cpu_type",
    "nGPU": "gpus",
    "ramGB": "ram_gb",
    "diskGB": "disk_gb",
    "priceMinute": "price_per_minute",
    "description": "description",
    "maxJobs": "max_jobs",
    "maxJobDuration": "max_job_s",
    "STORAGE_EXPIRY": "storage_expiry_h",
    "FILTERING_CONTAINER": "filter_image",
    "allowedChainId": "allowed_chain_ids",
}
_DECLARING = ("nCPU", "ramGB", "diskGB", "maxJobs", "maxJobDuration")
_GIGABYTE = 1_000_000_000
_HOUR_S = 3600.0

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ComputeEnvironment(BaseModel):
    """What algorithms may use, and what they may be given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
    description: Annotated[str, Field(max_length=2000)] = ""

    cpus: _Positive = 1.0
    """Processors' worth of time of one job (`nCPU`)."""

    cpu_type: Annotated[str, Field(max_length=200)] = ""
    """For people (`cpuType`)."""

    gpus: Annotated[int, Field(ge=0, le=0)] = 0
    """Always 0: no launcher gives algorithms a GPU (`nGPU`)."""

    ram_gb: _Positive = 1.0
    """Memory of one job in 1e9 bytes (`ramGB`)."""

    disk_gb: _Positive = 1.0
    """Room for a job's outputs and logs, and for its inputs as much again, in 1e9 bytes (`diskGB`)."""

    processes: Annotated[int, Field(ge=1)] = 256
    """Processes and threads of one job at any moment."""

    max_jobs: Annotated[int, Field(ge=1)] = 10
    """Jobs that run at once (`maxJobs`)."""

    max_job_s: _Positive = 60.0
    """Seconds that an algorithm may run (`maxJobDuration`)."""

    max_phase_s: _Positive = 600.0
    """Seconds that fetching the inputs, the filter, and publishing may take, each."""

    storage_expiry_h: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Hours after its end for which a job's results are kept; 0 for ever (`STORAGE_EXPIRY`)."""

    max_results: Annotated[int, Field(ge=1)] = 1000
    """Files that a job may leave as outputs."""

    max_result_mb: Annotated[float, Field(gt=0, le=2000)] = 500.0
    """Largest single result in 1e6 bytes: a result is one object, and goes through memory as a whole."""

    price_per_minute: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Announced, never charged (`priceMinute`)."""

    consumer_address: Annotated[str, Field(pattern=r"^(0x[0-9a-fA-F]{40})?$")] = ""
    """Announced."""

    allowed_chain_ids: tuple[int, ...] = ()
    """Chains whose jobs are taken; any if there is none (`allowedChainId`)."""

    images: tuple[str, ...] = ()
    """Beginnings of names of images that algorithms may run in; any if there is none."""

    filter_image: str = ""
    """Image that must pass the outputs before anybody gets them (`FILTERING_CONTAINER`)."""

    filter_command: Annotated[tuple[str, ...], Field(validate_default=True)] = ()
    """The program in it that is run, and its arguments."""

    raw_code_without_image: bool = False
    """Whether a launcher of plain processes, which has no images, runs algorithms with this machine's programs."""

    input_prefixes: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Beginnings of the object store's keys that jobs may read by `store:`; none if there is none."""

    operation_outputs: bool = False
    """Whether jobs may read outputs of data operations by `operation:`."""

    internal_hosts: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.:-]+$")], ...] = ()
    """Hosts from which data is fetched though their addresses are internal, each as `host` or `host:port`."""

    @field_validator("allowed_chain_ids", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else value

    @field_validator("filter_command")
    @classmethod
    def _goes_with_its_image(cls, command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        image = info.data.get("filter_image")
        if image and not command:
            message = f"{image!r} is an image without a command; write filter_image and filter_command"
            raise ValueError(message)
        return command

    @property
    def ram_bytes(self) -> int:
        """Memory of one job in bytes."""
        return round(self.ram_gb * _GIGABYTE)

    @property
    def disk_bytes(self) -> int:
        """Room for a job's outputs and logs, and for its inputs as much again, in bytes."""
        return round(self.disk_gb * _GIGABYTE)

    @property
    def max_result_bytes(self) -> int:
        """Largest single result in bytes."""
        return round(self.max_result_mb * 1e6)

    @property
    def expires_after_s(self) -> float | None:
        """Seconds after a job's end at which its results are removed; None for never."""
        return self.storage_expiry_h * _HOUR_S or None

    def allows_chain(self, chain_id: int | None) -> bool:
        """Tell whether jobs of a chain are taken; a job that names no chain is of any."""
        return not self.allowed_chain_ids or chain_id is None or chain_id in self.allowed_chain_ids

    def announce(self, current_jobs: int) -> dict[str, Any]:
        """Return what clients are told of it, as Ocean's engine announces it.

        Parameters
        ----------
        current_jobs : int
            Unfinished jobs of this environment.
        """
        return {
            "id": self.name,
            "cpuNumber": self.cpus,
            "cpuType": self.cpu_type,
            "gpuNumber": self.gpus,
            "gpuType": "",
            "ramGB": self.ram_gb,
            "diskGB": self.disk_gb,
            "priceMin": self.price_per_minute,
            "desc": self.description,
            "currentJobs": current_jobs,
            "maxJobs": self.max_jobs,
            "consumerAddress": self.consumer_address,
            "storageExpiry": self.storage_expiry_h,
            "maxJobDuration": self.max_job_s,
        }


def read_environments(
    environ: Mapping[str, str] | None = None, folder: str | os.PathLike[str] | None = None
) -> dict[str, ComputeEnvironment]:
    """Return the environments that the data owner declares, by name.

    Parameters
    ----------
    environ : mapping of str to str, optional
        Environment, by default that of the process. Its `RUNSTART_COMPUTE` names the file.
    folder : path, optional
        Where `compute.toml` is looked for if it does not.

    Raises
    ------
    Alert
        The file cannot be read, or something declared there or in a variable cannot be.
    """
    environ = os.environ if environ is None else environ
    given = _read_variables(environ)
    path = _find_file(environ, folder)
    declared = {} if path is None else _read_file(path, given)
    if declared:
        return declared
    if not any(environ.get(variable, "").strip() for variable in _DECLARING):
        return {}
    name = environ.get(NAME_VARIABLE) or USUAL_NAME
    try:
        return {name: ComputeEnvironment(name=name, **given)}
    except ValidationError as error:
        raise _variable_alert(error.errors()[0]) from None


def _find_file(environ: Mapping[str, str], folder: str | os.PathLike[str] | None) -> Path | None:
    named = environ.get(COMPUTE_VARIABLE, "").strip()
    if named:
        return Path(named)
    usual = None if folder is None else Path(folder, USUAL_COMPUTE_FILE)
    return usual if usual is not None and usual.is_file() else None


def _read_file(path: Path, given: Mapping[str, Any]) -> dict[str, ComputeEnvironment]:
    document = read_document(path, "Name the file that declares compute environments, or write one.")
    environments: dict[str, ComputeEnvironment] = {}
    problems: list[Problem] = []
    for name, table in named_tables(document, _KIND).items():
        environment, found = validate_named(ComputeEnvironment, _KIND, name, {**given, **table})
        problems += found
        if environment is not None:
            environments[name] = environment
    if problems:
        raise document.alert(problems)
    return environments


def _read_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what Ocean's variables say; an empty one says nothing."""
    given: dict[str, Any] = {
        field: environ[variable].strip()
        for variable, field in _OCEAN_VARIABLES.items()
        if environ.get(variable, "").strip()
    }
    if "allowed_chain_ids" in given:
        given["allowed_chain_ids"] = _read_chains(given["allowed_chain_ids"])
    return given


def _read_chains(text: str) -> tuple[int, ...]:
    """Return chains, written as a JSON list or with commas; Ocean's deployments have both."""
    words = [word.strip(" \"'") for word in text.strip(" []").split(",")]
    try:
        return tuple(int(word) for word in words if word)
    except ValueError:
        raise Alert(f"allowedChainId is {text[:100]!r}.", "Write numbers, such as [1, 137].") from None


def _variable_alert(details: Any) -> Alert:
    field = str(details["loc"][0])
    variables = {field: variable for variable, field in _OCEAN_VARIABLES.items()}
    variables["filter_command"] = variables["filter_image"]
    return Alert(f"{variables.get(field, NAME_VARIABLE)}: {describe_error(details)}.", "Correct the variable.")
