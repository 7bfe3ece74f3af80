from __future__ import annotations

import re
from pathlib import Path

from gateway.routes import ROUTERS
from gateway.settings import GatewaySettings

PAGE = (Path(__file__).parents[2] / "docs/gateway.md").read_text()


def test_every_route_begins_as_the_page_says() -> None:
    told = [path.removesuffix("…") for path in re.findall(r"(?<=[` ])(/[A-Za-z0-9_/]*…?|…/\w+)(?=`)", PAGE)]
    full = {f"/api/v1/operator/{path.removeprefix('…/')}" if path.startswith("…") else path for path in told}
    paths = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined] # all have one
    assert [
        path
        for path in sorted(paths)
        if path not in full
        and not any(path.startswith(begin) for begin in full if begin.endswith("/") and len(begin) > 1)
    ] == []


def test_every_variable_is_told() -> None:
    doc = GatewaySettings.from_environment.__doc__ or ""
    variables = re.findall(r"\b[A-Z]+_[A-Z_]+\b", doc)
    assert len(variables) > 10
    assert [name for name in variables if name not in PAGE] == []
