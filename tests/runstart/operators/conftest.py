from __future__ import annotations

from collections.abc import Iterator

import pytest
from operator_kit import SmallSession, small_session


@pytest.fixture
def session() -> Iterator[SmallSession]:
    with small_session() as playing:
        yield playing
