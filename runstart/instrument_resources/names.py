"""What the objects of the cluster are called: the names that manifests, controller and tests share."""

from __future__ import annotations

GROUP = "runstart.science"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "Instrument"
PLURAL = "instruments"

CONFIG_MAP = "instruments"
TEXT_KEY = "instruments.toml"
ORIGINS_KEY = "origins.json"
DEPLOYMENT = "code-location"
GATEWAY = "gateway"
DIGEST_ANNOTATION = f"{GROUP}/instruments-digest"
FIELD_MANAGER = "instrument-controller"
