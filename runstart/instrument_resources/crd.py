"""Makes the custom resource definition `instruments.runstart.science`, which `k8s/base` holds as it is printed."""

from __future__ import annotations

from typing import Any

from runstart.instrument_resources.names import GROUP, KIND, PLURAL, VERSION
from runstart.instrument_resources.schema import make_spec_schema

SENSOR_STATES = ("On", "Off", "Failing", "Absent", "Unknown")
READY = "Ready"

_HEADER = "# Made by `runstart kubernetes crd` from the models that check instruments.toml: do not edit.\n"
_LONGEST_TEXT = 32_768  # of a condition's message, as Kubernetes itself has it

_COLUMNS = (
    (
        "Live",
        "string",
        ".status.sensor",
        "Whether a RunStart starts a live run: On, Off, Failing, Absent, Unknown.",
    ),
    ("Topic", "string", ".status.topic", "Kafka cluster and topic of the events."),
    ("Last run", "string", ".status.lastRun.name", "Name of the newest run."),
    ("State", "string", ".status.lastRun.state", "State of the newest run."),
    ("Snapshot age", "date", ".status.lastSnapshot", "Time since the newest snapshot of a live run."),
    ("Lag", "number", ".status.lag", "How far counting is behind, in seconds."),
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", "Whether this version is in force."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the resource was made."),
)


def make_crd() -> dict[str, Any]:
    """Return the custom resource definition as the API server takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/name": "runstart"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["inst"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "description": text}
                        for name, kind, path, text in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": _make_schema()},
                }
            ],
        },
    }


def print_crd() -> str:
    """Return the definition as YAML."""
    import yaml

    text: str = yaml.safe_dump(make_crd(), sort_keys=False, width=120, allow_unicode=True)
    return _HEADER + text


def _make_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "An instrument whose runs are reduced live; its fields are those of a table in instruments.toml.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": make_spec_schema() | {"description": "The instrument, as in instruments.toml."},
            "status": _make_status_schema(),
        },
        "x-kubernetes-validations": [
            {
                "rule": "has(self.spec.name) || self.metadata.name.matches('^[a-z][a-z0-9]{0,62}$')",
                "message": "the resource's name cannot be an instrument's; write spec.name: a letter, then at most "
                "62 letters, digits and underscores",
            }
        ],
    }


def _make_status_schema() -> dict[str, Any]:
    def text(description: str, **more: Any) -> dict[str, Any]:
        return {"type": "string", "description": description} | more

    return {
        "type": "object",
        "description": "What the instrument controller found; renewed every few seconds.",
        "properties": {
            "observedGeneration": _integer("Generation of the resource that the conditions are about."),
            "generationInForce": _integer("Generation that is in force; absent if none is."),
            "instrument": text("Name of the instrument."),
            "topic": text("Kafka cluster and topic of the events, as CLUSTER/TOPIC."),
            "sensor": text("Whether a RunStart starts a live run by itself.", enum=list(SENSOR_STATES)),
            "lastRun": {
                "type": "object",
                "description": "The newest run.",
                "properties": {
                    "name": text("Its name in the RunStart message."),
                    "key": text("Its partition in Dagster and folder in the object store."),
                    "state": text(
                        "Queued, Starting, Counting, Closing, Finishing, Finished, Failed, Canceled or Silent."
                    ),
                },
            },
            "lastSnapshot": text("When the newest snapshot of a live run was written.", format="date-time"),
            "lag": {
                "type": "number",
                "description": "Age of the newest message that has been counted, in seconds.",
            },
            "error": text("What a person should look at; absent if there is nothing."),
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": _make_condition_schema(),
            },
        },
    }


def _integer(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "description": description}


def _make_condition_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": {"type": "string"},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": {"type": "string"},
            "message": {"type": "string", "maxLength": _LONGEST_TEXT},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64"},
        },
    }
