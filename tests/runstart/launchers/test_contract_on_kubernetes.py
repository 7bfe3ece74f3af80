from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from launcher_bench import SLEEPS, started, wait_for_words
from launcher_contract import Bench, ImageContract, LauncherContract, NetworkContract
from pod_bench import Pods, namespace_of, threads_left
from waiting import wait_until

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = pytest.mark.k8s


class TestPods(LauncherContract, NetworkContract, ImageContract):
    @pytest.fixture(scope="class")
    def namespace(self, cluster: RunningCluster) -> Iterator[str]:
        with namespace_of(cluster) as name:
            yield name

    @pytest.fixture
    def bench(self, cluster: RunningCluster, namespace: str) -> Iterator[Bench]:
        bench = Pods(cluster, namespace)
        yield bench
        assert bench.left() == []
        wait_until(lambda: threads_left() == [], "the end of the threads that watched")

    def test_task_without_network_has_only_itself(self, bench: Bench) -> None:
        """Every pod has an interface: what cuts it off is a policy, which the test cluster's network does not enforce."""
        assert isinstance(bench, Pods)
        with started(bench, SLEEPS) as task:
            wait_for_words(bench, task, "up")

            assert bench.pod_of(task)["metadata"]["labels"]["runstart.science/has-network"] == "false"
