"""No address or path of a client makes the gateway itself ask anybody: what is fetched, runs fetch, and check first."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_kit import make_order, make_workflow
from lived_in_gateway import COMPUTE, LivedIn, open_lived_in


@pytest.fixture
def lived_in(tmp_path: Path) -> Iterator[LivedIn]:
    with open_lived_in(tmp_path) as opened:
        yield opened


@pytest.fixture
def inside() -> Iterator[socket.socket]:
    """A server that only this machine can reach, and that nobody may ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        yield server


def test_addresses_of_clients_are_asked_by_nobody_here(lived_in: LivedIn, inside: socket.socket) -> None:
    address = f"http://127.0.0.1:{inside.getsockname()[1]}/latest/meta-data"
    known, client = lived_in.known_of("/api/datasessions/"), lived_in.client
    operations = f"/api/datasessions/{known['session_id']}/operations/"
    refused = [
        client.post("/api/analysis/wcs/", json={"source": "archive", "basename": address}),
        client.post("/api/analysis/wcs/", json={"source": address, "basename": "x"}),
        client.post("/api/analysis/wcs/", json={"source": "store", "basename": "x", "uri": address}),
        client.post(operations, json={"name": "Median", "input_data": {"input_files": [address]}}),
    ]
    assert {answer.status_code for answer in refused} == {400}, [answer.text for answer in refused]
    source = [{"id": "did:op:data", "url": [address], "index": 0}]
    order = make_order(lived_in.wallet, workflow=make_workflow(input=source))
    assert client.post(COMPUTE, json=order).status_code in {200, 400}
    headers = {"Host": address.split("/")[2], "X-Forwarded-Host": address.split("/")[2], "Referer": address}
    assert client.get("/", headers=headers).status_code == 200
    with pytest.raises(TimeoutError):
        inside.accept()


def test_paths_of_clients_lead_nowhere(lived_in: LivedIn) -> None:
    run = lived_in.known_of("/api/instruments/")["run"]
    for path in (
        "/etc/passwd",
        "../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "file:///etc/passwd",
    ):
        addresses = [
            f"/page/{path}",
            f"/api/scans/SIMSTEM/{path}",
            f"/api/scans/SIMSTEM/scan_0001.frames/pictures/{path}",
            f"/api/instruments/SIMSANS/runs/{path}",
            f"/api/instruments/SIMSANS/runs/{run}/pictures/{path}",
            f"/api/nights/SIMOBS/{path}",
            f"/api/nights/SIMOBS/2026-03-28/{path}/0/large.jpg",
            f"/api/pipelines/{path}/sessions",
            f"/api/outputs/{path}/0/fits?expires=1&signature=" + "0" * 64,
        ]
        answers = [lived_in.client.get(address) for address in addresses]
        answers.append(lived_in.client.post("/api/analysis/get-jpg/", json={"source": "night", "basename": path}))
        for answer in answers:
            assert answer.status_code in {400, 404}, (answer.url, answer.text)
            assert "root:" not in answer.text
