"""The real PostgreSQL of the cluster's tests, and Dagster's storage on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from waiting import wait_until

from runstart.facility import PostgresServer, accepts_connections
from runstart.facility.install import find_in_system
from runstart.facility.postgres import install_postgresql

pytestmark = pytest.mark.real

START = """
import sys, time
from pathlib import Path
from runstart.facility import PostgresServer
server = PostgresServer(Path(sys.argv[1]))
server.start()
print(server.port, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    install_postgresql()
    with PostgresServer(tmp_path / "of the superuser alone") as started:
        yield started


def shared_memory() -> list[str]:
    """Return the segments that a server of ours has left on this machine."""
    listed = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[2:3] == ["nobody"]]


def kept_in(server: PostgresServer) -> list[tuple[int]]:
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT x FROM kept")
        return cursor.fetchall()


def test_a_killed_server_comes_back_with_its_data_and_only_for_who_knows_the_password(
    server: PostgresServer,
) -> None:
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS x")
        connection.commit()
    server.kill()
    server.start()
    assert kept_in(server) == [(7,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url.replace(server.password, "guessed"))
    server.kill()
    assert shared_memory() == []


def test_another_server_of_the_same_folder_has_the_same_data_and_password(server: PostgresServer) -> None:
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 8 AS x")
        connection.commit()
    server.stop()
    with PostgresServer(server.data_dir) as another:
        assert another.password == server.password
        assert kept_in(another) == [(8,)]


def test_what_was_interrupted_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    install_postgresql()
    left = tmp_path / "postgresql" / "partial"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("15\n")
    (left.parent / "password").write_text("of another time")
    with PostgresServer(tmp_path) as server:
        psycopg2.connect(server.url).close()
    assert not left.exists()


def test_it_stops_at_once_though_a_client_is_connected(server: PostgresServer) -> None:
    server.stop_patience = 30
    with closing(psycopg2.connect(server.url)):
        server.stop()
    assert "database system is shut down" in server.log_path.read_text()


def test_it_dies_with_who_started_it(tmp_path: Path) -> None:
    install_postgresql()
    owner = subprocess.Popen([sys.executable, "-c", START, str(tmp_path / "data")], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    port = int(owner.stdout.readline())
    assert accepts_connections(port)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not accepts_connections(port), "the end of the server")


def test_dagster_keeps_its_runs_in_it(server: PostgresServer, tmp_path: Path) -> None:
    import dagster as dg
    from dagster._core.test_utils import instance_for_test

    # As in k8s/base/config/dagster.yaml.
    database = {
        "scheme": "postgresql+psycopg2",
        "hostname": server.host,
        "port": server.port,
        "username": server.username,
        "password": server.password,
        "db_name": server.database,
    }
    storage = {"postgres": {"postgres_db": database}}
    with instance_for_test(temp_dir=str(tmp_path), overrides={"storage": storage}) as instance:

        @dg.job
        def nothing() -> None: ...

        run = nothing.execute_in_process(instance=instance)
        assert instance.get_run_by_id(run.run_id).is_success  # type: ignore[union-attr]
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT run_id FROM runs")
        assert cursor.fetchall() == [(run.run_id,)]


def test_it_is_no_superusers_process(server: PostgresServer) -> None:
    if os.geteuid() != 0:
        pytest.skip("for the superuser only")
    found = subprocess.run([str(find_in_system("pgrep")), "-u", "nobody", "-f", f"port={server.port}"], check=False)
    assert found.returncode == 0
