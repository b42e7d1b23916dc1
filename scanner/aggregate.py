"""Findings -> principle -> norm control: pure, streaming, worst first.

Findings are counted one at a time and then forgotten; what is kept grows with targets and checks, not with
findings. States, formulas and outcomes for people: docs/states.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypedDict

from scanner.model import BLIND, WORST_FIRST, Severity, State

if TYPE_CHECKING:
    from scanner.declare import Check
    from scanner.model import Cause, Finding, Gap, Target
    from scanner.policy import Catalogue, Control, Cover, Norm, Principle

#: Kinds of gap that are listed apart; what comes after them is counted together per state and cause.
GAP_KINDS: Final = 200

#: Findings per state: ``pass fail error unknown notapplicable notchecked``.
Counts = dict[str, int]
Outcome = Literal["nonconform", "not_established", "conform", "partly", "notapplicable", "not_covered"]
OUTCOMES: Final[tuple[Outcome, ...]] = (
    "nonconform", "not_established", "conform", "partly", "notapplicable", "not_covered",
)  # fmt: skip


class Coverage(TypedDict):
    """Of the findings that matter, how many established something."""

    applicable: int
    established: int


class PrincipleResult(TypedDict):
    """How the population stands on one principle."""

    id: str
    title_nl: str
    title_en: str
    statement_nl: str
    statement_en: str
    state: str
    checks: int
    counts: Counts
    applicable: int
    established: int
    failed_by_severity: dict[str, int]


class ControlCheck(TypedDict):
    """A check that says something of a control; ``via`` is the measure it came through, or norm and row."""

    check: str
    relation: str
    via: str


class ControlResult(TypedDict):
    """How the population stands on one control or measure; ``gap_*`` is the part that no check sees."""

    id: str
    title_nl: str
    title_en: str
    kind: str
    testable: bool
    confidence: str
    outcome: Outcome
    counts: Counts
    checks: list[ControlCheck]
    gap_nl: str
    gap_en: str


class NormResult(TypedDict):
    """How the population stands on one norm."""

    id: str
    title_nl: str
    title_en: str
    version: str
    date: str
    source: str
    status_nl: str
    status_en: str
    confidence: str
    summary: dict[Outcome, int]
    controls: list[ControlResult]


class TargetPrinciple(TypedDict):
    """How one target stands on one principle."""

    state: str
    counts: Counts


class TargetResult(TypedDict):
    """How one target stands; ``cause`` and ``detail`` say why it could not be reached."""

    name: str
    role: str
    zone: str
    tenant: str
    owner: str
    criticality: str
    reached: bool
    cause: str | None
    detail: str
    counts: Counts
    principles: dict[str, TargetPrinciple]


class GapResult(TypedDict):
    """What could not be established for one and the same reason; ``detail`` is one of the texts seen."""

    status: str
    cause: str | None
    detail: str
    targets: list[str]
    checks: list[str]
    findings: int


class Assessment(TypedDict):
    """What a run says in the end: assessment.json."""

    run: str
    principles: list[PrincipleResult]
    norms: list[NormResult]
    targets: list[TargetResult]
    gaps: list[GapResult]


class _Slot(NamedTuple):
    """Where a finding of one check in one state is counted."""

    by_check: int
    by_target: int
    blind: bool


class _GapKind:
    """Findings that could not be established for one reason."""

    __slots__ = ("checks", "detail", "findings", "targets")

    def __init__(self, detail: str) -> None:
        self.detail, self.findings = detail, 0
        self.targets: set[str] = set()
        self.checks: set[str] = set()


_WIDTH: Final = len(WORST_FIRST)
# The order in which counts are written; tallies themselves are worst first.
_WRITTEN: Final = tuple(
    (state.value, WORST_FIRST.index(state))
    for state in (State.PASS, State.FAIL, State.ERROR, State.UNKNOWN, State.NOTAPPLICABLE, State.NOTCHECKED)
)


def coverage(counts: Mapping[str, int]) -> Coverage:
    """applicable = pass + fail + error + unknown + notchecked; established = pass + fail."""
    established = counts["pass"] + counts["fail"]
    blind = counts["error"] + counts["unknown"] + counts["notchecked"]
    return {"applicable": established + blind, "established": established}


def exit_code(counts: Mapping[str, int]) -> Literal[0, 1, 2]:
    """2 when something could not be established, else 1 when something fails, else 0.

    Incomplete comes first: what was not seen may be worse than what was found.
    """
    if counts["error"] or counts["unknown"] or counts["notchecked"]:
        return 2
    return 1 if counts["fail"] else 0


class Assessor:
    """Counts the findings of a run and says in the end what they mean.

    ``checks`` are all selected checks. Findings may come in any order; the assessment does not depend on it as long
    as there are fewer than `GAP_KINDS` kinds of gap.
    """

    def __init__(self, checks: Iterable[Check], catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._checks = tuple(checks)
        self._groups: dict[tuple[str, ...], int] = {}
        self._slots: dict[tuple[str, State], _Slot] = {}
        for index, check in enumerate(self._checks):
            group = self._groups.setdefault(check.principles, len(self._groups))
            for offset, state in enumerate(WORST_FIRST):
                self._slots[check.id, state] = _Slot(
                    index * _WIDTH + offset, group * _WIDTH + offset, state in BLIND
                )
        self._by_check = [0] * (len(self._checks) * _WIDTH)
        self._by_target: dict[str, list[int]] = {}
        self._gaps: dict[tuple[State, Cause | None, str], _GapKind] = {}

    def add(self, finding: Finding) -> None:
        """Count one finding. Raises KeyError for a check that is not among the selected ones."""
        by_check, by_target, blind = self._slots[finding[1], finding[3]]
        self._by_check[by_check] += 1
        try:
            self._by_target[finding[0]][by_target] += 1
        except KeyError:
            row = self._by_target[finding[0]] = [0] * (len(self._groups) * _WIDTH)
            row[by_target] = 1
        if blind:
            self._add_gap(finding)

    def _add_gap(self, finding: Finding) -> None:
        detail, cause = finding.observed, finding.cause
        key = (finding.status, cause, _kind_of(detail, finding.target))
        gap = self._gaps.get(key)
        if gap is None:
            if len(self._gaps) >= GAP_KINDS:
                key, detail = (finding.status, cause, ""), ""
            gap = self._gaps.setdefault(key, _GapKind(detail))
        if detail < gap.detail:
            gap.detail = detail
        gap.findings += 1
        gap.targets.add(finding.target)
        gap.checks.add(finding.check)

    def counts(self) -> Counts:
        """All findings so far, per state."""
        return _counts(_sum(self._of_check(index) for index in range(len(self._checks))))

    def assessment(self, run: str, targets: Iterable[Target], unreached: Mapping[str, Gap]) -> Assessment:
        """What the findings mean. ``targets`` are all selected ones; ``unreached`` says why some were not reached.

        A target without a single finding was not looked at: as long as there is one, no principle is better than
        notchecked and no control conforms.
        """
        population = tuple(targets)
        unseen = any(target.name not in self._by_target for target in population)
        return {
            "run": run,
            "principles": [self._principle(principle, unseen) for principle in self._catalogue.principles],
            "norms": [self._norm(norm, unseen) for norm in self._catalogue.norms],
            "targets": [self._target(target, unreached.get(target.name)) for target in population],
            "gaps": self._gap_list(),
        }

    def _of_check(self, index: int) -> list[int]:
        return self._by_check[index * _WIDTH : (index + 1) * _WIDTH]

    def _principle(self, principle: Principle, unseen: bool) -> PrincipleResult:
        inside = [index for index, check in enumerate(self._checks) if principle.id in check.principles]
        tallies = {index: self._of_check(index) for index in inside}
        total = _sum(tallies.values())
        failed = {severity.value: 0 for severity in reversed(Severity)}
        for index, tally in tallies.items():
            failed[self._checks[index].severity] += tally[0]
        counts = _counts(total)
        return {
            "id": principle.id,
            "title_nl": principle.title_nl,
            "title_en": principle.title_en,
            "statement_nl": principle.statement_nl,
            "statement_en": principle.statement_en,
            "state": _state(total, unseen),
            "checks": len(inside),
            "counts": counts,
            **coverage(counts),
            "failed_by_severity": failed,
        }

    def _norm(self, norm: Norm, unseen: bool) -> NormResult:
        tallies = {check.id: self._of_check(index) for index, check in enumerate(self._checks)}
        covers = self._catalogue.covers[norm.id]
        controls = [
            _control(control, covers.get(control.id), tallies, unseen) for control in norm.live_controls
        ]
        summary: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        for control in controls:
            summary[control["outcome"]] += 1
        return {
            "id": norm.id,
            "title_nl": norm.title_nl,
            "title_en": norm.title_en,
            "version": norm.version,
            "date": norm.date,
            "source": norm.source,
            "status_nl": norm.status_nl,
            "status_en": norm.status_en,
            "confidence": norm.confidence,
            "summary": summary,
            "controls": controls,
        }

    def _target(self, target: Target, gap: Gap | None) -> TargetResult:
        row = self._by_target.get(target.name) or [0] * (len(self._groups) * _WIDTH)
        groups = {
            principles: row[index * _WIDTH : (index + 1) * _WIDTH]
            for principles, index in self._groups.items()
        }
        principles: dict[str, TargetPrinciple] = {}
        for principle in self._catalogue.principles:
            total = _sum(tally for group, tally in groups.items() if principle.id in group)
            principles[principle.id] = {"state": _state(total), "counts": _counts(total)}
        return {
            "name": target.name,
            "role": target.role,
            "zone": target.zone,
            "tenant": target.tenant,
            "owner": target.owner,
            "criticality": target.criticality,
            "reached": gap is None,
            "cause": gap.cause.value if gap and gap.cause else None,
            "detail": gap.detail if gap else "",
            "counts": _counts(_sum(groups.values())),
            "principles": principles,
        }

    def _gap_list(self) -> list[GapResult]:
        found: list[GapResult] = [
            {
                "status": status.value,
                "cause": cause.value if cause else None,
                "detail": gap.detail,
                "targets": sorted(gap.targets),
                "checks": sorted(gap.checks),
                "findings": gap.findings,
            }
            for (status, cause, _), gap in self._gaps.items()
        ]
        return sorted(
            found,
            key=lambda gap: (
                -gap["findings"], gap["status"], gap["cause"] or "", gap["detail"], gap["targets"], gap["checks"],
            ),
        )  # fmt: skip


def _control(
    control: Control, cover: Cover | None, tallies: Mapping[str, list[int]], unseen: bool
) -> ControlResult:
    links = [link for link in cover.links if link.check in tallies] if cover else []
    total = _sum(tallies[link.check] for link in links)
    proofs = [tallies[link.check] for link in links if link.relation == "proves"]
    whole = bool(proofs) and control.testable and cover is not None and not cover.gap_en
    proven = whole and any(tally[WORST_FIRST.index(State.PASS)] for tally in proofs)
    return {
        "id": control.id,
        "title_nl": control.title_nl,
        "title_en": control.title_en or control.title_nl,
        "kind": control.kind,
        "testable": control.testable,
        "confidence": control.confidence,
        "outcome": _outcome(total, whole=whole, proven=proven, unseen=unseen),
        "counts": _counts(total),
        "checks": [{"check": link.check, "relation": link.relation, "via": link.via} for link in links],
        "gap_nl": cover.gap_nl if cover else "",
        "gap_en": cover.gap_en if cover else "",
    }


def _outcome(tally: Sequence[int], *, whole: bool, proven: bool, unseen: bool) -> Outcome:
    """What the findings of all checks mapped to one control mean for it.

    ``whole``: no part of the control is left for other evidence. Only then can the absence of what was looked for
    mean that the control does not apply; otherwise nothing of it was measured.
    """
    worst = _worst(tally)
    if worst is None or (worst is State.NOTAPPLICABLE and not whole):
        return "not_covered"
    if worst is State.FAIL:
        return "nonconform"
    if unseen or worst not in (State.PASS, State.NOTAPPLICABLE):
        return "not_established"
    if worst is State.NOTAPPLICABLE:
        return "notapplicable"
    return "conform" if proven else "partly"


def _worst(tally: Sequence[int]) -> State | None:
    return next((state for state, number in zip(WORST_FIRST, tally, strict=True) if number), None)


def _state(tally: Sequence[int], unseen: bool = False) -> str:
    """The worst state counted; notchecked when nothing was counted, or when a target was not looked at."""
    state = _worst(tally) or State.NOTCHECKED
    if unseen and WORST_FIRST.index(state) > WORST_FIRST.index(State.NOTCHECKED):
        state = State.NOTCHECKED
    return state.value


def _sum(tallies: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip([0] * _WIDTH, *tallies, strict=True)]


def _counts(tally: Sequence[int]) -> Counts:
    return {name: tally[index] for name, index in _WRITTEN}


_NUMBER: Final = re.compile(r"\d+")


@lru_cache(maxsize=4096)
def _kind_of(detail: str, target: str) -> str:
    """A detail without what differs from host to host, so that one cause on many hosts is one line."""
    return _NUMBER.sub("#", detail.replace(target, "@"))
