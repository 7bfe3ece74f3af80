"""Specifications of operators for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

OPERATOR_ID = UUID("5f1c2b94-3d0e-4a53-9b7d-0c8f3c1e2a11")

PARAMETERS: list[dict[str, Any]] = [
    {"name": "suffix", "type": "str", "default": "_counted"},
    {"name": "crop_to_x", "type": "int", "default": "255", "minimum": 0, "maximum": 576},
    {"name": "contrast", "type": "float", "default": "2"},
    {"name": "flip", "type": "bool", "default": "true"},
    {"name": "raw_data_dir", "type": "mount", "default": "/data"},
    {"name": "colormap", "type": "str-enum", "default": "gray", "options": ["gray", "viridis"]},
]


def parameter(name: str, **more: Any) -> dict[str, Any]:
    """Return a parameter's JSON: the one above of this name, or another, with changes."""
    declared = next((one for one in PARAMETERS if one["name"] == name), {"name": name})
    return {"label": name, "description": f"The {name}.", "required": True, **declared, **more}


def operator_data(**more: Any) -> dict[str, Any]:
    """Return an operator's JSON, with all that may be in it, and with changes."""
    return {
        "id": str(OPERATOR_ID),
        "label": "Count electrons",
        "description": "Counts.",
        "image": "registry/team/count-electrons:latest",
        "inputs": [{"name": "in", "label": "In", "description": "Frames.", "type": "frame"}],
        "outputs": [{"name": "out", "label": "Out", "description": "Hits.", "type": "sparse_frame"}],
        "parameters": [parameter(one["name"]) for one in PARAMETERS],
        "tags": [{"value": "gpu"}],
        "parallel_config": {"type": "embarrassing"},
        "triggers": [{"name": "read_now", "label": "Read", "mode": "drain"}],
        **more,
    }


def write_operator_json(folder: Path, **more: Any) -> Path:
    """Write an operator.json into a folder, which is made; return the file."""
    folder.mkdir(parents=True)
    file = folder / "operator.json"
    file.write_text(json.dumps(operator_data(**more)))
    return file
