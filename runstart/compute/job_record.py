"""What is known of a compute job: what it does, for whom, in which state it is, and what it has left."""

from __future__ import annotations

import hashlib
import time
from secrets import token_hex
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from runstart.compute.statuses import Status
from runstart.compute.workflow import Workflow

ResultType = Literal["output", "algorithmLog", "filteringLog", "configrationLog", "publishLog"]
"""What a result is; the third last is Ocean's spelling."""


class Result(BaseModel):
    """A file that a job has left.

    Attributes
    ----------
    index : int
        By which it is asked for.
    filename : str
        Its name.
    filesize : int
        In bytes.
    type : str
        What it is.
    checksum : str
        `sha256:` and hexadecimal digits.
    key : str
        Its object.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    filename: str
    filesize: int
    type: ResultType
    checksum: str
    key: str


class StatusChange(BaseModel):
    """When a job came into a state."""

    model_config = ConfigDict(frozen=True)

    status: Status
    at: float


class JobRecord(BaseModel):
    """A compute job, as it is known to everybody.

    Attributes
    ----------
    job_id : str
        32 hexadecimal digits.
    agreement_id, owner : str
        As the client named them.
    provider : str
        Address that has signed the order.
    environment : str
        Name of the environment.
    chain_id : int or None
        The chain that the client named.
    workflow : Workflow
        What it does.
    status : Status
        Its state.
    reason : str
        Why it ended as it did, for people; empty if there is nothing to say.
    created_at : float
        Unix time in seconds.
    finished_at : float or None
        Unix time in seconds; None until it has ended.
    stopreq : int
        0 none, 1 a stop is asked for, 2 it has run out of time.
    run_id : str
        The Dagster run that carries it out; empty until that has begun.
    priority : int
        Of its run in the queue: 0, and one less for each unfinished job that its owner had already.
    max_s : float
        Seconds that its algorithm may run.
    expires_at : float or None
        When its results go, Unix time in seconds; None for never, or until it has ended.
    removed : bool
        Whether its results have gone.
    results : tuple of Result
        What it has left; all of it, or nothing.
    history : tuple of StatusChange
        When it came into each of its states.
    changed_by : str
        A new name at each change, so that no two changes are the same.
    secret : str
        By which the algorithm and the operator's own services know each other; told to nobody else.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str = Field(default_factory=lambda: uuid4().hex, pattern=r"^[0-9a-f]{32}$")
    agreement_id: str
    owner: str
    provider: str = ""
    environment: str
    chain_id: int | None = None
    workflow: Workflow
    status: Status = Status.WARMING_UP
    reason: str = ""
    created_at: float = Field(default_factory=time.time)
    finished_at: float | None = None
    stopreq: Literal[0, 1, 2] = 0
    run_id: str = ""
    priority: int = 0
    max_s: float
    expires_at: float | None = None
    removed: bool = False
    results: tuple[Result, ...] = ()
    history: tuple[StatusChange, ...] = ()
    changed_by: str = Field(default_factory=lambda: uuid4().hex)
    secret: str = Field(default_factory=lambda: token_hex(16), repr=False)

    @property
    def algorithm_did(self) -> str:
        """The algorithm's identifier, or `raw` if it has none."""
        return self.workflow.stage.algorithm.id or "raw"

    @property
    def input_dids(self) -> tuple[str, ...]:
        """Identifiers of the inputs."""
        return tuple(each.id for each in self.workflow.stage.input)

    def is_owned_by(self, owner: str) -> bool:
        """Tell whether somebody owns the job; addresses are the same in either case of letters."""
        return self.owner.lower() == owner.lower()


def owner_hash(owner: str) -> str:
    """Return the name under which an owner's jobs are found: 32 hexadecimal digits."""
    return hashlib.sha256(owner.lower().encode()).hexdigest()[:32]
