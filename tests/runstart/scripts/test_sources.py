from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from dulwich import porcelain
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from runstart.errors import Alert, Transient
from runstart.instruments.script import Script
from runstart.scripts import fetch
from runstart.scripts.sources import MOST_BYTES

TOKEN = "s3cret-t0ken"  # noqa: S105 - of these tests
VARIABLE = "TOKEN"
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def serving(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _ThreadedServer(ThreadingMixIn, WSGIServer):
    daemon_threads = False


@contextmanager
def serving_git(folder: Path, password: str | None) -> Iterator[str]:
    git = make_wsgi_chain(DictBackend({"/scripts.git": porcelain.open_repo(str(folder))}))

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[2]
        if password is not None and base64.b64decode(given).decode().partition(":")[2] != password:
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b""]
        return git(environ, start_response)

    server = make_server("127.0.0.1", 0, application, _ThreadedServer, _QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/scripts.git"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A repository with `SANS/reduce.py`: "one" at tag v1, "two" on main; and the first commit."""
    folder = tmp_path / "scripts"
    (folder / "SANS").mkdir(parents=True)
    who = {"author": b"A <a@b>", "committer": b"A <a@b>"}
    with porcelain.init(str(folder)) as made:
        made.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
    script = folder / "SANS" / "reduce.py"
    script.write_text("one")
    porcelain.add(str(folder), [str(script)])
    first = porcelain.commit(str(folder), message=b"one", **who)
    porcelain.tag_create(str(folder), b"v1", author=b"A <a@b>", message=b"first", annotated=True)
    script.write_text("two")
    porcelain.add(str(folder), [str(script)])
    porcelain.commit(str(folder), message=b"two", **who)
    return folder, first.decode()


def with_token(url: str) -> Script:
    return Script(url=url, token_variable=VARIABLE)


def git_script(address: str, ref: str = "main", **fields: Any) -> Script:
    return Script(git=address, ref=ref, file="SANS/reduce.py", **fields)


def test_folder_gives_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "reduce.py").write_bytes(b"x = 1\r\n")
    fetched = fetch(Script(folder=str(tmp_path)), {})

    assert fetched.text == b"x = 1\r\n"
    assert len(fetched.sha256) == 64
    assert fetched.origin == str(tmp_path / "reduce.py")


def test_link_inside_the_folder_is_followed_and_one_out_of_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "v2.py").write_text("inside")
    (tmp_path / "outside.py").write_text("outside")
    (folder / "reduce.py").symlink_to("v2.py")
    (folder / "out.py").symlink_to(tmp_path / "outside.py")

    assert fetch(Script(folder=str(folder)), {}).text == b"inside"
    with pytest.raises(Alert, match="outside its folder"):
        fetch(Script(folder=str(folder), file="out.py"), {})


def test_missing_folder_file_and_wrong_kind_are_alerts(tmp_path: Path) -> None:
    (tmp_path / "reduce.py").mkdir()
    for script in (
        Script(folder=str(tmp_path / "none")),
        Script(folder=str(tmp_path), file="none.py"),
        Script(folder=str(tmp_path)),
    ):
        with pytest.raises(Alert):
            fetch(script, {})


def test_script_that_is_too_long_is_an_alert(tmp_path: Path) -> None:
    (tmp_path / "reduce.py").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(Alert, match="longer than 1,000,000"):
        fetch(Script(folder=str(tmp_path)), {})


def test_token_variable_that_is_not_set_is_an_alert_that_names_it() -> None:
    with pytest.raises(Alert, match="TOKEN"):
        fetch(with_token("https://host.invalid/reduce.py"), {"TOKEN": " "})


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_git_gives_branch_tag_and_commit(repository: tuple[Path, str], scheme: str) -> None:
    folder, first = repository
    texts = [fetch(git_script(f"{scheme}{folder}", ref), {}).text for ref in ("main", "v1", first, "refs/tags/v1")]

    assert texts == [b"two", b"one", b"one", b"one"]


def test_git_follows_a_branch(repository: tuple[Path, str]) -> None:
    folder, _ = repository
    before = fetch(git_script(str(folder)), {})
    (folder / "SANS" / "reduce.py").write_text("three")
    porcelain.add(str(folder), [str(folder / "SANS" / "reduce.py")])
    porcelain.commit(str(folder), message=b"three", author=b"A <a@b>", committer=b"A <a@b>")

    assert (before.text, fetch(git_script(str(folder)), {}).text) == (b"two", b"three")


def test_git_mistakes_are_alerts(repository: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = repository
    for script, text in (
        (git_script(str(folder), "nowhere"), "no branch or tag 'nowhere'"),
        (git_script(str(folder), "0" * 40), "no commit"),
        (Script(git=str(folder), file="none.py"), "no file 'none.py'"),
        (Script(git=str(folder), file="SANS"), "is no file"),
        (git_script(str(tmp_path)), "no git repository"),
    ):
        with pytest.raises(Alert, match=text):
            fetch(script, {})


def test_git_over_http_sends_the_token_as_password(repository: tuple[Path, str]) -> None:
    with serving_git(repository[0], TOKEN) as address:
        script = git_script(address, token_variable=VARIABLE)

        assert fetch(script, {VARIABLE: TOKEN}).text == b"two"
        for refused, environ in ((git_script(address), {}), (script, {VARIABLE: "wrong-t0ken"})):
            with pytest.raises(Alert, match="refuses access") as caught:
                fetch(refused, environ)
            assert "wrong-t0ken" not in str(caught.value)


def test_git_server_that_is_away_is_transient_and_secrets_stay_out_of_its_text(free_port: int) -> None:
    script = git_script(f"http://user:{TOKEN}@127.0.0.1:{free_port}/scripts.git?key={TOKEN}")
    with pytest.raises(Transient) as caught:
        fetch(script, {})

    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


@contextmanager
def git_daemon(repository: Path, port: int, *, filters: bool) -> Iterator[str]:
    """Serve a repository as git's own server does."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git program")
    allow = ["config", "uploadpack.allowFilter", str(filters).lower()]
    subprocess.run([git, "-C", str(repository), *allow], check=True)
    place = ["--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={repository.parent}"]
    with subprocess.Popen(
        [git, "daemon", "--reuseaddr", *place], stderr=subprocess.DEVNULL, process_group=0
    ) as served:
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"git://127.0.0.1:{port}/{repository.name}"
        finally:
            os.killpg(served.pid, signal.SIGKILL)


def add_file(repository: Path, name: str, length: int) -> None:
    path = repository / "SANS" / name
    path.write_bytes(os.urandom(length))
    porcelain.add(str(repository), [str(path)])
    porcelain.commit(str(repository), message=b"more", author=b"A <a@b>", committer=b"A <a@b>")


def test_git_server_leaves_out_what_is_longer_than_a_script(
    repository: tuple[Path, str], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.scripts._git._MOST_PACK_BYTES", 1_100_000)
    add_file(repository[0], "data.bin", MOST_BYTES + 1)
    add_file(repository[0], "longest.py", MOST_BYTES)
    with git_daemon(repository[0], free_port, filters=True) as address:
        assert fetch(git_script(address), {}).text == b"two"
        assert len(fetch(Script(git=address, file="SANS/longest.py"), {}).text) == MOST_BYTES
        with pytest.raises(Alert, match="longer than 1,000,000"):
            fetch(Script(git=address, file="SANS/data.bin"), {})


def test_git_server_that_leaves_out_nothing_is_taken_from_up_to_a_limit(
    repository: tuple[Path, str], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(repository[0], "data.bin", 2_000_000)
    with git_daemon(repository[0], free_port, filters=False) as address:
        assert fetch(git_script(address), {}).text == b"two"
        monkeypatch.setattr("runstart.scripts._git._MOST_PACK_BYTES", 1_000_000)
        add_file(repository[0], "more.bin", 10)
        with pytest.raises(Alert, match="has more than 1 MB beside the script"):
            fetch(git_script(address), {})


def test_url_gives_text_and_json_strings() -> None:
    def answer(path: str, _headers: dict[str, str]) -> Answer:
        if path == "/json":
            return 200, {"content-type": "application/json; charset=utf-8"}, json.dumps('print("é")\n').encode()
        return 200, {"content-type": "text/plain"}, b'"as it is"'

    with serving(answer) as base:
        assert fetch(Script(url=f"{base}/plain"), {}).text == b'"as it is"'
        assert fetch(Script(url=f"{base}/json"), {}).text == 'print("é")\n'.encode()


def test_json_that_is_no_string_is_an_alert() -> None:
    body = (200, {"content-type": "application/json"}, b'{"a": 1}')
    with serving(lambda *_: body) as base, pytest.raises(Alert, match="not one string"):
        fetch(Script(url=base), {})


def test_token_goes_to_its_server_and_not_across_to_another() -> None:
    seen: list[tuple[str, str | None]] = []

    def target(path: str, headers: dict[str, str]) -> Answer:
        seen.append((path, headers.get("authorization")))
        return 200, {}, b"text"

    with serving(target) as other:

        def source(path: str, headers: dict[str, str]) -> Answer:
            seen.append((path, headers.get("authorization")))
            return (302, {"location": "/b"}, b"") if path == "/a" else (302, {"location": f"{other}/c"}, b"")

        with serving(source) as base:
            fetch(with_token(f"{base}/a"), {VARIABLE: TOKEN})

    assert seen == [("/a", f"Bearer {TOKEN}"), ("/b", f"Bearer {TOKEN}"), ("/c", None)]


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Alert), (403, Alert), (404, Alert), (418, Alert), (429, Transient), (503, Transient)],
)
def test_refusals_are_alerts_and_troubles_are_transient(status: int, error: type[Exception]) -> None:
    with serving(lambda *_: (status, {}, b"")) as base, pytest.raises(error, match=str(status)) as caught:
        fetch(with_token(f"{base}/reduce.py?key={TOKEN}"), {VARIABLE: TOKEN})

    assert TOKEN not in str(caught.value)


def test_body_without_end_is_given_up() -> None:
    with serving(lambda *_: (200, {}, b"#" * 20_000_000)) as base, pytest.raises(Alert, match="longer"):
        fetch(Script(url=base), {})


def test_redirects_without_end_and_to_files_are_alerts() -> None:
    with serving(lambda *_: (302, {"location": "/again"}, b"")) as base, pytest.raises(Alert, match="without end"):
        fetch(Script(url=base), {})
    with (
        serving(lambda *_: (302, {"location": "file:///etc/passwd"}, b"")) as base,
        pytest.raises(Alert, match="HTTP"),
    ):
        fetch(Script(url=base), {})


def test_server_that_is_away_is_transient(free_port: int) -> None:
    with pytest.raises(Transient, match="does not answer"):
        fetch(Script(url=f"http://127.0.0.1:{free_port}/reduce.py"), {})


@pytest.fixture
def free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])
