from __future__ import annotations

import time
import urllib.error
import urllib.request

import pytest

from runstart.errors import Alert
from runstart.instrument_resources.pulse import LONGEST_SILENCE, Pulse, serve_health


def test_a_loop_that_stopped_is_named_until_it_comes_round() -> None:
    pulse = Pulse()
    pulse.beat("watch")
    late = time.monotonic() + LONGEST_SILENCE + 1
    assert pulse.silent() == []
    assert pulse.silent(late) == ["watch"]


def test_the_probe_gets_what_the_pulse_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse()
    pulse.beat("write")
    with serve_health(pulse, "127.0.0.1", 0) as port:
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/")[0] == 404
        monkeypatch.setattr("runstart.instrument_resources.pulse.LONGEST_SILENCE", -1.0)
        assert get(port, "/healthz") == (503, "no sign of: write\n")
        with (
            pytest.raises(Alert, match=f"Cannot listen on 127.0.0.1 port {port}"),
            serve_health(pulse, "127.0.0.1", port),
        ):
            pass


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
