"""The real S3 server of the tests."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from runstart.facility import S3Server

pytestmark = pytest.mark.store


@pytest.mark.faults
def test_a_killed_server_comes_back_with_address_keys_and_data(tmp_path: Path) -> None:
    with S3Server(tmp_path) as server, closing(server.client()) as client:
        server.create_bucket("bucket")
        client.put_object(Bucket="bucket", Key="a/b", Body=b"1")
        server.kill()
        server.start()
        assert client.get_object(Bucket="bucket", Key="a/b")["Body"].read() == b"1"


def test_the_environment_leads_a_process_to_the_server(s3_server: S3Server) -> None:
    script = "import boto3; print([b['Name'] for b in boto3.client('s3').list_buckets()['Buckets']])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=s3_server.environment, capture_output=True, text=True, check=True
    )
    assert "runstart-tests" in done.stdout
