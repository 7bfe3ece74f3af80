"""Finds collectors by the name under which `instruments.toml` declares them."""

from __future__ import annotations

from typing import Any


def check_declaration(use: str, options: dict[str, Any]) -> None:
    """Raise ValueError if no collector of that name takes these options."""
