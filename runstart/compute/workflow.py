"""Ocean's workflow: which data a compute job is given, which algorithm it runs, and what becomes of its outputs.

A workflow has one stage; more are refused. Keys that Ocean has and that mean nothing here are passed over, so that
clients written for it need no change; what is used is checked before the job is taken. Assets behind another provider
(`remote`) are refused: fetching them takes that provider's word and a key of one's own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from runstart.errors import Alert

SHORTEST_RAW_CODE = 11
"""Raw code below this many characters is none: Ocean's clients send a placeholder beside the URL."""

_MOST_INPUTS, _MOST_FILES, _LONGEST_URL, _LONGEST_CODE = 64, 1000, 4096, 2_000_000
_PARTS = ("algorithm", "compute", "input", "output")
_ID = re.compile(r"(?:did:op:)?[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/-]{0,254}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REMEDY = "Correct the field and send the workflow again."


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_url(url: str) -> str:
    if not re.match(r"(https?|store|operation):", url) or any(ord(character) <= 32 for character in url):
        message = f"{url[:100]!r} is no address; write https:, http:, store: or operation:"
        raise ValueError(message)
    return url


def _check_digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        message = f"{text[:100]!r} is no digest; write sha256: and 64 hexadecimal digits in lower case"
        raise ValueError(message)
    return text


_Url = Annotated[str, Field(max_length=_LONGEST_URL)]
_Urls = Annotated[tuple[_Url, ...], BeforeValidator(_as_list), Field(max_length=_MOST_FILES)]
_Digests = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(max_length=_MOST_FILES)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Asset(_Part):
    """Files of data or of an algorithm, by address."""

    url: _Urls = ()
    """Where the files are: `https:`, `http:`, `store:KEY` or `operation:KEY/FILE`."""

    checksum: _Digests = ()
    """Of each file, `sha256:` and hexadecimal digits; as many as there are files, or none."""

    @field_validator("url")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_check_url, urls))

    @field_validator("checksum")
    @classmethod
    def _digests(cls, digests: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_check_digest, digests))

    @model_validator(mode="before")
    @classmethod
    def _no_remote(cls, table: Any) -> Any:
        if isinstance(table, Mapping) and table.get("remote") and not table.get("url"):
            message = "remote assets are not fetched from their provider here; give their url"
            raise ValueError(message)
        return table

    @model_validator(mode="after")
    def _one_checksum_a_file(self) -> _Asset:
        if self.checksum and len(self.checksum) != len(self.url):
            message = f"has {len(self.url)} files but {len(self.checksum)} checksums; give one for each, or none"
            raise ValueError(message)
        return self


class Input(_Asset):
    """Data that the algorithm is given."""

    id: str
    """The asset's identifier, such as `did:op:…`; its folder has this name."""

    index: int = 0

    @field_validator("id")
    @classmethod
    def _name(cls, text: str) -> str:
        return _check_id(text)

    @model_validator(mode="after")
    def _some_file(self) -> Input:
        if not self.url:
            message = "has no url; give at least one"
            raise ValueError(message)
        return self

    @property
    def folder(self) -> str:
        """Name of the folder of its files: the identifier without `did:op:`."""
        return self.id.removeprefix("did:op:")


class Container(_Part):
    """The image in which the algorithm runs."""

    image: str
    tag: str = "latest"
    entrypoint: Annotated[str, Field(min_length=1, max_length=2000)]
    """The command; `$ALGO` stands for the algorithm's file."""

    @field_validator("entrypoint")
    @classmethod
    def _words(cls, text: str) -> str:
        if not shlex.split(text):
            message = "names no program"
            raise ValueError(message)
        return text

    checksum: str = ""
    """The image's digest; it is run by digest if this begins with `sha256`."""

    @field_validator("image")
    @classmethod
    def _image_name(cls, text: str) -> str:
        if not _IMAGE.fullmatch(text) or ".." in text:
            message = f"{text[:100]!r} is not the name of an image"
            raise ValueError(message)
        return text

    @field_validator("tag")
    @classmethod
    def _tag_name(cls, text: str) -> str:
        if not _TAG.fullmatch(text):
            message = f"{text[:100]!r} is not the tag of an image"
            raise ValueError(message)
        return text

    @field_validator("checksum", mode="before")
    @classmethod
    def _digest(cls, text: object) -> object:
        return _check_digest(text) if isinstance(text, str) and text.startswith("sha256") else text or ""

    @property
    def reference(self) -> str:
        """The image as an engine knows it, by digest if that is given."""
        by_digest = self.checksum.startswith("sha256")
        return f"{self.image}@{self.checksum}" if by_digest else f"{self.image}:{self.tag}"


class Algorithm(_Asset):
    """What is run: raw code or a file, in an image."""

    id: str | None = None
    rawcode: Annotated[str, Field(max_length=_LONGEST_CODE)] | None = None
    container: Container
    algocustomdata: Any = None
    """What the algorithm finds as `algoCustomData.json` beside its inputs."""

    @field_validator("id")
    @classmethod
    def _name(cls, text: str | None) -> str | None:
        return _check_id(text) if text else None

    @field_validator("algocustomdata")
    @classmethod
    def _small_enough(cls, value: Any) -> Any:
        size = len(json.dumps(value, ensure_ascii=False).encode())
        if size > _LONGEST_CODE:
            message = f"has {size} characters as JSON; at most {_LONGEST_CODE} are taken"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _some_code(self) -> Algorithm:
        if self.raw_code is None and not self.url and "$ALGO" in self.container.entrypoint:
            message = f"needs $ALGO, but has neither url nor rawcode of {SHORTEST_RAW_CODE} characters or more"
            raise ValueError(message)
        return self

    @property
    def raw_code(self) -> str | None:
        """The code that was sent along, if it is any."""
        return self.rawcode if self.rawcode is not None and len(self.rawcode) >= SHORTEST_RAW_CODE else None


class Compute(_Part):
    """What a job asks for; what it leaves out it gets as its environment gives it."""

    instances: Annotated[int, Field(alias="Instances", ge=1, le=1)] = 1
    namespace: str | None = None
    maxtime: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds that the algorithm may run."""

    cpus: Annotated[float | None, Field(alias="cpuNumber", gt=0, allow_inf_nan=False)] = None
    gpus: Annotated[int | None, Field(alias="gpuNumber", ge=0)] = None
    ram_gb: Annotated[float | None, Field(alias="ramGB", gt=0, allow_inf_nan=False)] = None
    disk_gb: Annotated[float | None, Field(alias="diskGB", gt=0, allow_inf_nan=False)] = None


class Output(_Part):
    """What becomes of the outputs."""

    owner: str | None = None
    publish_output: Annotated[bool, Field(alias="publishOutput")] = True
    publish_algorithm_log: Annotated[bool, Field(alias="publishAlgorithmLog")] = True


class Stage(_Part):
    """The one step of a workflow."""

    index: int = 0
    input: Annotated[tuple[Input, ...], Field(max_length=_MOST_INPUTS)]
    compute: Compute
    algorithm: Algorithm
    output: Output

    @field_validator("input")
    @classmethod
    def _folders_of_their_own(cls, inputs: tuple[Input, ...]) -> tuple[Input, ...]:
        folders = [each.folder for each in inputs]
        twice = sorted({folder for folder in folders if folders.count(folder) > 1})
        if twice:
            message = f"names {twice[0]!r} twice; put all its files into one input"
            raise ValueError(message)
        return inputs


class Workflow(_Part):
    """What a job does."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=1)]
    chain_id: Annotated[int | None, Field(alias="chainId")] = None

    @property
    def stage(self) -> Stage:
        """Its one stage."""
        return self.stages[0]


def read_workflow(payload: object) -> Workflow:
    """Return a workflow as a client sent it, checked.

    Parameters
    ----------
    payload : object
        The table `{"stages": [...]}`, or a stored workflow (`kind: WorkFlow`) around it.

    Returns
    -------
    Workflow
        With all that is used of it; other keys are left out.

    Raises
    ------
    Alert
        It cannot be run. `Alert.what` is Ocean's text where Ocean has one, and names the field otherwise.
    """
    if isinstance(payload, Mapping) and payload.get("kind") == "WorkFlow":
        spec = payload.get("spec")
        payload = spec.get("metadata") if isinstance(spec, Mapping) else None
    if not isinstance(payload, Mapping) or not payload:
        raise Alert("`workflow` is required in the payload and must include workflow stages")
    stages = payload.get("stages")
    if not isinstance(stages, list | tuple) or not stages:
        raise Alert("Missing stages")
    if len(stages) > 1:
        raise Alert("Multiple stages are not supported yet", "Send each stage as a job of its own.")
    for part in _PARTS:
        if not isinstance(stages[0], Mapping) or part not in stages[0]:
            raise Alert(f"Missing {part} in stage 0")
    try:
        return Workflow.model_validate(payload)
    except ValidationError as error:
        raise _as_alert(error) from None


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text):
        message = (
            f"{text[:100]!r} is no identifier; write letters, digits, - and _, with or without did:op: before them"
        )
        raise ValueError(message)
    return text


def _as_alert(error: ValidationError) -> Alert:
    """Return what is wrong with the first field, and how many more are wrong."""
    first, *others = error.errors(include_url=False, include_context=True)
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        words = "is missing"
    elif first["type"] == "value_error":
        words = str(first["ctx"]["error"])
    else:
        words = f"{str(first['input'])[:100]!r} {first['msg'].removeprefix('Input ').removeprefix('String ')}"
    more = f" {len(others)} more to mend." if others else ""
    return Alert(f"workflow.{field}: {words}.{more}", _REMEDY)
