"""A facility for tests: a Dagster instance, instruments with short intervals, a broker, a store, and the real daemon.

The instance is the one that the project ships (`dagster.yaml`), on SQLite in a temporary folder. The daemon with its
code server and runs lives in a session of its own, and `kill` ends all of it at once, as a power cut would.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from facility_view import FacilityView, open_store_at
from run_worker import Halt, Order, RunWorker
from scripted_stream import ScriptedRun, now_ms, publish
from waiting import wait_until

from definitions import build_definitions
from runstart.instruments import Instrument, read_instruments
from runstart.kafka import RunInfoLog
from runstart.live import (
    Launch,
    Result,
    Silent,
    Sources,
    load_record,
    reduce_run,
    save_record,
)
from runstart.live.run_starts import Cursor, RunStartSearch
from runstart.product import StoredProduct, read_product
from runstart.storage import FileStore

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = """
[instruments.{name}]
tof = {{ start_us = 0, stop_us = 100_000, bins = 200 }}
views = ["tof", "pixel", "image", "pixel_tof"]
snapshot_interval = {snapshot_interval}
display_interval = {display_interval}
grace = {grace}
hold_back = {hold_back}

[[instruments.{name}.banks]]
name = "rear"
shape = [16, 16]
first_detector_id = 1

[[instruments.{name}.banks]]
name = "front"
shape = [64]
first_detector_id = 1000
"""


def small_instrument(
    name: str,
    *,
    snapshot_interval: float = 0.3,
    display_interval: float = 2.0,
    grace: float = 0.5,
    hold_back: float = 0.2,
) -> str:
    """Return the table of an instrument with two banks and short intervals (seconds)."""
    return SMALL.format(
        name=name,
        snapshot_interval=snapshot_interval,
        display_interval=display_interval,
        grace=grace,
        hold_back=hold_back,
    )


class DagsterFacility(FacilityView):
    """Instruments, broker, store and Dagster instance of one deployment; a context manager.

    Parameters
    ----------
    folder : Path
        Gets DAGSTER_HOME, instruments.toml and logs.
    instruments : str
        Tables of instruments.toml.
    bootstrap_servers, store_url : str
        Where everything is.
    environ : mapping of str to str
        More environment, such as credentials.
    module : str
        The code location.
    settings : mapping of str to str
        What is replaced in the instance's `dagster.yaml`.
    """

    def __init__(
        self,
        folder: Path,
        instruments: str,
        bootstrap_servers: str,
        store_url: str,
        environ: Mapping[str, str],
        module: str = "definitions",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.module = module
        self.bootstrap_servers = bootstrap_servers
        self.home = folder / "dagster"
        self.home.mkdir(parents=True)
        text = (REPOSITORY / "dagster.yaml").read_text()
        for shipped, changed in (settings or {}).items():
            assert shipped in text
            text = text.replace(shipped, changed)
        (self.home / "dagster.yaml").write_text(text)
        toml = folder / "instruments.toml"
        toml.write_text(f'[kafka.default]\nbootstrap_servers = "{bootstrap_servers}"\n{instruments}')
        self.environ = {
            "DAGSTER_HOME": str(self.home),
            "RUNSTART_INSTRUMENTS": str(toml),
            "RUNSTART_OBJECT_STORE": store_url,
            "RUNSTART_KAFKA": bootstrap_servers,
            "RUNSTART_DEPLOYMENT": "laptop",
            "DAGSTER_GRPC_MAX_WORKERS": "16",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]),
            **environ,
        }
        self.instruments: dict[str, Instrument] = read_instruments(toml, self.environ).instruments
        self.store = open_store_at(store_url, self.environ)
        self.instance = dg.DagsterInstance.from_config(str(self.home))
        self._daemon: subprocess.Popen[bytes] | None = None
        self._workers: list[RunWorker] = []

    def __enter__(self) -> DagsterFacility:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        for worker in self._workers:
            worker.kill()
        self.instance.dispose()
        client = getattr(self.store, "_client", None)
        if client is not None:
            client.close()

    # The daemon

    def start(self) -> None:
        """Start daemon and code server, and wait until the sensors have ticked."""
        since = time.time()
        with (self.folder / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [sys.executable, "-m", "quick_daemon", "run", "-m", self.module],
                cwd=REPOSITORY,
                env=os.environ | self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self._ticked_since(since), "the first tick of the sensors", interval=0.25)

    def kill(self) -> None:
        """Kill daemon, code server and runs with SIGKILL, all at once."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)  # nobody may start another one meanwhile
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._daemon is not None:
            self._daemon.wait()
            self._daemon = None
        wait_until(lambda: not self.processes(), "the end of all processes of the facility", 10)

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the daemon: those that were started with this DAGSTER_HOME."""
        if self._daemon is None:
            return []
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                ours = self._daemon.pid in (os.getpgid(process.pid), os.getsid(process.pid))
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def run_cli(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run a `dagster` command in this facility's environment, and return what it prints."""
        done = subprocess.run(
            [sys.executable, str(Path(sys.executable).parent / "dagster"), *arguments],
            cwd=REPOSITORY,
            env=os.environ | self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def daemon_log(self) -> str:
        return (self.folder / "daemon.log").read_text(errors="replace")

    def log_tail(self) -> str:
        return self.daemon_log[-3000:] if (self.folder / "daemon.log").exists() else ""

    def _ticked_since(self, since: float) -> bool:
        assert self._daemon is not None
        assert self._daemon.poll() is None, f"The daemon ended:\n{self.daemon_log[-6000:]}"
        states = self.instance.all_instigator_state()
        return any(
            tick.timestamp >= since
            for state in states
            if state.instigator_name == "run_starts"
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        )

    # Without the daemon

    @contextlib.contextmanager
    def sensor(self, name: str = "run_starts") -> Iterator[Callable[[], SensorExecutionData]]:
        """Give what evaluates a sensor once, as a daemon's tick does: partitions are added, the cursor is kept."""
        defs = build_definitions(self.environ)
        definition = defs.resolve_sensor_def(name)
        cursor: str | None = None

        def tick() -> SensorExecutionData:
            nonlocal cursor
            with dg.build_sensor_context(
                self.instance,
                cursor,
                repository_def=defs.get_repository_def(),
                resources=defs.resources,
                instance_ref=self.instance.get_ref(),
            ) as context:
                data = definition.evaluate_tick(context)
            cursor = data.cursor
            for request in data.dynamic_partitions_requests or ():
                self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
            return data

        try:
            with pytest.MonkeyPatch.context() as patch:
                for variable, value in self.environ.items():
                    patch.setenv(variable, value)  # credentials come from the environment alone
                yield tick
        finally:
            function = definition._raw_fn
            for cell in function.__closure__ or ():
                if hasattr(cell.cell_contents, "drop"):
                    cell.cell_contents.drop()

    def announce(self, run: ScriptedRun, stop_ms: int = 0) -> str:
        """Publish a RunStart and make it known as the sensor does; return its partition key."""
        topic = run.instrument.topics.run_info
        publish(self.bootstrap_servers, topic, [(run.start_payload(stop_ms), 0)])
        with RunInfoLog(self.bootstrap_servers, [topic]) as log:
            found = RunStartSearch(log, [run.instrument], self.store).search(Cursor(), 10.0)
        key = next(f.partition_key for f in found.runs if f.run_name == run.name)
        self.instance.add_dynamic_partitions(f"live_runs_{run.instrument.name}", [key])
        return key

    def publish_stop(self, run: ScriptedRun, stop_ms: int) -> None:
        """Publish a RunStop."""
        publish(self.bootstrap_servers, run.instrument.topics.run_info, [(run.stop_payload(stop_ms), 0)])

    def work(
        self,
        instrument: str,
        partition_key: str,
        *,
        retry_of: RunWorker | dg.DagsterRun | None = None,
        halt: Halt | None = None,
        **changes: Any,
    ) -> RunWorker:
        """Start the job of one partition in a worker; a retry has the root run of the one it retries."""
        run_id = str(uuid.uuid4())
        before = retry_of.order if isinstance(retry_of, RunWorker) else retry_of
        worker = RunWorker(
            Order(
                folder=self.folder / "workers" / run_id,
                environ=self.environ,
                instrument=instrument,
                partition_key=partition_key,
                run_id=run_id,
                root_run_id=(before.root_run_id or before.run_id) if before else run_id,
                parent_run_id=before.run_id if before else None,
                halt=halt,
                **changes,
            )
        )
        self._workers.append(worker)
        return worker

    def undisturbed(self, run: ScriptedRun, partition_key: str) -> tuple[Result, StoredProduct]:
        """Return what one launch without a fault makes of the same topics, in a store of its own."""
        store = FileStore(self.folder / f"undisturbed-{uuid.uuid4().hex}")
        record = load_record(self.store, run.instrument.name, partition_key)
        save_record(store, record)
        sources = Sources(self.bootstrap_servers, run.instrument, record)
        result = reduce_run(store, sources, Launch("undisturbed", "undisturbed"), Silent())
        return result, read_product(store.get(f"{result.folder}/run.nxs").data)

    def new_run(self, instrument: str, name: str = "1001", **changes: Any) -> ScriptedRun:
        """Return a run that starts now."""
        return ScriptedRun(self.instruments[instrument], name, now_ms(), **changes)
