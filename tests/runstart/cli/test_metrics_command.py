from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from live_status_kit import make_status, put_status
from typer.testing import CliRunner

from runstart.cli.metrics import metrics_command
from runstart.errors import Alert
from runstart.storage import FileStore

if TYPE_CHECKING:
    from runstart.facility import S3Server
    from runstart.storage import S3Store

CODE = "import typer; from runstart.cli.metrics import metrics_command; typer.run(metrics_command)"


def test_help_has_examples() -> None:
    app = typer.Typer()
    app.command()(metrics_command)
    assert CliRunner().invoke(app, ["--help"]).stdout.count("runstart metrics") >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_metrics_are_served_until_a_signal(tmp_path: Path, number: int) -> None:
    put_status(FileStore(tmp_path), make_status())
    with serving(f"file:{tmp_path}", {}) as (process, address):
        text = read(address)
        assert 'runstart_live_run_events_in_views_total{instrument="SANS",run="run1"} 1000.0' in text
        process.send_signal(number)
        assert process.wait() == 0


def test_an_address_of_no_store_is_told() -> None:
    with pytest.raises(Alert, match="does not name an object store"):
        metrics_command(object_store="ftp:x", port=0, address="127.0.0.1")


@pytest.mark.store
@pytest.mark.real
def test_metrics_of_a_store_in_s3_are_served(s3_server: S3Server, s3_store: S3Store) -> None:
    put_status(s3_store, make_status())
    with serving(f"s3://{s3_store.bucket}/{s3_store.prefix}", s3_server.environment) as (process, address):
        assert 'runstart_live_runs{instrument="SANS"} 1.0' in read(address)
        process.terminate()
        assert process.wait() == 0


@contextmanager
def serving(store: str, environ: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "--port", "0"],
        env=os.environ | {"RUNSTART_OBJECT_STORE": store, "PYTHONUNBUFFERED": "1"} | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/metrics", process.stdout.readline())
        assert address is not None
        yield process, address[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def read(address: str) -> str:
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own address
        text: str = answer.read().decode()
        return text
