"""What the instance and the store of a facility tell of its runs, wherever its daemon is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import boto3
import dagster as dg
from scripted_stream import ScriptedRun
from waiting import wait_until

from runstart.instruments import Instrument
from runstart.live import Result, load_result, name_partition, read_head
from runstart.product import StoredProduct, read_product
from runstart.storage import ObjectStore, open_store

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


class FacilityView(ABC):
    """The runs of a facility's instruments.

    Attributes
    ----------
    instance : DagsterInstance
        Dagster's, with its storage.
    store : ObjectStore
        Where live runs write.
    instruments : dict of str to Instrument
        By name.
    """

    instance: dg.DagsterInstance
    store: ObjectStore
    instruments: dict[str, Instrument]

    @abstractmethod
    def log_tail(self) -> str:
        """Return what the facility's processes said last."""

    def runs(self, instrument: str, partition_key: str | None = None) -> list[dg.DagsterRun]:
        """Return the runs of an instrument, newest first."""
        tags = {"runstart/instrument": instrument}
        if partition_key is not None:
            tags["dagster/partition"] = partition_key
        return list(self.instance.get_runs(dg.RunsFilter(tags=tags)))

    def wait_for_result(self, run: ScriptedRun, timeout: float = 60.0) -> tuple[str, Result]:
        """Wait until all Dagster runs of a run have ended, the last with success; return partition key and result."""
        name = run.instrument.name
        key = name_partition(run.name, run.start_ms)

        def ended() -> bool:
            found = self.runs(name, key)
            done = found and all(r.status not in UNFINISHED for r in found)
            return bool(done) and found[0].status is dg.DagsterRunStatus.SUCCESS

        try:
            wait_until(ended, f"a successful end of run {key} of {name}", timeout, 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(name)}") from error
        return key, self.result(name, key)

    def story(self, instrument: str) -> str:
        """Return what happened to the runs of an instrument, for a test's message."""
        lines = [f"{r.run_id} {r.status} {dict(r.tags)}" for r in self.runs(instrument)]
        for run in self.runs(instrument)[:2]:
            lines += [f"  {entry.user_message[:300]}" for entry in self.instance.all_logs(run.run_id)]
        return "\n".join([*lines[-60:], self.log_tail()])

    def partition_keys(self, instrument: str) -> Sequence[str]:
        """Return the partitions that the sensor has added."""
        return self.instance.get_dynamic_partitions(f"live_runs_{instrument}")

    def result(self, instrument: str, partition_key: str) -> Result:
        """Return a run's current result."""
        current = read_head(self.store, instrument, partition_key).current
        assert current is not None
        return load_result(self.store, current)

    def product(self, result: Result) -> StoredProduct:
        """Return the counts in a result's NeXus file."""
        return read_product(self.store.get(f"{result.folder}/run.nxs").data)

    def checks(self, run_id: str) -> dict[str, bool]:
        """Return which asset checks a Dagster run evaluated, and whether they passed."""
        records = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        evaluations = [r.dagster_event.asset_check_evaluation_data for r in records if r.dagster_event]
        return {evaluation.check_name: evaluation.passed for evaluation in evaluations}


def open_store_at(url: str, environ: Mapping[str, str]) -> ObjectStore:
    """Return the store at a URL, by the credentials of an environment."""
    if not url.startswith("s3:"):
        return open_store(url)

    client = boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        region_name=environ["AWS_DEFAULT_REGION"],
    )
    return open_store(url, client)
