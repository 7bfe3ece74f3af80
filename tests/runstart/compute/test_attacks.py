"""Algorithms that attack: what they try fails, their job says so, and others and this machine are as they were."""

from __future__ import annotations

import os
import socket
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from compute_kit import DATA_KEY, Owners, environment, input_of, workflow_payload

from runstart.compute import JobRecord, Status
from runstart.compute.records import RESULTS
from runstart.errors import Alert

SECRET = "what another job has"  # noqa: S105 - it is none


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


def printed(owners: Owners, code: str) -> str:
    record = owners.run(workflow_payload(code))
    assert record.status is Status.FINISHED, record.reason
    return owners.log(record)


def test_it_cannot_read_the_data_the_code_or_the_folders_of_other_jobs(owners: Owners) -> None:
    owners.store.put(DATA_KEY, SECRET.encode())

    def attack(phase: str, other: JobRecord) -> None:
        if phase != "run_algorithm":
            return
        code = f"""
        import os, sys
        secret = {SECRET[::-1]!r}[::-1]
        for top in ({str(owners.place)!r}, os.path.dirname(os.environ["VOLUME"]), "/root", "/home"):
            for folder, folders, files in os.walk(top):
                # Python's own files may be read, and are many.
                folders[:] = [each for each in folders if os.path.join(folder, each) not in (sys.prefix, sys.base_prefix)]
                for name in files:
                    try:
                        if secret in open(os.path.join(folder, name), errors="replace").read():
                            print("stolen from", folder, name)
                    except OSError:
                        continue
        print("looked at", os.listdir(os.path.dirname(os.environ["VOLUME"])))
        """
        seen = printed(owners, code)
        assert "looked at" in seen
        assert "stolen" not in seen
        assert other.job_id not in seen

    record = owners.run(workflow_payload(input=[input_of(f"store:{DATA_KEY}")]), attack)
    assert record.status is Status.FINISHED


def test_it_sees_nothing_of_our_environment(owners: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    code = """
    import glob, os
    print(dict(os.environ))
    for path in glob.glob("/proc/*/environ"):
        try:
            print(open(path).read())
        except OSError as error:
            print(type(error).__name__)
    print("looked")
    """
    seen = printed(owners, code)
    assert "looked" in seen
    assert SECRET not in seen
    assert "AWS" not in seen


def test_it_opens_no_connection_to_this_machine_or_any_other(owners: Owners) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
        import socket
        for address in (("127.0.0.1", {server.getsockname()[1]}), ("169.254.169.254", 80), ("1.1.1.1", 53)):
            try:
                socket.create_connection(address, 2)
                print("open", address)
            except OSError as error:
                print("closed", type(error).__name__)
        print("tried")
        """
        seen = printed(owners, code)
    assert "tried" in seen
    assert "open" not in seen


def test_its_inputs_and_its_own_code_cannot_be_changed(owners: Owners) -> None:
    owners.store.put(DATA_KEY, b"data")
    code = """
    import os
    for path in (os.environ["ALGO"], os.environ["INPUTS"] + "/" + "a" * 64 + "/0", os.environ["INPUTS"] + "/new"):
        try:
            open(path, "w").write("changed")
            print("changed", path)
        except OSError as error:
            print("refused")
    """
    record = owners.run(workflow_payload(code, input=[input_of(f"store:{DATA_KEY}")]))
    assert owners.log(record) == 3 * "refused\n"


def test_forks_without_end_end_with_their_job(owners: Owners) -> None:
    owners.environment = environment(processes=30)
    record = owners.run(workflow_payload("import os\nwhile True: os.fork()"))
    assert record.status is Status.ALGORITHM_FAILED
    assert owners.left_on_machine(record) == []


def test_ten_gigabytes_of_output_never_reach_the_disk(owners: Owners) -> None:
    owners.environment = environment(disk_gb=0.02)
    for code in (
        "import os\nwith open(os.environ['OUTPUTS'] + '/x', 'wb') as f:\n    f.truncate(10_000_000_000)",
        "import os\nfor n in range(1000): open(os.environ['OUTPUTS'] + f'/{n}', 'wb').write(os.urandom(10_000_000))",
    ):
        sizes: list[int] = []
        record = owners.order(workflow_payload(code))
        over = threading.Event()
        watcher = threading.Thread(target=_measure, args=(owners.root, sizes, over))
        watcher.start()
        owners.carry_out(record)
        over.set()
        watcher.join()
        ended = owners.read(record)
        assert ended.status is Status.ALGORITHM_FAILED
        assert max(sizes, default=0) < 4_000_000_000
        assert [each.type for each in ended.results if each.type == "output"] == []
        assert owners.left_on_machine(record) == []


def test_a_zip_bomb_is_a_small_file_to_us_and_unpacked_only_within_the_algorithms_own_room(owners: Owners) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(200_000_000))
    owners.store.put(DATA_KEY, packed.getvalue())
    owners.environment = environment(disk_gb=0.02)
    code = """
    import os, zipfile
    zipfile.ZipFile(os.environ["INPUTS"] + "/" + "a" * 64 + "/0").extractall(os.environ["OUTPUTS"])
    """
    record = owners.run(workflow_payload(code, input=[input_of(f"store:{DATA_KEY}")]))
    assert record.status is Status.ALGORITHM_FAILED
    assert owners.left_on_machine(record) == []


def test_links_that_lead_out_of_its_folders_are_never_followed(owners: Owners) -> None:
    outside = owners.place / "outside.txt"
    outside.write_text(SECRET)
    code = f"""
    import os
    for folder in (os.environ["OUTPUTS"], os.environ["LOGS"]):
        os.symlink({str(outside)!r}, folder + "/link.txt")
        os.symlink("/etc", folder + "/etc")
        os.mkfifo(folder + "/pipe")
    os.symlink({str(outside)!r}, os.environ["LOGS"] + "/algorithm.log")
    """
    record = owners.run(workflow_payload(code))
    assert record.status is Status.FINISHED
    assert outside.read_text() == SECRET
    assert not any(SECRET.encode() in data for data in owners.results(record).values())
    told = owners.results(record)["publish.log"].decode()
    assert "outputs/link.txt is no plain file: not published." in told
    assert owners.left_on_machine(record) == []


def test_names_of_results_never_become_paths_or_more_than_one_line(owners: Owners) -> None:
    code = r"""
    import os
    for number, name in enumerate([b"..\\..\\x", b"a\nb", b"\xff\xfe", b"%2e%2e%2f", b"..\xe2\x80\xae", b" ", b"..."]):
        open(os.environ["OUTPUTS"].encode() + b"/" + name, "w").write(str(number))
    """
    record = owners.run(workflow_payload(code))
    assert record.status is Status.FINISHED
    outputs = [each for each in record.results if each.type == "output"]
    assert len(outputs) == 7
    for each in outputs:
        assert each.filename.isprintable()
        assert each.key.startswith(f"{RESULTS}/{record.job_id}/{each.index}/")
        assert each.key.count("/") == 4
    assert {owners.store.get(each.key).data for each in outputs} == {str(number).encode() for number in range(7)}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "did:op:../x", "a/b", ".", "..", "", "did:op:", "a\0b", "x" * 200, "did:op:a\n"]
)
def test_identifiers_that_would_be_paths_are_refused(name: str) -> None:
    from runstart.compute import read_workflow

    with pytest.raises(Alert, match=r"workflow.stages.0.input.0.id"):
        read_workflow(workflow_payload(input=[input_of("store:results/x", id=name)]))


@pytest.mark.parametrize(
    "address",
    [
        "store:../etc/passwd",
        "store:results/../compute/jobs/x.json",
        "store:compute/jobs/x.json",
        "store:gateway/tokens/x.json",
        "store:secrets/x",
        "operation:x",
    ],
)
def test_what_the_data_owner_has_not_opened_is_refused_before_the_job_is_taken_or_fails_it(
    owners: Owners, address: str
) -> None:
    owners.environment = environment(input_prefixes=("results/",))
    try:
        record = owners.run(workflow_payload(input=[input_of(address)]))
    except Alert:
        assert owners.book.open_ids() == []
    else:
        assert record.status is Status.DATA_PROVISIONING_FAILED


def test_not_even_a_data_owner_can_open_the_records_of_jobs_and_of_the_gateway(owners: Owners) -> None:
    owners.environment = environment(input_prefixes=("c", "g"))
    for address in ("store:compute/jobs/x.json", "store:gateway/tokens/x.json"):
        with pytest.raises(Alert, match="is not among the data"):
            owners.order(workflow_payload(input=[input_of(address)]))


def _measure(root: Path, sizes: list[int], over: threading.Event) -> None:
    while not over.wait(0.02):
        used = 0
        for folder, _, files in os.walk(root):
            for name in files:
                try:
                    used += Path(folder, name).lstat().st_blocks * 512
                except OSError:
                    continue
        sizes.append(used)
