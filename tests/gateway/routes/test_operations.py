"""Data operations over HTTP; the runs that a test lets happen are computed as Dagster's step computes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jsonschema
import numpy as np
import pytest
from data_operation_kit import SOURCE, Bench
from facility_gateway import open_facility
from gateway_kit import FakeDagster, bearer

from gateway.tokens import Scope
from runstart.errors import Alert
from runstart.operation_kit import Silent, execute, find_operation
from runstart.operation_kit.following import following

NAMES = ("a.fits", "b.fits", "c.fits")


class House:
    """A gateway with one user's session in it."""

    def __init__(self, client: httpx.Client, bench: Bench, dagster: FakeDagster) -> None:
        self.client, self.bench, self.dagster = client, bench, dagster
        answer = client.post("/api/datasessions/", json={"name": "M51"})
        assert answer.status_code == 201, answer.text
        self.session = f"/api/datasessions/{answer.json()['id']}/"

    def ask(self, *names: str, operation: str = "Median", status: int = 201, **more: Any) -> dict[str, Any]:
        files = [{"source": SOURCE, "basename": name} for name in names]
        body = {"name": operation, "input_data": {"input_files": files, **more}}
        answer = self.client.post(f"{self.session}operations/", json=body)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def look(self, operation: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.get(f"{self.session}operations/{operation['id']}/")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def compute(self, status: str = "SUCCESS") -> None:
        """Let the newest run happen."""
        run = self.dagster.runs[-1]
        run["status"] = "STARTED"
        store = self.bench.store
        with contextlib.suppress(Alert), following(store, run["runId"]) as follower:
            answer = execute(find_operation(run["jobName"]), run["config"], self.bench.workplace, Silent())
            follower.complete(answer.entry.key)
        run["status"] = status


@contextlib.contextmanager
def open_house(root: Path, **token: Any) -> Iterator[House]:
    bench, dagster = Bench.make(root), FakeDagster()
    for number, name in enumerate(NAMES):
        bench.put(name, np.full((8, 9), float(number), np.float32))
    headers = bearer(bench.store, Scope.LAUNCH, **token)
    with open_facility(bench.store, dagster, headers, open_reading=False) as client:
        yield House(client, bench, dagster)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as opened:
        yield opened


def test_every_operation_is_described_for_a_wizard_and_by_a_schema(house: House) -> None:
    told = house.client.get("/api/available_operations/").json()
    assert {"Median", "Stacking", "Color Image", "Normalization"} <= set(told)
    median = told["Median"]
    assert (median["name"], median["category"]) == ("Median", "image")
    files = median["inputs"]["input_files"]
    assert (files["type"], files["minimum"], files["maximum"]) == ("fits", 2, 999)
    for each in told.values():
        jsonschema.Draft202012Validator.check_schema(each["json_schema"])


def test_an_operation_goes_from_its_request_to_its_files(house: House) -> None:
    asked = house.ask("a.fits", "b.fits", "c.fits")
    assert (asked["name"], asked["status"], asked["output"]) == ("Median", "PENDING", {})
    (run,) = house.dagster.runs
    assert (run["jobName"], len(run["config"]["input_files"])) == ("median", 3)
    house.compute()
    done = house.look(asked)
    assert (done["status"], done["operation_progress"], done["message"]) == ("COMPLETED", 1, "")
    (output,) = done["output"]["output_files"]
    assert (output["type"], output["source"]) == ("fits", "store")
    for what, begin in (("fits", b"SIMPLE"), ("large", b"\xff\xd8"), ("small", b"\xff\xd8"), ("tif", b"II*")):
        answer = httpx.get(str(house.client.base_url) + output[f"{what}_url"], trust_env=False)
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(begin), "by its link alone, without a token"


def test_the_same_request_twice_is_the_same_operation_in_any_order_of_its_files(house: House) -> None:
    first = house.ask("a.fits", "b.fits", "c.fits")
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: house.ask("c.fits", "a.fits", "b.fits"), range(4)))
    assert {other["id"] for other in others} == {first["id"]}
    assert len(house.dagster.runs) == 1
    assert house.ask("a.fits", "b.fits")["id"] != first["id"]
    assert len(house.client.get(f"{house.session}operations/").json()) == 2


def test_a_message_of_progress_is_told_while_it_computes(house: House) -> None:
    asked = house.ask("a.fits", "b.fits")
    run = house.dagster.runs[-1]
    run["status"] = "STARTED"
    told, go_on = threading.Event(), threading.Event()

    def compute() -> None:
        with following(house.bench.store, run["runId"]):
            told.set()
            go_on.wait(30)

    worker = threading.Thread(target=compute)
    worker.start()
    told.wait(30)
    told_now = house.look(asked)
    go_on.set()
    worker.join()
    assert (told_now["status"], told_now["message"]) == ("IN_PROGRESS", "Begun")


def test_one_that_has_failed_says_why_and_starts_again_when_it_is_asked_again(house: House) -> None:
    (house.bench.folder / "b.fits").write_bytes(b"no FITS")
    asked = house.ask("a.fits", "b.fits")
    house.compute("FAILURE")
    failed = house.look(asked)
    assert failed["status"] == "FAILED"
    assert "b.fits" in failed["message"]
    again = house.ask("a.fits", "b.fits")
    assert (again["id"], again["status"]) == (asked["id"], "PENDING")
    assert len(house.dagster.runs) == 2
    house.bench.put("b.fits", np.ones((8, 9), np.float32))
    house.compute()
    assert house.look(asked)["status"] == "COMPLETED"


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED"])
def test_a_run_that_was_killed_without_a_word_has_failed(house: House, status: str) -> None:
    asked = house.ask("a.fits", "b.fits")
    house.dagster.runs[-1]["status"] = status
    told = house.look(asked)
    assert (told["status"], told["message"]) == (
        "FAILED",
        "The operation was stopped, or its process was killed. Ask for it again.",
    )


def test_a_run_that_was_pruned_with_its_note_is_said_to_be_forgotten_and_started_anew_on_request(
    house: House,
) -> None:
    asked = house.ask("a.fits", "b.fits")
    house.compute()
    house.bench.store.delete(f"operation_runs/{asked['run_id']}.json")
    house.dagster.runs.clear()
    told = house.look(asked)
    assert (told["status"], "knows its run no longer" in told["message"]) == ("FAILED", True)
    house.ask("a.fits", "b.fits")
    house.compute()
    assert house.look(asked)["status"] == "COMPLETED"


def test_an_operation_kept_by_a_gateway_that_was_killed_before_the_launch_is_launched_when_it_is_looked_at(
    house: House,
) -> None:
    house.dagster.is_away = True
    answer = house.client.post(
        f"{house.session}operations/",
        json={"name": "Median", "input_data": {"input_files": [f"{SOURCE}/a.fits", f"{SOURCE}/b.fits"]}},
    )
    assert answer.status_code == 503
    house.dagster.is_away = False
    (kept,) = house.client.get(f"{house.session}operations/").json()
    assert (kept["status"], kept["run_id"]) == ("PENDING", "")
    assert house.look(kept)["run_id"] == house.dagster.runs[0]["runId"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"name": "Meddian", "input_data": {}}, "Did you mean 'Median'?"),
        ({"name": "Median", "input_data": {}}, "Median needs the input 'input_files'"),
        ({"name": "Median", "input_data": {"input_files": ["night/a.fits"]}}, "input_files"),
        ({"name": "Median", "input_data": {"input_files": ["night/../../x", "night/b"]}}, "input_files[0]"),
        ({"name": "Median", "input_data": {"input_files": ["night/a", "night/b"], "x": 1}}, "has no input 'x'"),
        ({"name": "Median"}, "input_data"),
        ([], "body"),
    ],
)
def test_what_is_not_acceptable_is_refused_with_the_reason(house: House, body: Any, text: str) -> None:
    answer = house.client.post(f"{house.session}operations/", json=body)
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert house.dagster.runs == []
    assert house.client.get(f"{house.session}operations/").json() == []


def test_a_link_opens_one_file_and_nothing_else(house: House) -> None:
    asked = house.ask("a.fits", "b.fits")
    house.compute()
    (output,) = house.look(asked)["output"]["output_files"]
    link = urlsplit(output["fits_url"])
    query = {name: values[0] for name, values in parse_qs(link.query).items()}

    def follow(path: str = link.path, **changes: Any) -> int:
        return house.client.get(path, params={**query, **changes}).status_code

    assert follow() == 200
    assert follow(link.path.replace("/fits", "/tif")) == 403
    assert follow(expires=int(query["expires"]) + 1) == 403
    assert follow(signature="0" * 64) == 403
    assert follow(f"/api/outputs/{'0' * 64}/0/fits") == 403
    assert house.client.get(link.path).status_code == 400
    house.bench.store.delete("gateway/link_key")
    assert follow() == 403


def test_outputs_that_were_pruned_are_said_to_be_gone_and_made_anew_on_request(house: House) -> None:
    from runstart.operation_kit import list_kept, remove

    asked = house.ask("a.fits", "b.fits")
    house.compute()
    (output,) = house.look(asked)["output"]["output_files"]
    for kept in list(list_kept(house.bench.store)):
        remove(house.bench.store, kept.key)
    assert house.client.get(output["fits_url"]).status_code == 404
    gone = house.look(asked)
    assert (gone["status"], "removed" in gone["message"]) == ("FAILED", True)
    assert house.ask("a.fits", "b.fits")["status"] == "PENDING"
    house.compute()
    assert house.look(asked)["status"] == "COMPLETED"


def test_an_output_is_an_input_of_the_next_operation(house: House) -> None:
    asked = house.ask("a.fits", "b.fits", "c.fits")
    house.compute()
    (output,) = house.look(asked)["output"]["output_files"]
    body = {
        "name": "Normalization",
        "input_data": {"input_files": [{"source": "store", "basename": output["basename"]}]},
    }
    answer = house.client.post(f"{house.session}operations/", json=body)
    assert answer.status_code == 201
    house.compute()
    assert house.look(answer.json())["status"] == "COMPLETED"


def test_a_result_is_told_only_to_those_who_may_read_its_inputs(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        asked = house.ask("a.fits", "b.fits")
        house.compute()
        (output,) = house.look(asked)["output"]["output_files"]
        store = house.bench.store
        few = bearer(store, Scope.LAUNCH, reads=(f"exposure/{SOURCE}/a.fits",))
        both = bearer(store, Scope.LAUNCH, reads=(f"exposure/{SOURCE}/[ab].fits",))
        path = f"{house.session}operations/"
        asks = {"name": "Median", "input_data": {"input_files": [f"{SOURCE}/a.fits", f"{SOURCE}/b.fits"]}}
        reuse = {"name": "Normalization", "input_data": {"input_files": [f"store/{output['basename']}"]}}
        with_few = {"headers": few}
        assert house.client.post(path, json=asks, **with_few).status_code == 404
        assert house.client.post(path, json=reuse, **with_few).status_code == 404
        withheld = house.client.get(f"{path}{asked['id']}/", **with_few).json()
        assert (withheld["status"], withheld["output"]) == ("FAILED", {})
        assert "may not read" in withheld["message"]
        assert house.client.post(path, json=reuse, headers=both).status_code == 201
        assert house.client.get(f"{path}{asked['id']}/", headers=both).json()["status"] == "COMPLETED"


def test_operations_are_removed_by_their_user_alone(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        asked = [house.ask(*names) for names in (NAMES, NAMES[:2], NAMES[1:])]
        ids = [each["id"] for each in asked]
        store = house.bench.store
        from gateway.tokens import TokenBook

        text, _ = TokenBook(store).new("another", Scope.LAUNCH)
        other = {"Authorization": f"Bearer {text}"}
        path = f"{house.session}operations/"
        for answer in (
            house.client.get(path, headers=other),
            house.client.get(f"{path}{ids[0]}/", headers=other),
            house.client.delete(f"{path}{ids[0]}/", headers=other),
            house.client.post(f"{path}bulk_delete/", json={"ids": ids}, headers=other),
        ):
            assert answer.status_code == 404
        mine = house.client.post("/api/datasessions/", json={"name": "other's"}, headers=other).json()["id"]
        answer = house.client.post(
            f"/api/datasessions/{mine}/operations/bulk_delete/", json={"ids": ids}, headers=other
        )
        assert answer.json() == {"deleted": 0}
        assert len(house.client.get(path).json()) == 3
        answer = house.client.post(f"{path}bulk_delete/", json={"ids": [*ids[:2], 17, ids[0]]})
        assert answer.json() == {"deleted": 2}
        assert house.client.delete(f"{path}{ids[2]}/").status_code == 204
        assert house.client.delete(f"{path}{ids[2]}/").status_code == 404
        assert house.client.get(path).json() == []
