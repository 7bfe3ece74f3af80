"""Property-based tests here have no deadline: the first example compiles or loads kernels."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
