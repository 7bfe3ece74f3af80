"""Makes the OpenAPI schema of `spec` from the models that check `instruments.toml`, in the dialect of Kubernetes.

What a model declares (types, choices, limits, patterns) is taken over; what its validators say is repeated here only
where the API server can say it as well, in a word or in a cheap CEL rule, so that a mistake is refused when it is made.
All other rules are the controller's, which validates with the models themselves. Defaults stand in the descriptions:
the API server fills none in, so a resource says what its author said, and a later default reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from runstart.collectors.options import EpicsOptions, KafkaLogsOptions
from runstart.instrument_resources.descriptions import describe_fields
from runstart.instruments.collector import CollectorDeclaration
from runstart.instruments.model import MAX_TOF_NS, NANOSECONDS_PER_MICROSECOND, Bank, Instrument, TofAxis, Topics
from runstart.instruments.script import Script

MOST_BANKS = 256  # the API server must know how long a rule can take
MOST_COLLECTORS = 64
LONGEST_OPTIONS = 65_536

_MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model for model in (Bank, CollectorDeclaration, Script, TofAxis, Topics)
}
_TOPIC = r"^[A-Za-z0-9._-]{1,249}$"
_KEPT = ("type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


def make_spec_schema() -> dict[str, Any]:
    """Return the structural schema of an instrument: the fields of its table, and its name."""
    published = Instrument.model_json_schema()
    spec = _convert(published, published["$defs"], Instrument)
    spec["required"] = ["banks", "tof"]
    fields = spec["properties"]
    fields["name"]["description"] = (
        "Name in RunStart messages, in Dagster and in the store: a letter, then at most 62 letters, digits and "
        "underscores. Default: the name of the resource, which cannot have upper-case letters."
    )
    _refine_topics(fields["topics"])
    _refine_banks(fields["banks"])
    _refine_tof(fields["tof"])
    fields["views"]["x-kubernetes-list-type"] = "set"
    fields["script"]["x-kubernetes-validations"] = [
        {
            "rule": "[has(self.folder), has(self.git), has(self.url)].exists_one(given, given)",
            "message": "write exactly one of folder, git and url",
        }
    ]
    _refine_collectors(fields["collectors"])
    return spec


def _refine_topics(topics: dict[str, Any]) -> None:
    del topics["required"]  # those not given follow from the name
    for field in topics["properties"].values():
        field["pattern"] = _TOPIC


def _refine_banks(banks: dict[str, Any]) -> None:
    banks["maxItems"] = MOST_BANKS
    banks["x-kubernetes-list-type"] = "atomic"  # their order is that of the pixels: never merged
    banks["x-kubernetes-validations"] = [
        {
            "rule": "self.all(bank, self.exists_one(other, other.name == bank.name))",
            "message": "two banks have the same name; give each its own",
        }
    ]
    fields = banks["items"]["properties"]
    fields["name"]["maxLength"] = 63
    fields["shape"] |= {"minItems": 1, "maxItems": 2, "x-kubernetes-list-type": "atomic"}


def _refine_tof(tof: dict[str, Any]) -> None:
    for edge in ("start_us", "stop_us"):
        tof["properties"][edge] |= {"minimum": 0, "maximum": MAX_TOF_NS / NANOSECONDS_PER_MICROSECOND}
    tof["x-kubernetes-validations"] = [
        {"rule": "self.start_us < self.stop_us", "message": "stop_us is not greater than start_us"}
    ]


def _refine_collectors(collectors: dict[str, Any]) -> None:
    """Give a collector the options of those that ship as fields, and those of others as text."""
    (declaration,) = collectors.pop("patternProperties").values()
    for model in (EpicsOptions, KafkaLogsOptions):
        published = model.model_json_schema()
        added = _convert(published, {}, model)["properties"]
        for field in added.values():
            field["description"] = f"{model.__doc__.split('`')[1]}: {field['description']}" if model.__doc__ else ""
        declaration["properties"] |= added
    declaration["properties"]["options"] = {
        "type": "string",
        "maxLength": LONGEST_OPTIONS,
        "description": "Options of a collector of your own (`package.module:Class`), as lines of TOML.",
    }
    collectors |= {
        "additionalProperties": declaration,
        "maxProperties": MOST_COLLECTORS,
        "x-kubernetes-validations": [
            {
                "rule": "self.all(name, name.matches('^[A-Za-z][A-Za-z0-9_]{0,62}$'))",
                "message": "a collector's name is a letter, then at most 62 letters, digits and underscores",
            }
        ],
    }


def _convert(
    node: Mapping[str, Any], definitions: Mapping[str, Any], model: type[BaseModel] | None
) -> dict[str, Any]:
    """Return a node of JSON Schema as a structural one: without references, null, titles and defaults."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return _convert(definitions[name], definitions, _MODELS[name])
    if "anyOf" in node:
        (given,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        return _convert(given, definitions, model)
    made: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    if node.get("type") == "integer":
        made["format"] = "int64"
    if "exclusiveMinimum" in node:
        made |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if "items" in node:
        made["items"] = _convert(node["items"], definitions, None)
    if node.get("type") == "object":
        _convert_object(node, definitions, model, made)
    return made


def _convert_object(
    node: Mapping[str, Any], definitions: Mapping[str, Any], model: type[BaseModel] | None, made: dict[str, Any]
) -> None:
    for ours, theirs in (("minLength", "minProperties"), ("maxLength", "maxProperties")):
        if ours in made:  # pydantic's words for a mapping with a validator before it
            made[theirs] = made.pop(ours)
    if isinstance(node.get("additionalProperties"), Mapping):
        made["additionalProperties"] = _convert(node["additionalProperties"], definitions, None)
    if "patternProperties" in node:
        made["patternProperties"] = {
            pattern: _convert(inner, definitions, None) for pattern, inner in node["patternProperties"].items()
        }
    if "properties" in node:
        texts = {} if model is None else describe_fields(model)
        made["properties"] = {
            name: _convert(field, definitions, None) | {"description": _tell(texts[name], field)}
            for name, field in node["properties"].items()
        }
        if "required" in node:
            made["required"] = list(node["required"])


def _tell(text: str, field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default in (None, ""):
        return text
    shown = ", ".join(default) if isinstance(default, list) else str(default).lower()
    return f"{text} Default: {shown}."
