"""Runs benchmarks by name and prints one JSON object a line; progress and troubles go to stderr."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from pathlib import Path

from bench._measure import Scale
from runstart.errors import Alert

BENCHMARKS = (
    "decode",
    "histogram",
    "message",
    "kafka_to_histogram",
    "script_interference",
    "run_start",
    "stacks",
    "operation_cache",
    "frames",
    "fan_out",
    "operators",
    "gateway",
    "compute_start",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks that the command line names, all of them if it names none."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Benchmarks of Runstart against its peers, both measured in the same run.",
        epilog="Example: python -m bench decode message > figures.jsonl",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; all of them by default")
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    parser.add_argument("--quick", action="store_true", help="run every line at tiny sizes; no figures of worth")
    options = parser.parse_args(arguments)
    if options.list:
        for name in BENCHMARKS:
            print(f"{name:20s} {_first_line(name)}")
        return 0
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        try:
            for row in importlib.import_module(f"bench.{name}").run(Scale(options.quick)):
                print(row.to_json(), flush=True)
        except Alert as alert:
            print(f"bench: {name}: {alert}", file=sys.stderr)
            return 1
    return 0


def _first_line(name: str) -> str:
    text = Path(__file__).with_name(f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
