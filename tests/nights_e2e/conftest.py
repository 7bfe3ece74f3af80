from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dagster_kit import DagsterFacility
from night_facility import NightPlace, open_observatory

Open = Callable[..., tuple[NightPlace, DagsterFacility]]


@pytest.fixture
def observatory(tmp_path: Path) -> Iterator[Open]:
    """Gives a place and its facility, whose daemon is not started; names say what ticks by itself."""
    with ExitStack() as opened:

        def open_one(*ticking: str, **place: Any) -> tuple[NightPlace, DagsterFacility]:
            return opened.enter_context(open_observatory(tmp_path, *ticking, **place))

        yield open_one
