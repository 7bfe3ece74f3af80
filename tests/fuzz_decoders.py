"""Fuzzes `runstart.events.decode`: `python tests/fuzz_decoders.py --seconds 600`.

Each payload must give a message or `MalformedMessage`, within a second and 100 MB, and a message must survive being
encoded and decoded again. The payloads come from Atheris, which is guided by what of `runstart.events` they reach,
or where that is not installed from Hypothesis; both begin with a valid payload of every schema. A finding ends the
search with exit code 1, the payload in hexadecimal, and what it does.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Finding", "check", "main"]

SECONDS, MEGABYTES = 1.0, 100
LONGEST_PAYLOAD = 100_000  # bytes; within this the limits hold
_ARTIFACTS = "finding-"
_STATUS = Path("/proc/self/status")
_GROWN = 0.3  # of the payloads are altered by libFuzzer, which also moves what they hold


class Finding(Exception):
    """A payload does what none may do."""


def check(payload: bytes, decode: Callable[[bytes], Any]) -> None:
    """Decode a payload and raise whatever is not allowed: `Finding`, or any exception but `MalformedMessage`."""
    from runstart.events import MalformedMessage, encode

    megabytes, seconds = _peak_megabytes(), time.process_time()
    message = None
    with suppress(MalformedMessage):
        message = decode(payload)
    seconds = time.process_time() - seconds
    megabytes = _peak_megabytes() - megabytes
    if len(payload) <= LONGEST_PAYLOAD and (seconds > SECONDS or megabytes > MEGABYTES):
        raise Finding(f"{len(payload)} bytes took {seconds:.2f} s and {megabytes:.0f} MB")
    if message is not None and decode(encode(message)) != message:
        raise Finding(f"encoding and decoding again gives another message than {message!r}")


def _peak_megabytes() -> float:
    """Return the most memory that this process has had; what `getrusage` says, its parent may have had."""
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    found = re.search(rb"VmHWM:\s*(\d+)", os.pread(_status_file(), 4096, 0))
    assert found is not None
    return int(found[1]) / 1000


@cache
def _status_file() -> int:
    return os.open(_STATUS, os.O_RDONLY)


def main(arguments: list[str] | None = None) -> int:
    """Fuzz for a while, tell the outcome, and return the process's exit code."""
    parser = argparse.ArgumentParser(description="Fuzz the decoders of the wire formats.")
    parser.add_argument("--seconds", type=int, default=600, help="how long (600)")
    has_atheris = importlib.util.find_spec("atheris") is not None
    engines = ("atheris", "hypothesis")
    parser.add_argument("--engine", choices=engines, default=engines[not has_atheris])
    parser.add_argument("--decoder", default="runstart.events:decode", help="what to fuzz, as MODULE:FUNCTION")
    parser.add_argument("--libfuzzer", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.libfuzzer is not None:
        _fuzz_in_this_process(options.decoder, options.libfuzzer)
    if not _survives_bombs(_load(options.decoder)):
        return 1
    if options.engine == "atheris":
        return _run_atheris(options.seconds, options.decoder)
    return _run_hypothesis(options.seconds, _load(options.decoder))


def _survives_bombs(decode: Callable[[bytes], Any]) -> bool:
    """Check what is too long to be fuzzed: payloads of nearly 100 kB that lead to the same pieces again and again."""
    from log_payloads import bombs

    for _, payload in bombs():
        try:
            check(payload, decode)
        except Exception:  # noqa: BLE001 - whatever comes out is the finding
            _tell_finding(payload, decode, "")
            return False
    return True


def _load(decoder: str) -> Callable[[bytes], Any]:
    module, _, name = decoder.partition(":")
    function: Callable[[bytes], Any] = getattr(importlib.import_module(module), name)
    return function


def _fuzz_in_this_process(decoder: str, libfuzzer: list[str]) -> None:
    """Fuzz with Atheris, which ends the process by itself."""
    import atheris

    with atheris.instrument_imports(include=["runstart.events", decoder.partition(":")[0]]):
        decode = _load(decoder)

    def mutate(payload: bytes, most_bytes: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < _GROWN or not payload:
            grown: bytes = atheris.Mutate(payload, most_bytes)
            return grown
        return _altered(payload, chance)

    atheris.Setup([sys.argv[0], *libfuzzer], lambda payload: check(payload, decode), custom_mutator=mutate)
    atheris.Fuzz()


def _altered(payload: bytes, chance: random.Random) -> bytes:
    """Return a payload of the same length with a few other bytes, so that most of it stays where others lead to it."""
    altered = bytearray(payload)
    for _ in range(chance.randint(1, 3)):
        position = chance.randrange(len(altered))
        kind = chance.randrange(4)
        if kind == 0:
            altered[position] ^= 1 << chance.randrange(8)
        elif kind == 1:
            altered[position] = chance.randrange(256)
        elif kind == 2:
            altered[position] = (altered[position] + chance.choice((-4, -2, -1, 1, 2, 4))) % 256
        else:
            word = chance.choice((0, 1, 2, 4, 8, len(altered), 0x7FFF_FFFF, 0xFFFF_FFFF)).to_bytes(4, "little")
            start = position - position % 4
            altered[start : start + 4] = word[: len(altered) - start]
    return bytes(altered)


def _run_atheris(seconds: int, decoder: str) -> int:
    """Fuzz in a process of its own, because libFuzzer ends the one that it is in."""
    from payloads import foreign_payloads, unread_event_payloads, valid_payloads

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, (_, payload) in enumerate(valid_payloads()):
            (corpus / f"{number:03}").write_bytes(payload)
        words = Path(folder, "words")
        schemas = {
            payload[4:8].decode()
            for _, payload in (*valid_payloads(), *foreign_payloads(), *unread_event_payloads())
        }
        words.write_text("".join(f'"{schema}"\n' for schema in sorted(schemas)))
        own = [sys.executable, __file__, "--decoder", decoder, "--libfuzzer"]
        limits = [f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=2048", "-max_len=4096"]
        places = [f"-artifact_prefix={folder}/{_ARTIFACTS}", f"-dict={words}", str(corpus)]
        process = subprocess.run([*own, *limits, *places], capture_output=True, text=True, check=False)
        report = process.stdout + process.stderr
        found = sorted(Path(folder).glob(f"{_ARTIFACTS}*"))
        payload = found[0].read_bytes() if found else None
    runs = re.findall(r"^#(\d+)|Done (\d+) runs", report, flags=re.MULTILINE)
    executions = max((int(one or other) for one, other in runs), default=0)
    reached = max(map(int, re.findall(r" cov: (\d+)", report)), default=0)
    if process.returncode:
        _tell_finding(payload, _load(decoder), report[-3000:])
    return _tell_coverage(executions, f"{reached} edges of runstart.events", process.returncode != 0)


def _run_hypothesis(seconds: int, decode: Callable[[bytes], Any]) -> int:
    """Fuzz in rounds, each with a seed of its own."""
    import hypothesis
    from hypothesis import strategies as st
    from payloads import valid_payloads

    executions, last = 0, b""

    def run(base: bytes, chance: random.Random, cut: int) -> None:
        nonlocal executions, last
        last = _altered(base, chance)[: max(len(base) - cut, 0)]
        executions += 1
        check(last, decode)

    cuts = st.just(0) | st.integers(0, 40)
    base = st.sampled_from([payload for _, payload in valid_payloads()]) | st.binary(min_size=1, max_size=300)
    allowed = hypothesis.settings(
        max_examples=1000, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    deadline, round_number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        test = hypothesis.seed(round_number)(
            allowed(hypothesis.given(base, st.randoms(use_true_random=True), cuts)(run))
        )
        round_number += 1
        try:
            test()
        except Exception:  # noqa: BLE001 - whatever comes out is the finding
            _tell_finding(last, decode, "")
            return _tell_coverage(executions, "not measured", True)
    return _tell_coverage(executions, "not measured: install atheris for that", False)


def _tell_finding(payload: bytes | None, decode: Callable[[bytes], Any], report: str) -> None:
    """Print the payload first, in case that this process does not survive it either."""
    sys.stdout.write(f"Finding. Payload: {'lost' if payload is None else payload.hex()}\n")
    sys.stdout.flush()
    try:
        check(payload or b"", decode)
    except Exception:  # noqa: BLE001 - whatever comes out is the finding
        report = traceback.format_exc()
    sys.stdout.write(report)


def _tell_coverage(executions: int, coverage: str, is_found: bool) -> int:
    sys.stdout.write(f"{executions} executions; coverage: {coverage}\n")
    return int(is_found)


if __name__ == "__main__":
    # This folder has a `runstart` of its own, with the tests.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
