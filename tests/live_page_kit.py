"""What the live page shows, written into a store as its makers write it: a run that counts, a scan, a night."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runstart.events import Severity
from runstart.instruments import Instrument, read_instruments
from runstart.live.display import VIEWS_NAME, views_json
from runstart.live.finished import note_finished
from runstart.live.head import Head, Version, head_key
from runstart.live.ledger import Ledger
from runstart.live.record import name_partition, run_prefix
from runstart.live.result import Result
from runstart.logs import LogBook, Sample
from runstart.metrics import live_status_key
from runstart.nights import Exposure, Product, Record, read_sites, save_record
from runstart.operation_kit import Entry, OutputFile
from runstart.product import RunProduct, overview_png
from runstart.scripts.model import Axis, NamedArray, ScriptOutcome
from runstart.simulators.sans import SansInstrument
from runstart.storage import ObjectStore
from runstart.views import Series, Views

CHECKOUT = Path(__file__).resolve().parent.parent
SCAN = "scan_0001.frames"
NIGHT = "2026-03-28"
KEY = "ab" * 32
EVENTS_A_STEP = 8_000
STEP_SECONDS = 0.5
_NS = 1_000_000_000


def simulated_instruments(*names: str) -> dict[str, Instrument]:
    """Return instruments as the checkout declares them."""
    declared = read_instruments(CHECKOUT / "instruments.toml", {}).instruments
    return {name: declared[name] for name in names or ("SIMSANS", "SANS2D")}


def put_scan(store: ObjectStore, picture: bytes, scan: str = SCAN, **changes: Any) -> None:
    """Write a scan of SIMSTEM that is being taken; `changes` of what it tells of itself."""
    told = {
        "written_at": time.time(),
        "seen": 30,
        "expected": 40,
        "covered": 0.75,
        "frames_per_second": 50.0,
        "ended": "",
    }
    store.put(f"scans/SIMSTEM/{scan}/record.json", b"{}")
    store.put(f"scans/SIMSTEM/{scan}/display/overview.png", picture)
    store.put(f"scans/SIMSTEM/{scan}/display/status.json", json.dumps({**told, **changes}).encode())


def put_night(store: ObjectStore, files: Mapping[str, bytes]) -> None:
    """Write a night of SIMOBS: two exposures, a stack with these files, a colour image that could not be made."""
    site = read_sites(CHECKOUT / "sites.toml", {})["SIMOBS"]
    objects = {name: f"operations/{KEY}/1-x/{KEY}-{name}" for name in files}
    for name, place in objects.items():
        store.put(place, files[name])
    entry = Entry(KEY, {}, {}, (OutputFile(KEY, "fits", "M51 gp", objects, {}),), 1.0, "2026-03-29T00:00:00+00:00")
    store.put(f"operations/{KEY}/entry.json", entry.to_json())

    def put(asset: str, **content: Any) -> None:
        save_record(store, site, Record("SIMOBS", NIGHT, asset, "0", "ab", **content))

    put("exposures", exposures=(Exposure("a.fits", "1"), Exposure("b.fits", "1", trouble="it is cut off")))
    put("stacks", products=(Product("M51 gp", KEY, KEY, "M51", "gp", NIGHT, figures={"frames": 3}),))
    put("color_images", products=(Product("M51", trouble="there is one filter"),), remarks=("A remark.",))


class ScriptedRun:
    """A run of an instrument.

    Parameters
    ----------
    store : ObjectStore
        Takes what it tells.
    instrument : Instrument
        Whose.
    number : int
        Of the run.
    age_s : float
        How long ago it began.
    """

    def __init__(self, store: ObjectStore, instrument: Instrument, number: int = 1, age_s: float = 0.0) -> None:
        self.store = store
        self.instrument = instrument
        self.number = number
        self.name = f"{instrument.name}-{number:05d}"
        self.started_at = time.time() - age_s
        self.key = name_partition(self.name, int(self.started_at * 1000))
        self.views = Views(instrument)
        self.series = Series(int(self.started_at * _NS))
        self.logs = LogBook(self.key, self.series.start_time_ns)
        self.changes: dict[str, Any] = {}
        self.script_error = ""
        self._beam = SansInstrument(instrument, seed=number)
        self._steps = 0
        self._second = -STEP_SECONDS
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def folder(self) -> str:
        return run_prefix(self.instrument.name, self.key)

    @property
    def events(self) -> int:
        return int(self.views.tof.sum())

    def take(self, events: int = EVENTS_A_STEP, at_s: float | None = None) -> None:
        """Count some events, at a second of the run."""
        second = self._second + STEP_SECONDS if at_s is None else at_s
        self._second = second
        self._steps += 1
        tof, ids = self._beam.pulse_events(self.number, self._steps, events)
        self.views.add(tof, ids)
        self.series.add_events(int(second), events)
        self.series.add_charge(self.series.start_time_ns + int(second * _NS), 0.002)
        self._log(second)

    def tell(self) -> None:
        """Write views, then figures, as the run's process does."""
        product = self.product()
        self.store.put(f"{self.folder}/display/{VIEWS_NAME}", views_json(product, self.outcome()))
        text = json.dumps(self.status()).encode()
        self.store.put(f"{self.folder}/display/status.json", text)
        self.store.put(live_status_key(self.instrument.name, self.key), text)

    def draw(self) -> None:
        """Write the picture."""
        self.store.put(f"{self.folder}/display/overview.png", overview_png(self.product()))

    def product(self, stop_time_ns: int | None = None) -> RunProduct:
        return RunProduct(
            instrument=self.instrument,
            partition_key=self.key,
            run_name=self.name,
            start_time_ns=self.series.start_time_ns,
            stop_time_ns=stop_time_ns,
            n_periods=1,
            views=self.views.copy_for_overview(),
            series=self.series.copy(),
            ledger=self.ledger(),
            provenance={},
            logs=self.logs.series(),
        )

    def ledger(self) -> dict[str, int]:
        counted = self.events
        columns = Ledger(
            messages_read=self._steps + 3,
            messages_taken=self._steps,
            messages_foreign=2,
            messages_duplicate=1,
            events_read=counted + 4120,
            events_counted=counted,
            events_before_start=4000,
            events_duplicate=120,
        )
        return columns.as_dict() | self.changes.get("ledger", {})

    def status(self) -> dict[str, Any]:
        """Return what the run tells of itself; `changes` of it first."""
        told: dict[str, Any] = {
            "instrument": self.instrument.name,
            "partition_key": self.key,
            "run_name": self.name,
            "dagster_run_id": "0b3c7f0e-6b0f-4a51-8d34-0d2f4c3f9a11",
            "written_at": time.time(),
            "phase": "counting",
            "events_in_views": self.events,
            "events_per_second": EVENTS_A_STEP / STEP_SECONDS * (1 + 0.08 * np.sin(self._steps / 3)),
            "lag_seconds": 0.8,
            "proton_charge_uah": self.series.total_charge_uah,
            "snapshots": 3,
            "snapshot_age_seconds": 11.0,
            "script": {
                "sha256": "4f" * 32,
                "executed_at": time.time(),
                "seconds": 0.7,
                "error": self.script_error or None,
            },
            "collectors": {"sample_environment": {"samples": 4 * self._steps, "trouble": None}},
            "troubles": [],
        }
        return {**told, **self.changes, "ledger": self.ledger()}

    def outcome(self) -> ScriptOutcome:
        """Return what a script that averages over rings makes of the first bank."""
        bank = self.views.bank_image(0).sum(axis=0)
        if bank.ndim == 1:
            bank = bank[np.newaxis]
        row, column = np.indices(bank.shape)
        middle = (np.array(bank.shape) - 1) / 2
        ring = np.hypot(row - middle[0], column - middle[1]).astype(int)
        sums, pixels = np.bincount(ring.ravel(), bank.ravel()), np.bincount(ring.ravel())
        radius = np.arange(sums.size) + 0.5
        curve = NamedArray(
            "radial_average",
            sums / np.maximum(pixels, 1),
            [Axis("radius", radius, "pixels")],
            unit="counts/pixel",
            errors=np.sqrt(sums) / np.maximum(pixels, 1),
            log=True,
            title="Radial average",
        )
        printed = (
            f"{int(bank.sum()):,} counts in bank rear\ncentre at row {middle[0]:.1f}, column {middle[1]:.1f}\n"
        )
        arrays: Mapping[str, NamedArray] = {} if self.script_error else {curve.name: curve}
        return ScriptOutcome("4f" * 32, time.time(), 0.7, printed, arrays, {}, self.script_error, "namespaces")

    def finish(self) -> None:
        """End it as a run ends: its result is published, and it is live no more."""
        self.stop()
        folder = f"{self.folder}/results/000001"
        product = self.product(int(time.time() * _NS))
        result = Result(
            folder=folder,
            files=(VIEWS_NAME, "overview.png"),
            thumbnails={},
            digest="ab" * 32,
            ledger=self.ledger(),
            proton_charge_uah=self.series.total_charge_uah,
            stop_time_ns=int(time.time() * _NS),
            stop_reason="RunStop",
            first_offsets={"0": 0},
            end_offsets={"0": self._steps},
            lost={},
            late_events=0,
            shortcomings=(),
            code_version="0",
            run_id="0b3c7f0e-6b0f-4a51-8d34-0d2f4c3f9a11",
        )
        self.store.put(f"{folder}/{VIEWS_NAME}", views_json(product, self.outcome()))
        self.store.put(f"{folder}/overview.png", overview_png(product))
        self.store.put(f"{folder}/result.json", result.to_json())
        version = Version(1, folder, result.digest, {0: [(0, self._steps)]}, result.run_id, result.run_id)
        head = Head(epoch=1, current=version, versions=(version,))
        self.store.put(head_key(self.instrument.name, self.key), head.to_json())
        note_finished(self.store, self.instrument.name, self.key)
        self.store.delete(live_status_key(self.instrument.name, self.key))

    def start(self) -> None:
        """Go on by itself."""
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more, as if the process had been killed."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(STEP_SECONDS):
            self.take()
            self.tell()

    def _log(self, second: float) -> None:
        at = self.series.start_time_ns + int(second * _NS)
        temperature = 4.2 + 0.6 * np.exp(-second / 40) + 0.02 * np.sin(second * 1.7)
        alarm = Severity.MINOR if temperature > 4.6 else Severity.OK
        samples = (
            Sample("temperature", at, float(temperature), alarm, "K"),
            Sample("field", at, float(1.5 + 0.3 * np.tanh((second - 60) / 20)), Severity.OK, "T"),
            Sample("rotation", at, float((second // 15) * 5), Severity.OK, "deg"),
            Sample("shutter", at, "open" if int(second / 25) % 4 else "closed", Severity.OK),
        )
        for sample in samples:
            self.logs.add(sample, "sample_environment")
