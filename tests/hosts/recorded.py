"""A recorded host: its answers, put before the real plan and the real judgement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from scanner.evaluate import Collected, Facts, scan_time
from scanner.evidence import Manifest
from scanner.model import Cause, Finding, Gap, State, Target, Timed
from scanner.plan import ROUNDS
from scanner.run import Judgement
from scanner.sources import Shell, Source
from tests.hosts.transcript import Answer, parse

if TYPE_CHECKING:
    from scanner.scope import Scope

HERE: Final = Path(__file__).parent
#: Which checks are put to a recorded host: those that rest on what the host itself says.
INSIDE: Final = 'platform in ("linux", "fleet", "layers")'
#: Every recorded host.
NAMES: Final = tuple(sorted(path.parent.name for path in HERE.glob("*/host.yaml")))


@dataclass(frozen=True)
class Host:
    """One folder beside this file; README.md says what is in it."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return HERE / self.name

    @cached_property
    def about(self) -> dict[str, Any]:
        """host.yaml: what the host is, when it was looked at, and which gaps are meant."""
        found: dict[str, Any] = yaml.safe_load((self.folder / "host.yaml").read_text())
        return found

    @cached_property
    def lower(self) -> Host | None:
        """The host this one was made from: what is not recorded here is as it is there."""
        return Host(self.about["base"]) if "base" in self.about else None

    def lines(self, file: str) -> list[str]:
        """The lines of a list such as tree.txt, those of the lower host first, without remarks."""
        path = self.folder / file
        own = path.read_text().splitlines() if path.exists() else []
        return [
            *(self.lower.lines(file) if self.lower else []),
            *(line for line in own if line and not line.startswith("#")),
        ]

    def file(self, path: str) -> Path | None:
        """Where the content of a file of the host is recorded; None when it is nowhere."""
        own = self.folder / "files" / path.strip("/")
        if own.is_file():
            return own
        return self.lower.file(path) if self.lower else None

    @cached_property
    def target(self) -> Target:
        """The host as an inventory would describe it."""
        return Target.model_validate({"name": self.name, "address": "192.0.2.10", **self.about["target"]})

    @property
    def at(self) -> float:
        """When the answers are said to have been given, in seconds since the epoch."""
        return float(self.about["at"].timestamp())

    @cached_property
    def programs(self) -> dict[str, Answer]:
        """What programs said: programs.txt, written by hand from the places in SOURCES.csv."""
        lower = self.lower.programs if self.lower else {}
        return lower | parse((self.folder / "programs.txt").read_text())

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """Those of the programs, and what the tools that read files found in the host's tree (answers.txt)."""
        file = self.folder / "answers.txt"
        return (parse(file.read_text()) if file.exists() else {}) | self.programs

    def raw(self, source: Source) -> Timed:
        """The answer of one source as the worker would have handed it over."""
        answer = self.answers.get(source.describe())
        if answer is None or not isinstance(source, Shell):
            return self._gap(State.ERROR, Cause.INTERNAL, f"not recorded: {source.describe()}")
        if answer.absent:
            name = source.needs or source.argv[0]
            state, cause = (State.NOTAPPLICABLE, None) if source.needs else (State.ERROR, Cause.TOOL_MISSING)
            return self._gap(state, cause, f"{name} is not on the host")
        out = answer.out
        for pattern, replacement in source.redact:
            out = re.sub(pattern.encode(), replacement.encode(), out, flags=re.MULTILINE)
        return Timed(out, answer.err, answer.code, at=self.at)

    def _gap(self, state: State, cause: Cause | None, detail: str) -> Timed:
        return Timed(code=None, at=self.at, gap=Gap(state, cause, detail))


def asked(host: Host, scope: Scope) -> dict[Source, Timed]:
    """Every source the plan asks of this host, round after round, with its recorded answer."""
    answers: dict[Source, Collected] = {}

    def facts() -> Facts:
        return Facts(host.target, answers, scope.loaded.registry, scan_time(host.at))

    sources = scope.plan.first(host.target, facts())
    for _ in range(ROUNDS):
        answers.update((source, Collected(host.raw(source), ())) for source in sources)
        sources = scope.plan.next(host.target, facts())
    return {source: collected.raw for source, collected in answers.items()}


def judged(host: Host, scope: Scope, judgement: Judgement | None = None) -> list[Finding]:
    """What the scanner says of this host, in the order of the checks' names; alone, or together with others."""
    answers = {source: Collected(raw, ()) for source, raw in asked(host, scope).items()}
    manifest = Manifest(host.name, started=host.at, ended=host.at, answers=answers)
    judgement = judgement or Judgement(scope.selected, scope.loaded.registry)
    made = judgement.target(host.target, manifest)
    return sorted((finding for _, finding in made), key=lambda finding: (finding.check, finding.subject))


def golden(findings: list[Finding]) -> list[str]:
    """One line per finding: status, check, subject and cause."""
    return [
        " ".join(filter(None, (f"{f.status:<13}", f.check, f.subject and f"[{f.subject}]", f.cause)))
        for f in findings
    ]
