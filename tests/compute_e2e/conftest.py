from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from compute_house import ComputeHouse
from facility_fixtures import new_name
from left_behind import other_processes
from recorded_spectrum import Recorded, reduce_recorded_run

if TYPE_CHECKING:
    from runstart.facility import Broker

__all__ = ["new_name", "other_processes"]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComputeHouse]:
    """A house that runs algorithms as processes: a test that kills a part of it starts that again."""
    with ComputeHouse(tmp_path_factory.mktemp("compute")) as opened:
        opened.serve()
        yield opened


@pytest.fixture(scope="session")
def recorded(broker: Broker, tmp_path_factory: pytest.TempPathFactory, new_name: Callable[[], str]) -> Recorded:
    """A recorded run, replayed through the broker and reduced."""
    return reduce_recorded_run(broker.bootstrap_servers, tmp_path_factory.mktemp("recorded"), new_name())
