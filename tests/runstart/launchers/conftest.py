from __future__ import annotations

from left_behind import other_processes

__all__ = ["other_processes"]
