from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import wait_until

from runstart.errors import Alert
from runstart.sessions.mailbox import Command, Mailbox, commands_prefix, encode_reply, reply_key, send_command
from runstart.sessions.records import new_session_id
from runstart.storage import FileStore

SESSION = new_session_id()


@pytest.fixture
def mailbox(file_store: FileStore) -> Iterator[Mailbox]:
    box = Mailbox(file_store, SESSION, poll_s=0.02)
    yield box
    box.close()


def taken(mailbox: Mailbox, number: int) -> list[Command]:
    found: list[Command] = []

    def look() -> bool:
        found.extend(mailbox.take())
        return len(found) >= number

    wait_until(look, f"{number} commands")
    return found


def test_command_is_taken_once_and_its_answer_reaches_the_sender(file_store: FileStore, mailbox: Mailbox) -> None:
    answers: list[dict[str, str]] = []
    command = {"command": "restart", "operator": "a"}
    sender = threading.Thread(target=lambda: answers.append(send_command(file_store, SESSION, command, 30)))
    sender.start()
    (got,) = taken(mailbox, 1)
    file_store.put(reply_key(SESSION, got.number), encode_reply("ok", "done"))
    sender.join()

    assert got.content == command
    assert answers == [{"status": "ok", "message": "done"}]
    assert file_store.list(f"sessions/{SESSION}/") == []
    assert mailbox.take() == []


def test_commands_come_in_the_order_of_their_names(file_store: FileStore) -> None:
    for number in (3, 1, 4, 2):
        file_store.put(f"{commands_prefix(SESSION)}{number:020d}.json", b'{"n": %d}' % number)

    mailbox = Mailbox(file_store, SESSION, poll_s=0.02)

    assert [command.content["n"] for command in taken(mailbox, 4)] == [1, 2, 3, 4]
    mailbox.close()


def test_garbage_is_a_command_without_content(file_store: FileStore, mailbox: Mailbox) -> None:
    for number, text in enumerate((b"\xff\xfe", b"[1]", b"7", b"{")):
        file_store.put(f"{commands_prefix(SESSION)}{number}.json", text)

    assert [command.content for command in taken(mailbox, 4)] == [{}, {}, {}, {}]


def test_command_that_nobody_takes_is_withdrawn_and_said_so(file_store: FileStore) -> None:
    with pytest.raises(Alert, match="has not taken"):
        send_command(file_store, SESSION, {"command": "stop"}, timeout_s=0.2)

    assert file_store.list(commands_prefix(SESSION)) == []


def test_command_that_was_taken_and_not_answered_is_told_apart(file_store: FileStore, mailbox: Mailbox) -> None:
    with pytest.raises(Alert, match="but not answered"):
        send_command(file_store, SESSION, {"command": "stop"}, timeout_s=0.5)
