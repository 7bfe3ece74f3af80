"""Shows the newest tables on the page."""

from __future__ import annotations

from typing import Any

from runstart.frame_messages import publish_tables
from runstart.operators import BytesMessage, operator


@operator
def table_display(inputs: BytesMessage | None, parameters: dict[str, Any]) -> None:
    """Show tables by their names; one alone as its records."""
    if inputs is not None:
        publish_tables(inputs.data)
