from __future__ import annotations

import pytest
from left_behind import other_processes

pytest.register_assert_rewrite("launcher_bench", "launcher_contract")

__all__ = ["other_processes"]
