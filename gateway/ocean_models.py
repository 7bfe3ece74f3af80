"""What Ocean's routes take and give, as OpenAPI is told it; requests are read by hand, since they come in two ways."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runstart.compute import Workflow

__all__ = [
    "CHAIN",
    "PREFIX",
    "RESULT_OF",
    "SIGNED_BY",
    "WHICH",
    "Environment",
    "JobStatus",
    "RunningJob",
    "StartRequest",
    "StopRequest",
    "reference",
]

PREFIX = "Ocean"
"""Before the names of the models of requests, since others have models of the same names."""

OWNER = "0x" + "1" * 40
SIGNATURE = "0x" + "2" * 128 + "1b"
JOB_ID = "0123456789abcdef0123456789abcdef"

Address = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$", examples=[OWNER])]
Signature = Annotated[str, Field(pattern="^(0x)?[0-9a-fA-F]{130}$", examples=[SIGNATURE])]
Nonce = Annotated[str, Field(pattern=r"^[0-9]{1,19}(\.[0-9]{1,9})?$", examples=["1767225600.123"])]
MaybeJobId = Annotated[str, Field(pattern="^([0-9a-f]{32}|[ -~]?)$", examples=[JOB_ID])]
JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", examples=[JOB_ID])]
Agreement = Annotated[str, Field(pattern="^[ -~]{2,200}$", examples=["0xagreement"])]
MaybeAgreement = Annotated[str, Field(pattern="^[ -~]{0,200}$", examples=["0xagreement"])]
Chain = Annotated[int, Field(ge=0, le=10**16 - 1, examples=[1])]
Seconds = Annotated[str, Field(description="Seconds since 1970.", examples=["1767225600.123"])]

_WORKFLOW_EXAMPLE = {
    "stages": [
        {
            "index": 0,
            "input": [{"id": "did:op:1234", "url": ["https://data.example.org/run.nxs"], "index": 0}],
            "compute": {"Instances": 1, "namespace": "ocean-compute", "maxtime": 600},
            "algorithm": {
                "id": "did:op:5678",
                "rawcode": "print('the mean spectrum')",
                "container": {"image": "python", "tag": "3.11", "entrypoint": "python $ALGO"},
            },
            "output": {},
        }
    ]
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow")


class StartRequest(_Model):
    """A new compute job. What is signed: owner, nonce."""

    workflow: Annotated[Workflow, Field(examples=[_WORKFLOW_EXAMPLE])]
    agreementId: Agreement  # noqa: N815 - Ocean's names
    owner: Address
    providerSignature: Signature  # noqa: N815
    environment: Annotated[str, Field(examples=["ocean-compute"])]
    nonce: Nonce
    chainId: Chain | None = None  # noqa: N815


class StopRequest(_Model):
    """Jobs that are to stop. What is signed: owner, jobId if it is given, nonce."""

    owner: Address
    providerSignature: Signature  # noqa: N815
    nonce: Nonce
    jobId: MaybeJobId | None = None  # noqa: N815
    agreementId: MaybeAgreement | None = None  # noqa: N815
    chainId: Chain | None = None  # noqa: N815


class JobResult(BaseModel):
    """A file that a job has left."""

    index: int
    filename: str
    filesize: int
    type: str
    checksum: str


class JobStatus(BaseModel):
    """A compute job."""

    agreementId: str  # noqa: N815
    jobId: JobId  # noqa: N815
    owner: str
    status: Annotated[int, Field(examples=[40])]
    statusText: Annotated[str, Field(examples=["Running algorithm"])]  # noqa: N815
    dateCreated: Seconds  # noqa: N815
    dateFinished: Seconds | None  # noqa: N815
    results: list[JobResult] | Literal[""]
    stopreq: Annotated[Literal[0, 1, 2], Field(description="1: a stop is asked for; 2: it has run out of time.")]
    removed: Annotated[Literal[0, 1], Field(description="1: its results have been removed.")]
    algoDID: str  # noqa: N815
    inputDID: list[str]  # noqa: N815
    reason: Annotated[str, Field(description="Why it ended as it did, for people.")]
    place: Annotated[int | None, Field(description="While it waits: 1 is the next of its environment.")]


class RunningJob(BaseModel):
    """A compute job that has not ended."""

    agreementId: str  # noqa: N815
    jobId: JobId  # noqa: N815
    owner: str
    status: int
    statusText: str  # noqa: N815
    dateCreated: Seconds  # noqa: N815
    namespace: str
    chainId: int | None  # noqa: N815
    algoDID: str  # noqa: N815
    inputDID: list[str]  # noqa: N815


class Environment(_Model):
    """Where compute jobs run, and what each may use."""

    id: str
    cpuNumber: float  # noqa: N815
    cpuType: str  # noqa: N815
    gpuNumber: int  # noqa: N815
    gpuType: str  # noqa: N815
    ramGB: float  # noqa: N815
    diskGB: float  # noqa: N815
    priceMin: float  # noqa: N815
    desc: str
    currentJobs: int  # noqa: N815
    maxJobs: int  # noqa: N815
    consumerAddress: str  # noqa: N815
    storageExpiry: float  # noqa: N815
    maxJobDuration: float  # noqa: N815
    lastSeen: Seconds | None  # noqa: N815


def reference(model: type[BaseModel]) -> dict[str, Any]:
    """Return a request body of a model, for `openapi_extra`."""
    schema = {"$ref": f"#/components/schemas/{PREFIX}{model.__name__}"}
    return {"content": {"application/json": {"schema": schema}}}


def _parameter(
    name: str, text: str, schema: dict[str, Any], example: Any, *, required: bool = False
) -> dict[str, Any]:
    described = {"name": name, "in": "query", "description": text, "required": required, "schema": schema}
    return {**described, "example": example}


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _number(largest: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": largest}


_ADDRESS, _JOB_ID = "0x[0-9a-fA-F]{40}", "[0-9a-f]{32}"

SIGNED_BY = (
    _parameter(
        "providerSignature", "Of the text that is signed.", _text("(0x)?[0-9a-fA-F]{130}"), SIGNATURE, required=True
    ),
    _parameter(
        "nonce",
        "A number above the signer's last one.",
        _text(r"[0-9]{1,19}(\.[0-9]{1,9})?"),
        "1767225600.123",
        required=True,
    ),
)
CHAIN = _parameter("chainId", "Only what is of this chain.", _number(10**16 - 1), 1)
# A text of less than two characters counts as not given.
WHICH = (
    _parameter("agreementId", "Jobs of this agreement.", _text("[ -~]{0,200}"), "0xagreement"),
    _parameter("jobId", "The job.", _text(f"({_JOB_ID}|[ -~]?)"), JOB_ID),
    _parameter("owner", "Jobs of this owner.", _text(f"({_ADDRESS}|[ -~]?)"), OWNER),
)
RESULT_OF = (
    _parameter("owner", "Of the job.", _text(_ADDRESS), OWNER, required=True),
    _parameter("jobId", "The job.", _text(_JOB_ID), JOB_ID, required=True),
    _parameter("index", "Of the result.", _number(2**31), 0, required=True),
)
