"""What Dagster's pages show of a live run: metadata made of figures, ledgers and pictures."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

if TYPE_CHECKING:
    from runstart.live import Result, Status
    from runstart.storage import ObjectStore

LARGEST_PICTURES = 5_000_000  # bytes of pictures in one materialization

_MARKUP = re.compile(r"[\[\]()!<>`\\]")

_MEANINGS = {
    "messages_read": "Messages read from the topic",
    "messages_taken": "Event messages whose events were looked at",
    "messages_duplicate": "Seen before: same source, id and pulse",
    "messages_malformed": "Could not be decoded",
    "messages_foreign": "Other kinds of messages",
    "messages_unjudged": "Too old to be checked for duplicates",
    "events_read": "Events in readable messages",
    "events_counted": "In every view",
    "events_without_pixel": "In the TOF spectrum only",
    "events_before_start": "Pulse before the run",
    "events_after_stop": "Pulse at or after the stop",
    "events_unknown_period": "Period that the RunStart did not announce",
    "events_unknown_detector": "Detector id in no bank",
    "events_out_of_tof_range": "Time of flight off the axis",
    "events_duplicate": "Events of duplicate messages",
    "missing_message_ids": "Gaps in the sources' numbering",
    "source_restarts": "Times a source numbered anew",
}


class Pictures(NamedTuple):
    """What a live run looks like: thumbnails as markdown by name, and the overview as PNG."""

    thumbnails: dict[str, str]
    overview: bytes

    @property
    def nbytes(self) -> int:
        """Bytes that they take in Dagster's event log."""
        return sum(map(len, self.thumbnails.values())) + 4 * len(self.overview) // 3


def load_pictures(store: ObjectStore, result: Result) -> dict[str, bytes]:
    """Return a result's pictures by file name, as many as the event log should take; all are in its folder."""
    pictures: dict[str, bytes] = {}
    room = LARGEST_PICTURES
    for name in result.files:
        if name.endswith(".png"):
            data = store.get(f"{result.folder}/{name}").data
            if len(data) <= room:
                pictures[name] = data
                room -= len(data)
    return pictures


def show_png(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """Return a picture that Dagster's pages show at a click."""
    return _show_picture(png, title, "png")


def show_jpeg(jpeg: bytes, title: str) -> dg.MarkdownMetadataValue:
    """Return a picture that Dagster's pages show at a click."""
    return _show_picture(jpeg, title, "jpeg")


def show_ledger(ledger: dict[str, int]) -> dg.TableMetadataValue:
    """Return the ledger as a table with a meaning for each column."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"column": name, "number": f"{number:,}", "meaning": _MEANINGS.get(name, "")})
            for name, number in ledger.items()
        ]
    )


def show_script(sha256: str, error: str, isolation: str) -> dg.TableMetadataValue:
    """Return which reduction script was executed, and how that went."""
    facts = {"script": sha256[:12] or "none", "outcome": error or "done", "isolation": isolation or "not executed"}
    return dg.MetadataValue.table([dg.TableRecord(facts)])


def show_text(text: str) -> dg.MarkdownMetadataValue:
    """Return a text from outside as a block that nothing in it can end."""
    return dg.MetadataValue.md("\n".join(f"    {line}" for line in text.rstrip().splitlines()))


def plain_markdown(text: str) -> str:
    """Return a text from outside as one line of markdown that shows it as it is: no link, picture or HTML in it."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def describe_status(status: Status, pictures: Pictures | None) -> dict[str, Any]:
    """Return the metadata of an observation of a run that is live."""
    shown: dict[str, Any] = {}
    if pictures is not None:
        shown = _in_place(pictures.thumbnails) | {"overview": show_png(pictures.overview, "overview")}
    return shown | {
        "events_in_views": status.events_in_views,
        "events_per_second": round(status.events_per_second, 1),
        "lag_seconds": round(status.lag_seconds, 2),
        "proton_charge_uah": round(status.proton_charge_uah, 9),
        "phase": status.phase,
        **_describe_companions(status),
        "ledger": show_ledger(status.ledger),
    }


def describe_result(result: Result, pictures: dict[str, bytes]) -> dict[str, Any]:
    """Return the metadata of a finished run."""
    ledger = result.ledger
    frozen = {p: f"[{first}, {result.end_offsets[p]})" for p, first in result.first_offsets.items()}
    shown = _in_place(result.thumbnails)
    metadata: dict[str, Any] = shown | {
        name.removesuffix(".png"): show_png(png, name) for name, png in pictures.items()
    }
    if result.script_sha256 or result.script_error:
        metadata["script"] = show_script(result.script_sha256, result.script_error, result.isolation)
    if result.script_output:
        metadata["script printed"] = show_text(result.script_output)
    if result.log_samples:
        metadata["logs"] = dg.MetadataValue.table(
            [dg.TableRecord({"log": name, "samples": f"{n:,}"}) for name, n in result.log_samples.items()]
        )
    return metadata | {
        "events_in_views": ledger["events_counted"] + ledger["events_without_pixel"],
        "proton_charge_uah": round(result.proton_charge_uah, 9),
        "late_events": result.late_events,
        "ledger": show_ledger(ledger),
        "stop": _utc(result.stop_time_ns),
        "stop_reason": result.stop_reason,
        "offsets": dg.MetadataValue.json(frozen),
        "complete": not result.shortcomings,
        "shortcomings": dg.MetadataValue.md("\n".join(f"- {text}" for text in result.shortcomings) or "none"),
        "result_sha256": result.digest,
        "folder": result.folder,
        "code_version": result.code_version,
    }


def _describe_companions(status: Status) -> dict[str, Any]:
    """Return what the script, the collectors and their troubles add to an observation."""
    metadata: dict[str, Any] = {}
    if status.script is not None and status.script["executed_at"] is not None:
        script = status.script
        metadata["script"] = show_script(script["sha256"] or "", script["error"] or "", script["isolation"])
    if status.collectors:
        rows = [
            dg.TableRecord({"collector": name, "samples": f"{c['samples']:,}", "trouble": c["trouble"] or ""})
            for name, c in status.collectors.items()
        ]
        metadata["collectors"] = dg.MetadataValue.table(rows)
    if status.troubles:
        rows = [
            dg.TableRecord({key: trouble[key] for key in ("kind", "name", "text")}) for trouble in status.troubles
        ]
        metadata["troubles"] = dg.MetadataValue.table(rows)
    return metadata


def _show_picture(data: bytes, title: str, kind: str) -> dg.MarkdownMetadataValue:
    # What a label from outside could end the alternative text with is left out.
    label = title.translate(str.maketrans("", "", "[]()<>"))
    return dg.MetadataValue.md(f"![{label}](data:image/{kind};base64,{base64.b64encode(data).decode()})")


def _in_place(thumbnails: dict[str, str]) -> dict[str, Any]:
    return {name: dg.MetadataValue.md(markdown) for name, markdown in thumbnails.items()}


def _utc(time_ns: int) -> str:
    if time_ns >= 253_402_300_800 * 10**9:
        return "never"
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")
