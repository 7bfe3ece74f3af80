"""The archive's API over real HTTP: what it says, what it refuses, and how it fails."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from archive_kit import TOKEN, FakeArchive, HttpServer, body, hang_up

from runstart.errors import Alert, Transient
from runstart.fits import ArchiveSource, FitsReference, Located

NAME = "lsc1m005-fa15-20260101-0100-e91"
CONTENT = bytes(range(256)) * 40
API = "/api/frames/"
FILE = f"/bucket/{NAME}.fits.fz"


def source_of(archive: FakeArchive, token: str = TOKEN, tries: int = 3) -> ArchiveSource:
    return ArchiveSource("archive", archive.url, token, tries=tries, pause_s=0.0, timeout_s=0.3)


def locate(source: ArchiveSource, name: str = NAME) -> Located:
    return source.locate(FitsReference.parse(f"archive/{name}"))


def test_a_frame_is_found_by_its_basename_and_downloaded(archive: FakeArchive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    source = source_of(archive)
    located = locate(source)
    assert (located.source, located.name) == ("archive", NAME)
    assert located.version.startswith("md5:")
    assert source.local_path(located) is None
    source.download(located, tmp_path / "a.fits")
    assert (tmp_path / "a.fits").read_bytes() == CONTENT
    assert [asked for _, asked, _ in archive.api.requests] == [f"{API}?basename_exact={NAME}"]


def test_the_token_goes_to_the_api_alone_and_into_no_text(archive: FakeArchive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    source = source_of(archive)
    located = locate(source)
    source.download(located, tmp_path / "a.fits")
    assert archive.api.headers(API)[0]["Authorization"] == f"Token {TOKEN}"
    assert all("Authorization" not in headers for headers in archive.files.headers(FILE))
    assert TOKEN not in str(archive.files.requests)
    archive.files.answer(FILE, body(b"", 500))
    archive.api.answer(API, hang_up)
    texts = [repr(source), repr(located), repr(source.__dict__)]
    for failing in (lambda: locate(source), lambda: source.download(located, tmp_path / "a.fits")):
        with pytest.raises(Transient) as caught:
            failing()
        texts.append("".join(traceback.format_exception(caught.value)))
    assert all(TOKEN not in text and "s3cret" not in text for text in texts)


def test_a_redirect_to_another_server_does_not_see_the_token(archive: FakeArchive) -> None:
    archive.add(NAME, CONTENT)
    archive.api.answer(API, body(b"", 302, Location=f"{archive.files.url}/elsewhere"))
    archive.files.answer("/elsewhere", archive.query)
    with pytest.raises(Alert, match="has no file"):
        locate(source_of(archive))
    assert "Authorization" not in archive.files.headers("/elsewhere")[0]


def test_a_file_on_the_apis_own_server_is_downloaded_with_the_token(archive: FakeArchive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    archive.frames[NAME][0]["url"] = f"{archive.api.url}/files/a"
    archive.api.answer("/files/a", body(CONTENT))
    source_of(archive).download(locate(source_of(archive)), tmp_path / "a.fits")
    assert archive.api.headers("/files/a")[0]["Authorization"] == f"Token {TOKEN}"


def test_without_a_token_none_is_sent(archive: FakeArchive) -> None:
    archive.add(NAME, CONTENT)
    with pytest.raises(Alert, match="set the token"):
        locate(source_of(archive, ""))
    assert "Authorization" not in archive.api.headers(API)[0]


@pytest.mark.parametrize(
    ("version_set", "version"),
    [
        ([{"md5": "abc", "key": "k", "id": 1}, {"md5": "old"}], "md5:abc"),
        ([{"key": "k", "id": 1}], "key:k"),
        ([{"id": 1}], "id:1"),
        ([], "url"),
        (None, "url"),
        ("rubbish", "url"),
    ],
)
def test_the_version_is_the_newest_that_the_archive_tells(
    archive: FakeArchive, version_set: object, version: str
) -> None:
    archive.add(NAME, CONTENT)
    archive.frames[NAME][0]["version_set"] = version_set
    located = locate(source_of(archive))
    assert located.version == (f"{archive.files.url}{FILE}" if version == "url" else version)


def test_an_unknown_frame_is_an_alert(archive: FakeArchive) -> None:
    with pytest.raises(Alert, match=f"The archive has no file archive/{NAME}"):
        locate(source_of(archive))
    assert len(archive.api.requests) == 1
    with pytest.raises(Alert, match="not the basename"):
        locate(source_of(archive), "night/a.fits")


@pytest.mark.parametrize(
    "failure", [body(b"", 500), body(b"", 503), body(b"", 429), hang_up, body(b"{", declared=1000)]
)
def test_a_query_that_fails_is_made_again(
    archive: FakeArchive, failure: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    archive.add(NAME, CONTENT)
    archive.api.answer(API, failure, failure, archive.query)
    assert locate(source_of(archive)).name == NAME
    assert len(archive.api.requests) == 3
    archive.api.answer(API, failure)
    with pytest.raises(Transient, match=r"/api/frames/ .*tried 3 times"):
        locate(source_of(archive))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (body(b"", 401), "refuses access"),
        (body(b"", 403), "refuses access"),
        (body(b"", 404), "no such file"),
        (body(b"", 400), "answers 400"),
        (body(b"<html>"), "does not speak the archive's API"),
        (body(b"[]"), "does not speak the archive's API"),
        (body(b'{"results": 5}'), "does not speak the archive's API"),
        (body(b'{"results": [5]}'), "does not say where"),
        (body(b'{"results": [{"url": "file:///etc/passwd"}]}'), "does not say where"),
    ],
)
def test_an_answer_that_time_does_not_mend_is_an_alert_at_once(
    archive: FakeArchive, answer: Callable[[BaseHTTPRequestHandler], None], match: str
) -> None:
    archive.api.answer(API, answer)
    with pytest.raises(Alert, match=match):
        locate(source_of(archive))
    assert len(archive.api.requests) == 1


def test_a_truncated_or_failing_download_is_made_again_from_its_beginning(
    archive: FakeArchive, tmp_path: Path
) -> None:
    archive.add(NAME, CONTENT)
    source = source_of(archive, tries=5)
    located = locate(source)
    truncated = body(CONTENT[:5000], declared=len(CONTENT))
    archive.files.answer(FILE, truncated, body(b"", 502), hang_up, body(CONTENT[:-1] + b"!"), body(CONTENT))
    source.download(located, tmp_path / "a.fits")
    assert (tmp_path / "a.fits").read_bytes() == CONTENT
    assert len(archive.files.requests) == 5
    for failure in (truncated, body(b"x" * 100)):
        archive.files.answer(FILE, failure)
        with pytest.raises(Transient, match=r"tried 5 times"):
            source.download(located, tmp_path / "a.fits")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_download_that_is_refused_is_an_alert(archive: FakeArchive, tmp_path: Path, status: int) -> None:
    archive.add(NAME, CONTENT)
    located = locate(source_of(archive))
    archive.files.answer(FILE, body(b"", status))
    with pytest.raises(Alert, match=f"answers {status}"):
        source_of(archive).download(located, tmp_path / "a.fits")
    assert len(archive.files.requests) == 1


def test_a_server_that_hangs_is_given_up(archive: FakeArchive, tmp_path: Path) -> None:
    archive.add(NAME, CONTENT)
    source, release = source_of(archive, tries=2), threading.Event()
    located = locate(source)

    def hang(handler: BaseHTTPRequestHandler) -> None:
        body(CONTENT[:100], declared=len(CONTENT))(handler)
        handler.wfile.flush()
        release.wait(20)

    archive.files.answer(FILE, hang)
    with pytest.raises(Transient, match="tried 2 times"):
        source.download(located, tmp_path / "a.fits")
    release.set()


def test_a_server_that_is_not_there_is_transient(tmp_path: Path) -> None:
    source = ArchiveSource("archive", "http://127.0.0.1:1/api", TOKEN, tries=2, pause_s=0.0)
    with pytest.raises(Transient, match=r"http://127\.0\.0\.1:1/api/frames/ does not answer: ConnectionError"):
        locate(source)


@pytest.mark.parametrize("url", ["", "archive", "ftp://host", "http://", "http://user:s3cret@host/"])
def test_an_address_that_is_none_is_an_alert(url: str) -> None:
    with pytest.raises(Alert, match="RUNSTART_ARCHIVE_API") as caught:
        ArchiveSource("archive", url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "tökén"])
def test_a_token_that_cannot_be_sent_is_an_alert_that_does_not_show_it(token: str) -> None:
    with pytest.raises(Alert, match="token cannot be sent") as caught:
        ArchiveSource("archive", "http://host/", token)
    assert token not in str(caught.value)


def test_a_large_answer_of_many_results_gives_the_first(http_servers: Callable[[], HttpServer]) -> None:
    server = http_servers()
    results = [{"url": f"http://host/{number}", "version_set": [{"id": number + 1}]} for number in range(100)]
    server.answer("/frames/", body(json.dumps({"results": results}).encode()))
    located = locate(ArchiveSource("archive", server.url + "/"))
    assert (located.version, located.address) == ("id:1", "http://host/0")
