"""A job is taken only if its environment offers what it asks for, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from runstart.compute.environments import ComputeEnvironment
from runstart.compute.job_record import JobRecord
from runstart.compute.workflow import Workflow
from runstart.errors import Alert
from runstart.launchers import ImagePolicy

_NEVER = ("compute/", "gateway/")  # of others' jobs, and of whom the gateway lets in
_SMALLER = "Ask for less, or choose another environment."


def find_environment(
    environments: Mapping[str, ComputeEnvironment], name: str, chain_id: int | None
) -> ComputeEnvironment:
    """Return the environment that a client names.

    Raises
    ------
    Alert
        There is none of this name that takes jobs of this chain.
    """
    environment = environments.get(name)
    if environment is None or not environment.allows_chain(chain_id):
        raise Alert("Environment invalid or does not exist", "Ask for the environments, and name one of them.")
    return environment


def order_job(
    workflow: Workflow,
    environment: ComputeEnvironment,
    *,
    agreement_id: str,
    owner: str,
    provider: str,
    chain_id: int | None = None,
) -> JobRecord:
    """Return the record of a new job, for `JobBook.create`.

    Parameters
    ----------
    workflow : Workflow
        What it does.
    environment : ComputeEnvironment
        Where.
    agreement_id, owner, provider : str
        For whom, and who has signed the order.
    chain_id : int, optional
        The chain that the client named.

    Raises
    ------
    Alert
        It asks for more than the environment offers, or for what it does not.
    """
    _check_demand(workflow, environment)
    _check_image(workflow, environment)
    _check_inputs(workflow, environment)
    asked_s = workflow.stage.compute.maxtime
    return JobRecord(
        agreement_id=agreement_id,
        owner=owner,
        provider=provider,
        environment=environment.name,
        chain_id=chain_id,
        workflow=workflow,
        max_s=environment.max_job_s if asked_s is None else asked_s,
    )


def is_offered(key: str, environment: ComputeEnvironment) -> bool:
    """Tell whether jobs of an environment may read an object of the facility's store."""
    return any(key.startswith(prefix) for prefix in environment.input_prefixes) and not key.startswith(_NEVER)


def _check_demand(workflow: Workflow, environment: ComputeEnvironment) -> None:
    asked = workflow.stage.compute
    for what, wanted, offered in (
        ("maxtime", asked.maxtime, environment.max_job_s),
        ("cpuNumber", asked.cpus, environment.cpus),
        ("gpuNumber", asked.gpus, environment.gpus),
        ("ramGB", asked.ram_gb, environment.ram_gb),
        ("diskGB", asked.disk_gb, environment.disk_gb),
    ):
        if wanted is not None and wanted > offered:
            raise Alert(f"The job asks for {what} {wanted:g}; {environment.name} offers {offered:g}.", _SMALLER)


def _check_image(workflow: Workflow, environment: ComputeEnvironment) -> None:
    ImagePolicy(environment.images).check(workflow.stage.algorithm.container.reference)


def _check_inputs(workflow: Workflow, environment: ComputeEnvironment) -> None:
    """Refuse addresses of the facility's own store that the data owner has not opened."""
    for url in (url for each in workflow.stage.input for url in each.url):
        kind, _, key = url.partition(":")
        if kind == "store" and not is_offered(key, environment):
            raise Alert(
                f"{url[:200]} is not among the data that {environment.name} offers.", "Ask the data owner for it."
            )
        if kind == "operation" and not environment.operation_outputs:
            raise Alert(f"{environment.name} offers no outputs of data operations.", "Ask the data owner for them.")
    for url in workflow.stage.algorithm.url:
        if not url.startswith(("https:", "http:")):
            raise Alert(f"{url[:200]} is no address of an algorithm.", "Send it as raw code, or by https:.")
