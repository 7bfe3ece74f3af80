"""A cluster for tests of the manifests, whose namespaces have fixed names, and a facility that is deployed on one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from k8s_facility_kit import ClusterFacility

    from runstart.facility.cluster import RunningCluster


@pytest.fixture(scope="session")
def bare_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster on which nothing else is deployed."""
    from runstart.facility.cluster import Cluster

    with Cluster(tmp_path_factory.mktemp("bare") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def facility(
    request: pytest.FixtureRequest, cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterFacility]:
    """Runstart deployed, with servers of its own, and the instruments, settings and files that the module names."""
    from k8s_facility_kit import ClusterFacility

    folder, module = tmp_path_factory.mktemp("facility"), request.module
    # What is not named costs the other modules nothing.
    more = {"files": getattr(module, "FILES", {}), "has_gateway": getattr(module, "HAS_GATEWAY", False)}
    with ClusterFacility(cluster, folder, module.TABLES, module.SETTINGS, **more) as made:
        yield made
