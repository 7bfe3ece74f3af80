"""Orders: a job that asks for what its environment does not offer is refused with the reason, and not taken."""

from __future__ import annotations

from typing import Any

import pytest
from compute_kit import ENVIRONMENT, environment, input_of, workflow_payload

from runstart.compute import find_environment, order_job, read_workflow
from runstart.errors import Alert


def order(payload: dict[str, Any], **offered: Any) -> Any:
    return order_job(read_workflow(payload), environment(**offered), agreement_id="a", owner="o", provider="p")


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ({"maxtime": 61}, {"max_job_s": 60}),
        ({"cpuNumber": 1.5}, {"cpus": 1}),
        ({"gpuNumber": 1}, {}),
        ({"ramGB": 2}, {"ram_gb": 1}),
        ({"diskGB": 2}, {"disk_gb": 1}),
    ],
)
def test_a_job_that_asks_for_more_is_refused_with_what_is_offered(
    asked: dict[str, Any], offered: dict[str, Any]
) -> None:
    (name, wanted), *_ = asked.items()
    with pytest.raises(Alert) as caught:
        order(workflow_payload(compute=asked), **offered)
    most = next(iter(offered.values()), 0)
    assert caught.value.what == f"The job asks for {name} {wanted:g}; {ENVIRONMENT} offers {most:g}."
    assert order(workflow_payload(compute={name: most} if most else {}), **offered)


def test_what_a_job_leaves_out_is_as_its_environment_gives_it() -> None:
    assert order(workflow_payload(compute={}), max_job_s=77).max_s == 77
    assert order(workflow_payload(compute={"maxtime": 5}), max_job_s=77).max_s == 5


def test_an_image_that_is_not_allowed_is_refused() -> None:
    assert order(workflow_payload(), images=("docker.io/",))
    with pytest.raises(Alert, match="may not be run here"):
        order(workflow_payload(), images=("ghcr.io/ours/",))


@pytest.mark.parametrize("address", ["store:other/x", "store:results", "store:compute/jobs/x", "operation:abc"])
def test_data_that_is_not_offered_is_refused(address: str) -> None:
    with pytest.raises(Alert, match="offers"):
        order(workflow_payload(input=[input_of(address)]))
    assert order(workflow_payload(input=[input_of("store:results/x", "https://example.org/x")]))
    assert order(workflow_payload(input=[input_of("operation:abc")]), operation_outputs=True)


def test_an_algorithm_comes_by_the_web_or_as_code() -> None:
    container = {"image": "python", "entrypoint": "python $ALGO"}
    with pytest.raises(Alert, match="no address of an algorithm"):
        order(workflow_payload(algorithm={"container": container, "url": "store:results/x"}))


def test_an_environment_that_is_not_there_or_not_for_this_chain_is_refused_in_oceans_words() -> None:
    offered = {ENVIRONMENT: environment(allowed_chain_ids=(1,))}
    assert find_environment(offered, ENVIRONMENT, 1)
    assert find_environment(offered, ENVIRONMENT, None)
    for name, chain in (("other", 1), (ENVIRONMENT, 2), ("", None)):
        with pytest.raises(Alert) as caught:
            find_environment(offered, name, chain)
        assert caught.value.what == "Environment invalid or does not exist"
