"""Judging and counting 200,000 findings, against a loop that puts the same judgements in plain dicts."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from scanner import Command, Layer, Raw, Severity, Timed, Verdict, check, fact, holds, probe
from scanner.aggregate import Assessor
from scanner.declare import Registry, collecting
from scanner.evaluate import Collected, Facts, judge, scan_time
from scanner.model import Target
from scanner.policy import Catalogue
from scanner.scope import Config, load

HOSTS, CHECKS = 1000, 200
ROUNDS = 3

registry = Registry()
with collecting(registry):

    @fact
    class Settings:
        """Sixty settings of a host."""

        values: dict[str, str]

    @probe("linux", dump=Command("settings"))
    def settings(dump: Raw) -> Settings:
        return Settings(dict(line.split("=") for line in dump.lines))

    def one_of(number: int) -> None:
        key = f"key{number % 60}"

        @check(
            f"bench.number{number}",
            principle=f"DSM-IBP-{number % 8 + 1}",
            severity=Severity.HIGH,
            layer=Layer.HOST,
            title_nl="T",
            why_nl="W",
            fix="f",
            verify="v",
            references=("r",),
        )
        def judged(settings: Settings) -> Verdict:
            """Title.

            Why.
            """
            value = settings.values[key]
            return holds(value == "1", value, "1")

    for number in range(CHECKS):
        one_of(number)
registry.link()


def raw(host: int) -> str:
    return "\n".join(f"key{number}={(host + number) % 2}" for number in range(60))


def ours(facts: list[Facts], catalogue: Catalogue) -> float:
    checks = list(registry.checks.values())
    judges = [judge(one, registry) for one in checks]
    assessor = Assessor(checks, catalogue)
    for one in facts:
        one.fact(Settings)
    began = time.process_time()
    for one in facts:
        for run in judges:
            for finding in run(one):
                assessor.add(finding)
    took = time.process_time() - began
    assert sum(assessor.counts().values()) == HOSTS * CHECKS
    return took


def plain(values: list[dict[str, str]]) -> float:
    def judged(number: int) -> Any:
        key, id_, principle = f"key{number % 60}", f"bench.number{number}", f"DSM-IBP-{number % 8 + 1}"

        def function(host: str, values: dict[str, str]) -> dict[str, Any]:
            value = values[key]
            return {
                "target": host, "check": id_, "status": "pass" if value == "1" else "fail", "principle": principle,
                "observed": value, "expected": "1", "evidence": "0" * 64, "severity": "high",
            }  # fmt: skip

        return function

    functions = [judged(number) for number in range(CHECKS)]
    counts: dict[tuple[str, str], int] = {}
    began = time.process_time()
    for number, one in enumerate(values):
        host = f"host{number}"
        for function in functions:
            row = function(host, one)
            key = (row["check"], row["status"])
            counts[key] = counts.get(key, 0) + 1
    took = time.process_time() - began
    assert sum(counts.values()) == HOSTS * CHECKS
    return took


def main() -> None:
    catalogue = load(Config()).catalogue
    now = scan_time(1_700_000_000)
    facts, values = [], []
    for host in range(HOSTS):
        target = Target(name=f"host{host}", address="127.0.0.1")
        answer = Collected(Timed(raw(host).encode()), ("0" * 64,))
        facts.append(Facts(target, {Command("settings"): answer}, registry, now))
        values.append(dict(line.split("=") for line in raw(host).split("\n")))
    best_ours = min(ours(facts, catalogue) for _ in range(ROUNDS))
    best_plain = min(plain(values) for _ in range(ROUNDS))
    figures = [
        {"name": "judging: x a plain-dict loop", "value": round(best_ours / best_plain, 2), "goal": "<= 2.5"},
        {
            "name": "judging: findings per second per core",
            "value": round(HOSTS * CHECKS / best_ours),
            "goal": ">= 200000",
        },
    ]
    for figure in figures:
        sys.stdout.write(json.dumps(figure) + "\n")


if __name__ == "__main__":
    main()
