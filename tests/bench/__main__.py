"""Run every benchmark, one after the other, and print one table: what was measured, the goal, and whether it is met.

    python -m tests.bench [--json] [NAME]...      such as: python -m tests.bench scan start

A goal that is not met is a figure, not an error: the exit code is 0 unless a benchmark could not be run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench import met

HERE = Path(__file__).parent


def figures(name: str) -> list[dict[str, Any]]:
    """What one benchmark prints. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", f"tests.bench.bench_{name}"]
    done = subprocess.run(command, cwd=HERE.parents[1], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> int:
    """Run the benchmarks that were asked for, else all."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="The figures of speed and size."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(known)}; default all")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    arguments = parser.parse_args()
    if strange := sorted(set(arguments.names) - set(known)):
        parser.error(f"there is no benchmark {strange[0]!r}; there are {', '.join(known)}")
    found: list[dict[str, Any]] = []
    crashed = 0
    for name in arguments.names or known:
        print(f"bench_{name} ...", file=sys.stderr, flush=True)
        try:
            found += figures(name)
        except subprocess.CalledProcessError as error:
            crashed = 1
            print(f"bench_{name} failed with exit status {error.returncode}", file=sys.stderr)
    for row in found:
        row["met"] = met(row["value"], row["goal"])
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        _table([("", "measured", "goal", "met"), *map(_cells, found)])
    return crashed


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    return row["name"], _number(row["value"]), row["goal"], {True: "yes", False: "NO", None: "-"}[row["met"]]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _table(rows: list[tuple[str, str, str, str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, value, goal, reached in rows:
        print(f"{name:<{widths[0]}}  {value:>{widths[1]}}  {goal:<{widths[2]}}  {reached}")


if __name__ == "__main__":
    sys.exit(main())
