"""Quick looks at one image, after Datalab's API: `POST /api/analysis/ACTION/`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from gateway.analysis import ACTIONS, AnalysisInput
from gateway.context import Reader, TheGateway
from gateway.errors import Refusal, answers
from gateway.links import Links
from gateway.operation_answers import output_path
from gateway.operation_requests import STORE_SOURCE, check_reads_inputs, thing_of
from gateway.watching import TheWatching
from runstart.errors import Alert
from runstart.fits import FitsReference
from runstart.operation_kit import load_entry
from runstart.operation_kit.keys import is_key
from runstart.storage import ObjectStore

router = APIRouter(prefix="/api/analysis", tags=["data operations"])


@router.post("/{action}/", responses=answers(400, 401, 403, 404))
def analyse(
    gateway: TheGateway,
    watching: TheWatching,
    caller: Reader,
    action: Annotated[str, Path(max_length=40, examples=["line-profile"])],
    asked: AnalysisInput,
) -> Any:
    """Look at one image: `centroiding`, `line-profile`, `source-catalog`, `get-tif`, `get-jpg`, `raw-data` or `wcs`."""
    if action not in ACTIONS:
        raise Refusal(400, f"There is no analysis of this name. There are {', '.join(ACTIONS)}.")
    try:
        reference = FitsReference.parse({"source": asked.source, "basename": asked.basename})
        check_reads_inputs(caller, gateway.access, [thing_of(reference)])
        if action == "get-tif" and (link := _kept_tif(gateway.store, reference)):
            return {"tif_url": link}
        inputs = watching.facility.open_inputs(gateway.store)
        with inputs.open(inputs.resolve(reference)) as path:
            return ACTIONS[action](path, asked)
    except Alert as alert:
        raise Refusal(400, f"{action} Error: {alert}") from None


def _kept_tif(store: ObjectStore, reference: FitsReference) -> str:
    """Return a link to the TIFF of an operation's output; empty if it is none."""
    key = reference.basename.partition("-")[0]
    entry = load_entry(store, key) if reference.source == STORE_SOURCE and is_key(key) else None
    for number, output in enumerate(entry.outputs if entry is not None else ()):
        if output.basename == reference.basename and "tif" in output.objects:
            return Links(store).sign(output_path(key, number, "tif"))
    return ""
