"""A cluster for tests of the manifests, whose namespaces have fixed names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster


@pytest.fixture(scope="session")
def bare_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster on which nothing else is deployed."""
    from runstart.facility.cluster import Cluster

    with Cluster(tmp_path_factory.mktemp("bare") / "data") as started:
        yield started
