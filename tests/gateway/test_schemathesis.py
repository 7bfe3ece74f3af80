"""Schemathesis asks the running gateway what its description allows and what it forbids: no answer may be another one.

It is a program of its own: its pytest plugin would slow every other test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lived_in_gateway import LivedIn, open_lived_in

EXAMPLES = "8"
ENDLESS = "^/api/events$"  # its answer does not end by itself
# That there is such an image, or such a data operation, is not for a schema to say.
CONFIG = "".join(
    f"""
[[operations]]
include-name = "POST {path}"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404]
"""
    for path in ("/api/analysis/{action}/", "/api/datasessions/{session_id}/operations/")
)


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_every_answer_is_as_the_description_says(tmp_path: Path) -> None:
    with open_lived_in(tmp_path) as lived_in:
        done = ask_everything(lived_in, tmp_path)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def ask_everything(lived_in: LivedIn, folder: Path) -> subprocess.CompletedProcess[str]:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), f"--config-file={config}"),
        *("run", f"{lived_in.client.base_url}/spec"),
        f"--header=Authorization: {lived_in.client.headers['Authorization']}",
        *("--checks=all", f"--max-examples={EXAMPLES}", "--phases=examples,coverage,fuzzing", "--no-color"),
        *("--workers=1", "--seed=1", f"--exclude-path-regex={ENDLESS}", "--request-timeout=60"),
    ]
    tests = Path(__file__).parent
    environ = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": os.pathsep.join(map(str, (tests, tests.parent, tests.parents[1]))),
        "RUNSTART_TEST_WALLET": lived_in.wallet.key,
        "RUNSTART_TEST_KNOWN": json.dumps(lived_in.known),
    }
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=500, check=False
    )
