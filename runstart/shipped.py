"""Where the operators that ship are: beside the package."""

from __future__ import annotations

from pathlib import Path

SHIPPED_OPERATORS = Path(__file__).resolve().parents[1] / "operators"
