"""Scans that arrive in a bucket of a real S3 server."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scan_work_kit import draw_frames, make_microscope, write_scan

from runstart.errors import Alert
from runstart.facility import S3Server
from runstart.frames import DenseFrames
from runstart.microscopes import Microscope
from runstart.scans import find_scans
from runstart.scans.opening import open_scan
from runstart.storage import FileStore

pytestmark = pytest.mark.store
BUCKET = "runstart-tests"

Put = Callable[[str, bytes], None]


@pytest.fixture
def client(s3_server: S3Server) -> Iterator[Any]:
    client = s3_server.client()
    yield client
    client.close()


@pytest.fixture
def microscope(tmp_path: Path) -> Microscope:
    return make_microscope(tmp_path, scans=f"s3://{BUCKET}/scans-{secrets.token_hex(4)}/SIMSTEM")


@pytest.fixture
def put(client: Any, microscope: Microscope) -> Put:
    prefix = microscope.scans.removeprefix(f"s3://{BUCKET}/")

    def put_object(name: str, data: bytes) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=data)

    return put_object


def array(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, draw_frames(seed, 6).reshape(2, 3, 16, 12))
    return buffer.getvalue()


def test_objects_are_handed_out_once_for_each_version(
    microscope: Microscope, client: Any, put: Put, file_store: FileStore, tmp_path: Path
) -> None:
    first = find_scans(microscope, None, file_store, s3_client=client)
    put("sub/a.npy", array())
    put("open.frames", write_scan(tmp_path / "x.frames", draw_frames(0, 30), closed=False).read_bytes())
    put("bad.npy", b"")
    put("a b.npy", b"x")
    found = find_scans(microscope, first.cursor, file_store, s3_client=client)
    assert {(scan.record.scan, scan.growing, scan.launch) for scan in found.scans} == {
        ("sub@a.npy", False, True),
        ("open.frames", False, True),
    }
    assert set(found.refused) == {"bad.npy", "a b.npy"}
    again = find_scans(microscope, found.cursor, file_store, s3_client=client)
    assert (again.scans, again.refused) == ((), {})
    put("sub/a.npy", array(1))
    (newer,) = find_scans(microscope, found.cursor, file_store, s3_client=client).scans
    assert newer.record.scan == "sub@a.npy"


def test_an_object_is_opened_as_long_as_it_is_the_version_of_its_record(
    microscope: Microscope, client: Any, put: Put, file_store: FileStore
) -> None:
    put("a.raw", draw_frames(0, 6).tobytes())
    put("a.json", b'{"scan_shape": [2, 3], "frame_shape": [16, 12], "dtype": "uint16"}')
    (scan,) = find_scans(microscope, None, file_store, s3_client=client).scans
    with open_scan(microscope, scan.record, file_store, client) as source:
        frames = source.read(0, 6)
    assert isinstance(frames, DenseFrames)
    assert np.array_equal(frames.pixels, draw_frames(0, 6))
    put("a.raw", draw_frames(1, 6).tobytes())
    with pytest.raises(Alert, match=r"a\.raw is another file"):
        open_scan(microscope, scan.record, file_store, client)


def test_a_missing_bucket_is_an_alert(tmp_path: Path, client: Any, file_store: FileStore) -> None:
    microscope = make_microscope(tmp_path, scans="s3://no-such-bucket/raw")
    with pytest.raises(Alert, match=r"no bucket 'no-such-bucket'.*microscopes\.toml"):
        find_scans(microscope, None, file_store, s3_client=client)
