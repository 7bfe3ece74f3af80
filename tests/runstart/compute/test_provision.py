"""What a job is given: its data where Ocean's algorithms look for it, within its room, and as its checksum says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from compute_kit import DATA_ID, DATA_KEY, Owners, environment, input_of, workflow_payload

from runstart.compute import JobRecord, Status
from runstart.compute.folders import JobFolder, make_job_folder
from runstart.compute.provision import (
    AlgorithmProvisioningFailed,
    DataProvisioningFailed,
    Fetched,
    provision,
)
from runstart.compute.watching import Watch
from runstart.storage import FileStore, ObjectStore, StoredObject

DATA = b"counts"


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    owners = Owners(tmp_path)
    owners.store.put(DATA_KEY, DATA)
    return owners


def bring(
    owners: Owners, payload: dict[str, Any], store: ObjectStore | None = None
) -> tuple[JobRecord, JobFolder, list[Fetched]]:
    record = owners.order(payload)
    folder = make_job_folder(owners.root, record.job_id, "0")
    watch = Watch(owners.book, record.job_id, "Fetching", 60)
    return record, folder, provision(record, owners.environment, folder, store or owners.store, watch)


def test_inputs_and_algorithm_lie_where_oceans_algorithms_look(owners: Owners) -> None:
    algorithm = workflow_payload()["stages"][0]["algorithm"] | {"algocustomdata": {"bins": 5}}
    payload = workflow_payload(
        input=[input_of(f"store:{DATA_KEY}", f"store:{DATA_KEY}"), input_of(f"store:{DATA_KEY}", id="calibration")],
        algorithm=algorithm,
    )
    _, folder, fetched = bring(owners, payload)
    name = DATA_ID.removeprefix("did:op:")
    found = {path.relative_to(folder.top).as_posix() for path in folder.top.rglob("*") if path.is_file()}
    assert found >= {
        f"inputs/{name}/0",
        f"inputs/{name}/1",
        "inputs/calibration/0",
        "inputs/algoCustomData.json",
        f"ddos/{name}",
        "ddos/calibration",
        "transformations/algorithm",
    }
    assert (folder.inputs / name / "1").read_bytes() == DATA
    assert json.loads((folder.inputs / "algoCustomData.json").read_text()) == {"bins": 5}
    described = json.loads((folder.ddos / name).read_text())
    assert [file["file"] for file in described["files"]] == [f"inputs/{name}/0", f"inputs/{name}/1"]
    assert folder.algorithm.stat().st_mode & 0o777 == 0o755
    assert [file.place for file in fetched][-1] == "transformations/algorithm"
    assert fetched[0].sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_checksum_that_fits_is_fine_and_another_one_is_not(owners: Owners) -> None:
    good = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    bring(owners, workflow_payload(input=[input_of(f"store:{DATA_KEY}", checksum=good)]))
    with pytest.raises(DataProvisioningFailed, match="has the digest sha256:"):
        bring(owners, workflow_payload(input=[input_of(f"store:{DATA_KEY}", checksum="sha256:" + 64 * "0")]))


def test_all_inputs_together_have_the_room_of_the_environment(owners: Owners) -> None:
    owners.environment = environment(disk_gb=0.000_000_012)
    bring(owners, workflow_payload(input=[input_of(*[f"store:{DATA_KEY}"] * 2)]))
    with pytest.raises(DataProvisioningFailed, match="larger than the 0 bytes that are left"):
        bring(owners, workflow_payload(input=[input_of(*[f"store:{DATA_KEY}"] * 3)]))


def test_objects_go_through_memory_in_pieces_and_are_of_one_version(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.compute.provision._PIECE_BYTES", 4)
    monkeypatch.setattr("runstart.compute.provision._PATIENCE_S", 0.0)
    payload = workflow_payload(input=[input_of(f"store:{DATA_KEY}")])
    pieces = _Pieces(owners.place / "store")
    _, folder, _ = bring(owners, payload, pieces)
    assert (folder.inputs / DATA_ID.removeprefix("did:op:") / "0").read_bytes() == DATA
    pieces.changes = True
    with pytest.raises(DataProvisioningFailed, match="was changed while it was read"):
        bring(owners, payload, pieces)


class _Pieces(FileStore):
    """A store that gives the data only in pieces; `changes` writes it over meanwhile."""

    changes = False

    def get(self, key: str) -> StoredObject:
        assert key != DATA_KEY
        return super().get(key)

    def get_part(self, key: str, start: int, stop: int) -> bytes:
        if self.changes:
            self.put(key, b"others")
        return super().get_part(key, start, stop)


def test_the_output_of_a_data_operation_is_an_input(owners: Owners) -> None:
    key = 64 * "e"
    entry = {
        "format": 1,
        "key": key,
        "made_of": {},
        "asked": {},
        "seconds": 1.0,
        "made_at": "2026-01-01T00:00:00",
        "outputs": [
            {
                "basename": key,
                "type": "fits",
                "label": "stack",
                "objects": {"fits": f"operations/{key}/1/x.fits", "tif": f"operations/{key}/1/x.tif"},
                "sha256": {},
            }
        ],
    }
    owners.store.put(f"operations/{key}/entry.json", json.dumps(entry).encode())
    owners.store.put(f"operations/{key}/1/x.fits", b"FITS")
    owners.store.put(f"operations/{key}/1/x.tif", b"TIFF")
    owners.environment = environment(operation_outputs=True)
    _, folder, _ = bring(owners, workflow_payload(input=[input_of(f"operation:{key}", f"operation:{key}/tif")]))
    place = folder.inputs / DATA_ID.removeprefix("did:op:")
    assert [(place / name).read_bytes() for name in "01"] == [b"FITS", b"TIFF"]
    for missing in (f"operation:{64 * 'f'}", f"operation:{key}-7", f"operation:{key}/jpeg", "operation:x"):
        with pytest.raises(DataProvisioningFailed, match="No data operation has made"):
            bring(owners, workflow_payload(input=[input_of(missing)]))


def test_data_is_brought_before_the_algorithm_and_either_failure_is_named(owners: Owners) -> None:
    nowhere = {"container": {"image": "a", "entrypoint": "$ALGO"}, "url": "http://127.0.0.1/algorithm"}
    with pytest.raises(AlgorithmProvisioningFailed, match="not on the public Internet"):
        bring(owners, workflow_payload(algorithm=nowhere))
    with pytest.raises(DataProvisioningFailed, match="There is no store:results/none"):
        bring(owners, workflow_payload(input=[input_of("store:results/none")], algorithm=nowhere))


def test_a_job_whose_address_carries_a_secret_never_shows_it(owners: Owners) -> None:
    record = owners.run(workflow_payload(input=[input_of("http://127.0.0.1/x?signature=s3cret")]))
    assert record.status is Status.DATA_PROVISIONING_FAILED
    assert "s3cret" not in record.reason
    assert not any(b"s3cret" in data for data in owners.results(record).values())
