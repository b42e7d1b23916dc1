"""Whole processes, measured: wall clock, processor time and peak memory of the process itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]


class Cost(NamedTuple):
    """Seconds of wall clock and of processor time (user and system), and peak MiB."""

    wall: float
    cpu: float
    peak: float


def run(command: Sequence[str | Path], exits: Sequence[int] = (0,)) -> Cost:
    """Run a program from the repository and wait for it. Raises SystemExit when it ends in another way.

    The peak is right as long as the caller is small itself: a child's count starts at its parent's.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users do not compile every module at every start
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in exits:
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {process.returncode}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def alternate(ways: Sequence[Callable[[], Cost]], rounds: int) -> list[Cost]:
    """The median cost of each way; they take turns, so that a busy minute hits them alike, after a turn to warm up."""
    seen: list[list[Cost]] = [[] for _ in ways]
    for turn in range(rounds + 1):
        order = list(zip(ways, seen, strict=True))
        for way, costs in order if turn % 2 else reversed(order):
            cost = way()
            if turn:
                costs.append(cost)
    return [Cost(*map(statistics.median, zip(*costs, strict=True))) for costs in seen]
