"""The figures of speed and size, as ratios within one run: `python -m tests.bench`.

Every `bench_*.py` here can be run alone (`python -m tests.bench.bench_scan`) and prints one line of JSON per figure.
"""

from __future__ import annotations

import json


def figure(name: str, value: float, goal: str) -> None:
    """Print one figure; ``goal`` is a bound such as ``<= 1.15``, or nothing when the figure is for reference."""
    print(json.dumps({"name": name, "value": float(f"{value:.4g}"), "goal": goal}), flush=True)


def met(value: float, goal: str) -> bool | None:
    """Whether the goal is met; None when there is none."""
    if not goal:
        return None
    sign, bound = goal.split()
    return value <= float(bound) if sign == "<=" else value >= float(bound)
