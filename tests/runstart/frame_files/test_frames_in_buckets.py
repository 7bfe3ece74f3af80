"""Files of frames in a bucket of a real S3 server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.errors import Alert, Transient
from runstart.facility import S3Server
from runstart.frame_files import ObjectBlob, RawWriter, ScanHeader, open_frames

pytestmark = pytest.mark.store
BUCKET = "runstart-tests"


@pytest.fixture
def client(s3_server: S3Server) -> Iterator[Any]:
    client = s3_server.client()
    yield client
    client.close()


@pytest.fixture
def put(client: Any) -> Callable[[bytes], ObjectBlob]:
    def put_object(data: bytes, key: str = "") -> ObjectBlob:
        key = key or f"frames-{secrets.token_hex(4)}/a scan"
        etag = client.put_object(Bucket=BUCKET, Key=key, Body=data)["ETag"]
        return ObjectBlob(client, BUCKET, key, etag, len(data), f"s3://{BUCKET}/{key}")

    return put_object


@pytest.mark.parametrize("is_closed", [True, False])
def test_frames_are_read_from_an_object_by_several_threads(
    tmp_path: Path, put: Any, header: ScanHeader, pixels: NDArray[Any], is_closed: bool
) -> None:
    writer = RawWriter(tmp_path / "a", header)
    writer.append(pixels, np.arange(12)[::-1])
    writer.close() if is_closed else writer.abandon()
    with open_frames(put((tmp_path / "a").read_bytes())) as source, ThreadPoolExecutor(4) as pool:
        assert source.slots(0, 12).tolist() == list(range(11, -1, -1))
        read = list(pool.map(lambda start: source.read(start, start + 3).pixels, range(10)))
    assert all(np.array_equal(part, pixels[start : start + 3]) for start, part in enumerate(read))


def test_a_library_reads_an_object(tmp_path: Path, put: Any, pixels: NDArray[Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", data=pixels.reshape(3, 4, 6, 5), chunks=(1, 4, 6, 5), compression="gzip")
    with open_frames(put((tmp_path / "a.h5").read_bytes())) as source:
        assert np.array_equal(source.read(1, 11).pixels, pixels[1:11])


def test_an_object_that_was_replaced_or_removed_is_told(put: Any, client: Any) -> None:
    blob = put(b"first" * 9)
    put(b"other" * 9, key=blob._key)
    with pytest.raises(Alert, match="was replaced"):
        blob.read(0, 5)
    client.delete_object(Bucket=BUCKET, Key=blob._key)
    with pytest.raises(Alert, match="There is no object"):
        blob.read(0, 5)


def test_reading_ends_with_the_object(put: Any) -> None:
    blob = put(b"0123456789")
    assert (blob.read(7, 10), blob.read(10, 5), blob.read(99, 5)) == (b"789", b"", b"")


def test_a_store_that_does_not_answer_is_transient(client: Any) -> None:
    import boto3
    from botocore.config import Config

    config = Config(retries={"max_attempts": 0}, connect_timeout=1)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    silent = boto3.session.Session().client("s3", endpoint_url="http://127.0.0.1:9", config=config, **keys)
    with pytest.raises(Transient, match="does not answer"):
        ObjectBlob(silent, BUCKET, "key", "etag", 10, "s3://it").read(0, 5)
    silent.close()
