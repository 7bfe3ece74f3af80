from __future__ import annotations

import os
import signal
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from script_kit import fetched, launcher_at, make_input, run_script

from runstart.instruments.script import Script
from runstart.launchers import Isolation, LaunchSpec, SubprocessLauncher, Task
from runstart.scripts import EarlierRun, execute

SHOW = """
    def reduce(run):
        print({expression})
        return {{}}
"""


def shown(expression: str, **changes: Any) -> str:
    outcome = run_script(SHOW.format(expression=expression), script_input=make_input(**changes))
    assert outcome.error == ""
    return outcome.output.strip()


def test_run_is_what_was_put_in() -> None:
    given = make_input(
        metadata={"title": "silver", "list": [1, {"a": None}]}, finished=True, stop_time_ns=17 * 10**17
    )
    fields = (
        "name", "instrument", "key", "start_time_ns", "stop_time_ns", "finished", "metadata", "n_periods",
        "proton_charge_uah", "ledger", "events", "previous", "reference", "pixel_tof", "logs",
    )  # fmt: skip
    outcome = run_script(SHOW.format(expression=f"[getattr(run, n) for n in {fields!r}]"), script_input=given)

    assert outcome.output.strip() == str(
        [
            "run 1", "TEST", "run-1_20231114", given.start_time_ns, given.stop_time_ns, True, given.metadata, 2,
            0.6, {"events_read": 12}, None, None, None, None, {},
        ]
    )  # fmt: skip


def test_arrays_arrive_as_they_were() -> None:
    given = make_input(pixel_tof=np.arange(2 * 17 * 20, dtype=np.uint32).reshape(2, 17, 20))
    outcome = run_script(
        """
        def reduce(run):
            return {
                "tof": run.tof, "edges": run.tof_edges_us, "pixel": run.pixel, "cells": run.pixel_tof[1],
                "rear": run.banks["rear"].counts[1], "line": run.banks["line"].counts, "ids": run.banks["rear"].detector_id,
                "line_ids": run.banks["line"].detector_id, "rate": run.event_rate, "charge": run.charge_per_second_uah,
            }
        """,
        script_input=given,
    )

    assert outcome.error == ""
    assert given.pixel_tof is not None
    expected = {
        "tof": given.tof, "edges": np.arange(0, 41, 2), "pixel": given.pixel, "cells": given.pixel_tof[1],
        "rear": given.pixel[1, :12].reshape(3, 4), "line": given.pixel[:, 12:], "ids": np.arange(1, 13).reshape(3, 4),
        "line_ids": np.arange(100, 105), "rate": given.events_per_second, "charge": given.charge_per_second_uah,
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_array_equal(outcome.arrays[name].values, values)


def test_large_arrays_arrive_as_they_were_and_are_read_only() -> None:
    given = make_input(tof=np.arange(2 * 20 * 5000).reshape(2, -1))

    assert shown("(int(run.tof.sum()), run.tof.flags.writeable, type(run.tof).__name__)", tof=given.tof) == str(
        (int(given.tof.sum()), False, "ndarray")
    )


@pytest.mark.parametrize("what", ["run.tof[0, 0] = 1", "run.name = 'x'", "run.banks['rear'].counts[0] = 1"])
def test_run_cannot_be_changed(what: str) -> None:
    outcome = run_script(f"def reduce(run):\n    {what}\n")

    assert outcome.error.startswith("reduce.py:2: ")


def test_logs_and_events_are_shown() -> None:
    logs = {
        "Temp": SimpleNamespace(
            time_ns=np.array([5, 9]), values=np.array([1.5, 2.5]), severity=np.array([0, 2], np.int8), unit="K"
        ),
        "State": SimpleNamespace(time_ns=np.array([7]), values=("open",), severity=np.array([0], np.int8), unit=""),
    }
    events = SimpleNamespace(
        pulse_time_ns=np.array([10, 11]),
        time_of_flight_ns=np.array([1, 2], np.uint32),
        detector_id=np.array([3, 4], np.uint32),
        complete=False,
    )
    said = shown(
        "[run.logs['Temp'].time_ns.tolist(), run.logs['Temp'].value.tolist(), run.logs['Temp'].unit, "
        "run.logs['Temp'].severity.tolist(), run.logs['State'].value, run.events.pulse_time_ns.tolist(), "
        "run.events.time_of_flight_ns.tolist(), run.events.detector_id.tolist(), run.events.complete]",
        logs=logs,
        events=events,
    )

    assert said == str([[5, 9], [1.5, 2.5], "K", [0, 2], ["open"], [10, 11], [1, 2], [3, 4], False])


def test_earlier_run_is_a_run_of_its_own() -> None:
    arrays = {
        "tof": np.ones((1, 20), np.int64),
        "pixel": np.arange(17)[np.newaxis],
        "events_per_second": np.array([5, 6]),
        "charge_quanta_per_second": np.array([2**40, 2**39]),
    }
    previous = EarlierRun("run 0", "run-0", arrays, {"events_read": 20})
    said = shown(
        "[run.previous.name, run.previous.proton_charge_uah, int(run.previous.tof.sum()), run.previous.start_time_ns, "
        "run.previous.banks['line'].counts.tolist(), run.previous.instrument, run.reference]",
        previous=previous,
    )

    assert said == str(["run 0", 1.5, 20, None, [[12, 13, 14, 15, 16]], "TEST", None])


def test_named_array_keeps_axes_units_errors_and_title() -> None:
    outcome = run_script(
        """
        def reduce(run):
            return {"iq": run.array([[1.0, 2.0, 3.0]] * 2, axes={"y": [5, 6], "Q": [0, 1, 2, 3]}, units="1/cm",
                                    axis_units={"Q": "1/A"}, errors=[[0.5] * 3] * 2, log=True, title="Curve")}
        """
    )
    array = outcome.arrays["iq"]

    assert array.values.tolist() == [[1.0, 2.0, 3.0]] * 2
    assert [(axis.name, axis.unit, axis.values.tolist()) for axis in array.axes] == [
        ("y", "", [5, 6]),
        ("Q", "1/A", [0, 1, 2, 3]),
    ]
    assert (array.unit, array.log, array.title) == ("1/cm", True, "Curve")
    assert array.errors is not None
    assert array.errors.tolist() == [[0.5] * 3] * 2


def test_figure_becomes_a_png() -> None:
    outcome = run_script(
        """
        def reduce(run):
            import matplotlib.pyplot as plt
            figure, axes = plt.subplots(figsize=(4, 3))
            axes.plot(run.tof[0])
            return {"spectrum": figure}
        """
    )

    assert outcome.error == ""
    assert outcome.figures["spectrum"].startswith(b"\x89PNG")
    assert struct.unpack(">II", outcome.figures["spectrum"][16:24]) == (400, 300)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def reduce(run):\n\n    return 1 / 0\n", "reduce.py:3: ZeroDivisionError: division by zero"),
        ("import numpy as np\ndef reduce(run):\n    np.ones(3).reshape(2)\n", "reduce.py:3: ValueError: "),
        ("def reduce(run):\n    return {\n", "reduce.py:2: SyntaxError: "),
        ("x = 1\n", "reduce.py: it has no function `reduce(run)`"),
        ("import nowhere\n", "reduce.py:1: ModuleNotFoundError: No module named 'nowhere'"),
        ("def reduce(run):\n    raise SystemExit('done')\n", "reduce.py:2: SystemExit: done"),
        ("def reduce(run):\n    import os\n    os._exit(3)\n", "ended with exit code 3 before"),
        ("def reduce(run):\n    import os\n    os._exit(0)\n", "ended with exit code 0 before"),
        ("def reduce(run):\n    import ctypes\n    ctypes.string_at(0)\n", "was ended by SIGSEGV"),
        ("def reduce(run):\n    return [1]\n", "reduce.py: reduce(run) returned list; return a dict"),
        ("def reduce(run):\n    return {1: [1]}\n", "reduce.py: the name 1 of an output is no text"),
        ("def reduce(run):\n    return {'../x': [1]}\n", "reduce.py: '../x' is no name of an output"),
        ("def reduce(run):\n    return {'x': 'text'}\n", "reduce.py: output 'x' is of type <U4; only numbers"),
        ("def reduce(run):\n    return {'x': 5}\n", "reduce.py: output 'x' has 0 dimensions; 1 or 2"),
        ("def reduce(run):\n    return {'x': run.array([1, 2], axes={'a': [1]})}\n", "reduce.py: axis 'a' of output"),
        ("def reduce(run):\n    return {str(i): [1] for i in range(99)}\n", "reduce.py: reduce(run) returned 99"),
        ("def reduce(run):\n    return {'x': run.tof.astype(object)}\n", "reduce.py: output 'x' is of type object"),
        ("# \xe9 \ud800", "reduce.py"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_its_line(text: str, error: str) -> None:
    script = replace(fetched("x"), text=text.encode("utf-8", "surrogatepass"))
    outcome = execute(Script(folder="/x", timeout=100), script, make_input(), launcher_at("fault isolation only"))

    assert outcome.error.startswith(error)
    assert outcome.arrays == {}
    assert "\n" not in outcome.error


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(header))


RESULT = '{"error": "", "error_type": "", "arrays": %s, "figures": %s}'
ARRAY = (
    '[{"name": "a", "values": {"file": "a.bin", "dtype": "<f8", "shape": [3]}, "axes": [{"name": "x", "unit": "", '
    '"points": {"file": "x.bin", "dtype": "<f8", "shape": [3]}}], "unit": "", "errors": null, "log": false, '
    '"title": ""}]'
)
FORGERIES: Mapping[str, tuple[str, str, str]] = {
    "link to a file outside": ("os.remove(out + '/a.bin'); os.symlink('/etc/passwd', out + '/a.bin')", "", ""),
    "result is a link": ("os.symlink('/etc/passwd', out + '/result.json'); os._exit(0)", "", ""),
    "pipe": ("os.remove(out + '/a.bin'); os.mkfifo(out + '/a.bin')", "", ""),
    "path outside": ("", "a.bin", "../in/0.npy"),
    "file that is not there": ("", "a.bin", "b.bin"),
    "objects": ("", "<f8", "O"),
    "other shape": ("", "[3]", "[4]"),
    "giant shape": ("", "[3]", "[4000000000, 4000000000]"),
    "negative shape": ("", "[3]", "[-1, -3]"),
    "shape of texts": ("", "[3]", '["3"]'),
    "huge number": ("", "[3]", "[" + "9" * 5000 + "]"),
    "three dimensions": ("", "[3]", "[3, 1, 1]"),
    "axes missing": ("", '"axes": [', '"axes": [], "more": ['),
    "title of numbers": ("", '"title": ""', '"title": 5'),
    "name that is a path": ("", '"name": "a"', '"name": "../a"'),
    "no json": ("open(out + '/result.json', 'w').write('{'); os._exit(0)", "", ""),
    "deep json": ("open(out + '/result.json', 'w').write('[' * 100000); os._exit(0)", "", ""),
    "list": ("open(out + '/result.json', 'w').write('[]'); os._exit(0)", "", ""),
    "large json": ("open(out + '/result.json', 'w').write(' ' * 2_000_000); os._exit(0)", "", ""),
    "no png": ("figures = FIGURE; open(out + '/f.png', 'wb').write(b'<svg>')", "", ""),
    "giant png": (f"figures = FIGURE; open(out + '/f.png', 'wb').write({png(60000, 60000)!r})", "", ""),
}


def forge(first: str, honest: str, forged: str) -> str:
    return f"""
        import os, sys
        import numpy as np

        FIGURE = '[{{"name": "f", "file": "f.png"}}]'
        out = sys.argv[2]

        def reduce(run):
            figures = "[]"
            for name in "ax":
                with open(out + "/" + name + ".bin", "wb") as file:
                    file.write(np.arange(3.0).tobytes())
            {first}
            with open(out + "/result.json", "w") as file:
                file.write({RESULT!r} % ({ARRAY.replace(honest, forged) if honest else ARRAY!r}, figures))
            os._exit(0)
        """


def test_unforged_result_is_taken() -> None:
    assert run_script(forge("", "", "")).arrays["a"].values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_result_is_refused(forgery: str) -> None:
    outcome = run_script(forge(*FORGERIES[forgery]))

    assert outcome.error.startswith("reduce.py: ")
    assert outcome.arrays == {}
    assert outcome.figures == {}


def test_script_of_a_url_is_called_as_its_file() -> None:
    script = Script(url="https://host/live/sans.py?token=hidden", timeout=100)
    outcome = execute(script, fetched("def reduce(run): 1/0"), make_input(), launcher_at("fault isolation only"))

    assert outcome.error.startswith("sans.py:1: ZeroDivisionError")


def test_missing_image_is_remarked() -> None:
    outcome = run_script("def reduce(run): return {}", container="mantid:6")

    assert outcome.error == ""
    assert outcome.remark == "executed without the image mantid:6: nothing here runs images"


def test_outcome_says_what_was_executed_and_how() -> None:
    outcome = run_script("def reduce(run): return {}")

    assert outcome.sha256 == fetched("def reduce(run): return {}").sha256
    assert outcome.isolation == "fault isolation only"
    assert outcome.seconds > 0


def test_script_that_cannot_be_started_is_an_error_of_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.scripts.runner.sys.executable", "/no/such/python")
    launcher = SubprocessLauncher(Isolation("fault isolation only"))
    monkeypatch.setattr("runstart.launchers._wardens.sys", SimpleNamespace(executable="/usr/bin/python3"))
    outcome = execute(Script(folder="/x"), fetched(""), make_input(), launcher)

    assert outcome.error.startswith("could not be started: ")


class HangingLauncher(SubprocessLauncher):
    """Its wardens do nothing any more."""

    def start(self, spec: LaunchSpec) -> Task:
        task = super().start(spec)
        os.kill(self._of(task).warden.pid, signal.SIGSTOP)
        return task


def test_warden_that_hangs_does_not_hang_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.scripts.runner._GRACE_S", 0.2)
    monkeypatch.setattr("runstart.launchers.subprocess_launcher._STOPPING_S", 0.2)
    launcher = HangingLauncher(Isolation("fault isolation only"))
    outcome = execute(Script(folder="/x", timeout=1), fetched(""), make_input(), launcher)

    assert outcome.error == "was lost: the process that watched it hangs"
