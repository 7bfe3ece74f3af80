"""A beamline for each live run on the broker; and no deadline, since the first example compiles or loads kernels."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from facility_kit import Beamline, on_topics, small_instrument
from hypothesis import settings
from scripted_stream import ScriptedRun, now_ms

from runstart.facility import Broker
from runstart.storage import ObjectStore

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture
def make(broker: Broker, topic_name: Callable[[str], str], store: ObjectStore) -> Callable[..., Beamline]:
    """Make a beamline with topics of its own; keywords are fields of the instrument, of the run and of `Beamline`."""

    def make_beamline(
        *, partitions: int = 1, info_partitions: int = 1, start_ms: int = 0, on: Broker = broker, **changes: Any
    ) -> Beamline:
        planned_ms, periods = changes.pop("planned_ms", 0), changes.pop("n_periods", 1)
        instrument = on_topics(small_instrument(**changes), topic_name("events"), topic_name("runInfo"))
        run = ScriptedRun(instrument, "run", start_ms or now_ms(), periods)
        beamline = Beamline(on, store, instrument, run, run.start_ms + planned_ms if planned_ms else 0)
        if partitions:
            beamline.create_topics(partitions, info_partitions)
        return beamline

    return make_beamline


@pytest.fixture
def absent_broker() -> Iterator[None]:
    """Collects the sockets that kafka-python forgets when a connection is refused, before another test must."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # what it logs holds on to them
    yield
    logger.setLevel(level)
    gc.collect()


@pytest.fixture
def pictures() -> None:
    """Asked for by the test whose pictures are drawn."""


@pytest.fixture(autouse=True)
def _few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are tested elsewhere; one test here draws them."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("runstart.live.publish.pictures_png", lambda _: {"overview.png": b"png"})
        monkeypatch.setattr("runstart.live.publish.thumbnails", lambda _: {})
