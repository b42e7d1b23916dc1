"""What findings mean: counted, rolled up worst first, and never better than what was seen."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.aggregate import GAP_KINDS, Assessment, Assessor, coverage, exit_code
from scanner.declare import Check
from scanner.model import WORST_FIRST, Cause, Finding, Gap, Severity, State, Target
from scanner.policy import Catalogue, Control, Cover, Link, Norm, Principle, Relation

PASS, FAIL, ERROR, UNKNOWN = State.PASS, State.FAIL, State.ERROR, State.UNKNOWN
NOTCHECKED, NOTAPPLICABLE = State.NOTCHECKED, State.NOTAPPLICABLE
HOSTS = ("a", "b", "c")
TARGETS = tuple(Target(name=name, address="192.0.2.1", role="web", zone="dmz") for name in HOSTS)


def a_check(id_: str, principles: tuple[str, ...], severity: Severity) -> Check:
    return cast("Check", SimpleNamespace(id=id_, principles=principles, severity=severity))


CHECKS = (
    a_check("one.proves", ("P1",), Severity.HIGH),
    a_check("two.supports", ("P1", "P2"), Severity.LOW),
    a_check("three.indicates", ("P2",), Severity.CRITICAL),
    a_check("four.elsewhere", ("P3",), Severity.MEDIUM),
)


def a_principle(id_: str) -> Principle:
    return Principle(
        id=id_, title_nl=id_, title_en=id_, statement_nl="s", statement_en="s", confidence="high"
    )


def a_catalogue(covers: Mapping[str, Cover], untestable: Iterable[str] = ()) -> Catalogue:
    controls = tuple(
        Control(
            id=id_,
            kind="control",
            testable=id_ not in set(untestable),
            confidence="high",
            title_nl=f"nl {id_}",
        )
        for id_ in (*covers, "bare")
    )
    gone = Control(
        id="gone", kind="measure", testable=True, status="vervallen", confidence="high", title_nl="g"
    )
    norm = Norm(
        id="n", title_nl="n", title_en="n", version="1", date="2026", status_nl="s", status_en="s", source="s",
        licence="l", confidence="high", accepts_risk=False, controls=(*controls, gone),
    )  # fmt: skip
    principles = tuple(a_principle(id_) for id_ in ("P1", "P2", "P3", "P4"))
    return Catalogue(principles, (norm,), {"n": dict(covers)}, {}, {})


def link(check: str, relation: Relation, via: str = "") -> Link:
    return Link(check, relation, via)


COVERS = {
    "whole": Cover((link("one.proves", "proves"), link("two.supports", "supports"))),
    "gap": Cover((link("one.proves", "proves"),), "rest", "rest"),
    "piece": Cover((link("two.supports", "supports"), link("three.indicates", "indicates", "whole"))),
    "strange": Cover((link("five.not-selected", "proves"),)),
}


def a_finding(
    target: str, check: str, status: State, detail: str = "", cause: Cause | None = None
) -> Finding:
    return Finding(target, check, "", status, cause, detail, "", (), 0.0)


def counted(findings: Iterable[Finding], catalogue: Catalogue | None = None) -> Assessor:
    assessor = Assessor(CHECKS, catalogue or a_catalogue(COVERS))
    for finding in findings:
        assessor.add(finding)
    return assessor


def assessed(
    findings: Iterable[Finding], targets: Iterable[Target] = TARGETS[:1], **unreached: Gap
) -> Assessment:
    return counted(findings).assessment("run-1", targets, unreached)


def outcomes(assessment: Assessment) -> dict[str, str]:
    return {control["id"]: control["outcome"] for control in assessment["norms"][0]["controls"]}


def states(assessment: Assessment) -> dict[str, str]:
    return {principle["id"]: principle["state"] for principle in assessment["principles"]}


# --- controls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "outcome"),
    [
        ([PASS], [PASS], "conform"),
        ([PASS, NOTAPPLICABLE], [NOTAPPLICABLE], "conform"),
        ([NOTAPPLICABLE], [PASS], "partly"),  # nothing proved it
        ([PASS], [FAIL], "nonconform"),
        ([FAIL], [ERROR], "nonconform"),
        ([PASS], [ERROR], "not_established"),
        ([PASS], [UNKNOWN], "not_established"),
        ([PASS, NOTCHECKED], [PASS], "not_established"),
        ([NOTAPPLICABLE], [NOTAPPLICABLE], "notapplicable"),
        ([], [], "not_covered"),
    ],
)
def test_the_outcome_of_a_control(one: list[State], two: list[State], outcome: str) -> None:
    findings = [a_finding("a", "one.proves", state) for state in one]
    findings += [a_finding("a", "two.supports", state) for state in two]
    findings.append(a_finding("a", "four.elsewhere", PASS))
    assert outcomes(assessed(findings))["whole"] == outcome


def test_a_control_with_a_gap_is_never_more_than_partly() -> None:
    result = outcomes(assessed([a_finding("a", "one.proves", PASS)]))
    assert (result["whole"], result["gap"]) == ("conform", "partly")


def test_absence_says_nothing_of_the_part_that_is_not_measured() -> None:
    findings = [a_finding("a", check.id, NOTAPPLICABLE) for check in CHECKS]
    result = outcomes(assessed(findings))
    assert (result["whole"], result["gap"], result["piece"]) == (
        "notapplicable",
        "not_covered",
        "not_covered",
    )


def test_support_alone_is_partly() -> None:
    findings = [a_finding("a", "two.supports", PASS), a_finding("a", "three.indicates", PASS)]
    assert outcomes(assessed(findings))["piece"] == "partly"


def test_a_control_that_cannot_be_tested_is_never_conform() -> None:
    catalogue = a_catalogue({"paper": Cover((link("one.proves", "proves"),))}, untestable=["paper"])
    assessor = counted([a_finding("a", "one.proves", PASS)], catalogue)
    assert outcomes(assessor.assessment("r", TARGETS[:1], {}))["paper"] == "partly"


def test_what_no_selected_check_covers_is_said() -> None:
    result = outcomes(assessed([a_finding("a", "one.proves", PASS)]))
    assert (result["strange"], result["bare"]) == ("not_covered", "not_covered")


def test_a_norm_sums_up_its_live_controls() -> None:
    findings = [a_finding("a", "one.proves", FAIL), a_finding("a", "two.supports", PASS)]
    norm = assessed(findings)["norms"][0]
    assert norm["summary"] == {
        "nonconform": 2, "not_established": 0, "conform": 0, "partly": 1, "notapplicable": 0, "not_covered": 2,
    }  # fmt: skip
    assert [control["id"] for control in norm["controls"]] == ["whole", "gap", "piece", "strange", "bare"]


def test_a_control_shows_its_checks_counts_and_gap() -> None:
    findings = [a_finding("a", "two.supports", PASS), a_finding("b", "two.supports", ERROR)]
    controls = {control["id"]: control for control in assessed(findings)["norms"][0]["controls"]}
    assert controls["piece"]["checks"] == [
        {"check": "two.supports", "relation": "supports", "via": ""},
        {"check": "three.indicates", "relation": "indicates", "via": "whole"},
    ]
    assert controls["piece"]["counts"] == {
        "pass": 1, "fail": 0, "error": 1, "unknown": 0, "notapplicable": 0, "notchecked": 0,
    }  # fmt: skip
    assert (controls["gap"]["gap_nl"], controls["gap"]["gap_en"]) == ("rest", "rest")
    assert controls["gap"]["title_en"] == "nl gap"


# --- principles and targets -----------------------------------------------------------------------------------


def test_a_principle_has_counts_denominators_and_failures_by_severity() -> None:
    findings = [
        a_finding("a", "one.proves", PASS),
        a_finding("a", "two.supports", FAIL),
        a_finding("b", "two.supports", ERROR, "no answer", Cause.TIMEOUT),
        a_finding("b", "one.proves", NOTAPPLICABLE),
    ]
    first, second, _, fourth = assessed(findings)["principles"]
    assert first["checks"] == 2
    assert first["counts"] == {
        "pass": 1, "fail": 1, "error": 1, "unknown": 0, "notapplicable": 1, "notchecked": 0,
    }  # fmt: skip
    assert (first["applicable"], first["established"]) == (3, 2)
    assert first["state"] == "fail"
    assert first["failed_by_severity"] == {"critical": 0, "high": 0, "medium": 0, "low": 1, "info": 0}
    assert (second["checks"], second["applicable"]) == (2, 2)
    assert (fourth["checks"], fourth["state"], sum(fourth["counts"].values())) == (0, "notchecked", 0)


@pytest.mark.parametrize(
    ("worse", "better"), list(itertools.combinations(WORST_FIRST, 2)), ids=" before ".join
)
def test_worst_first(worse: State, better: State) -> None:
    findings = [a_finding("a", "one.proves", better), a_finding("a", "one.proves", worse)]
    assert states(assessed(findings))["P1"] == worse


def test_a_target_is_shown_with_its_own_findings_only() -> None:
    findings = [
        a_finding("a", "one.proves", PASS),
        a_finding("b", "one.proves", FAIL),
        a_finding("*", "two.supports", FAIL),
    ]
    gap = Gap(ERROR, Cause.REFUSED, "port 22: refused")
    a, b, c = assessed(findings, TARGETS, c=gap)["targets"]
    assert (a["counts"]["pass"], a["counts"]["fail"], a["principles"]["P1"]["state"]) == (1, 0, "pass")
    assert (b["principles"]["P1"]["state"], b["principles"]["P2"]["state"]) == ("fail", "notchecked")
    assert (a["reached"], a["cause"], a["detail"]) == (True, None, "")
    assert (c["reached"], c["cause"], c["detail"]) == (False, "refused", "port 22: refused")
    assert (a["role"], a["zone"], a["owner"], a["criticality"]) == ("web", "dmz", "", "")


def test_a_target_without_findings_makes_nothing_good() -> None:
    findings = [a_finding("a", "one.proves", PASS), a_finding("a", "three.indicates", FAIL)]
    before, after = assessed(findings), assessed(findings, TARGETS[:2])
    assert (states(before)["P1"], outcomes(before)["whole"]) == ("pass", "conform")
    assert (states(after)["P1"], outcomes(after)["whole"]) == ("notchecked", "not_established")
    assert (states(after)["P2"], outcomes(after)["piece"]) == ("fail", "nonconform")


# --- gaps -----------------------------------------------------------------------------------------------------


def test_one_cause_on_many_hosts_is_one_gap() -> None:
    findings = [
        a_finding(name, check.id, ERROR, f"{name}: 192.0.2.{number}: timed out", Cause.TIMEOUT)
        for number, name in enumerate(HOSTS, 7)
        for check in CHECKS
    ]
    findings.append(a_finding("a", "one.proves", UNKNOWN, "exit status 3", Cause.PARSE))
    findings.append(a_finding("a", "one.proves", FAIL, "no"))
    assert assessed(findings)["gaps"] == [
        {
            "status": "error", "cause": "timeout", "detail": "a: 192.0.2.7: timed out",
            "targets": ["a", "b", "c"], "checks": sorted(check.id for check in CHECKS), "findings": 12,
        },
        {
            "status": "unknown", "cause": "parse", "detail": "exit status 3",
            "targets": ["a"], "checks": ["one.proves"], "findings": 1,
        },
    ]  # fmt: skip


def test_endless_kinds_of_gap_are_counted_but_not_listed_apart() -> None:
    words = ["".join(letters) for letters in itertools.product("abcdefgh", repeat=3)]
    gaps = assessed(a_finding("b", "one.proves", ERROR, word, Cause.ROUTE) for word in words)["gaps"]
    assert len(gaps) == GAP_KINDS + 1
    assert sum(gap["findings"] for gap in gaps) == len(words)
    assert gaps[0]["detail"] == ""


# --- what must hold for any findings --------------------------------------------------------------------------

FINDINGS = st.lists(
    st.builds(
        a_finding,
        st.sampled_from((*HOSTS, "*")),
        st.sampled_from([check.id for check in CHECKS]),
        st.sampled_from(WORST_FIRST),
        st.text("ab1 ", max_size=6),
        st.none() | st.sampled_from(Cause),
    ),
    max_size=40,
)
#: A busy machine is no reason to fail.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BETTER_OUTCOMES = ("conform", "partly", "notapplicable", "not_covered")


@UNHURRIED
@given(FINDINGS)
def test_every_finding_is_counted_once(findings: list[Finding]) -> None:
    assessor = counted(findings)
    assessment = assessor.assessment("r", TARGETS, {})
    assert assessor.counts() == dict.fromkeys(assessor.counts(), 0) | Counter(
        finding.status.value for finding in findings
    )
    own = [finding for finding in findings if finding.target != "*"]
    assert sum(sum(target["counts"].values()) for target in assessment["targets"]) == len(own)
    blind = sum(finding.status in (ERROR, UNKNOWN) for finding in findings)
    assert sum(gap["findings"] for gap in assessment["gaps"]) == blind
    for principle in assessment["principles"]:
        names = {check.id for check in CHECKS if principle["id"] in check.principles}
        mine = [finding for finding in findings if finding.check in names]
        assert sum(principle["counts"].values()) == len(mine)
        assert principle["counts"]["fail"] == sum(principle["failed_by_severity"].values())
        assert principle["established"] <= principle["applicable"] <= len(mine)
    norm = assessment["norms"][0]
    assert sum(norm["summary"].values()) == len(norm["controls"])


@UNHURRIED
@given(FINDINGS)
def test_a_control_with_anything_not_established_never_conforms(findings: list[Finding]) -> None:
    for control in assessed(findings, TARGETS)["norms"][0]["controls"]:
        counts = control["counts"]
        if counts["error"] or counts["unknown"] or counts["notchecked"]:
            assert control["outcome"] in ("nonconform", "not_established")
        if control["outcome"] == "conform":
            assert counts["fail"] == 0
            assert counts["pass"] > 0


@UNHURRIED
@given(FINDINGS, st.sampled_from(HOSTS), st.sampled_from([check.id for check in CHECKS]))
def test_one_more_error_never_makes_anything_better(findings: list[Finding], host: str, check: str) -> None:
    # An error is a finding, so the host is no longer one that was never looked at: compare with it looked at.
    seen = [*findings, *(a_finding(name, "four.elsewhere", NOTAPPLICABLE) for name in HOSTS)]
    before = assessed(seen, TARGETS)
    after = assessed([*seen, a_finding(host, check, ERROR, "no", Cause.AUTH)], TARGETS)
    rank = {state.value: index for index, state in enumerate(WORST_FIRST)}
    for one, other in zip(before["principles"], after["principles"], strict=True):
        nothing = not sum(one["counts"].values())
        assert nothing or rank[other["state"]] <= rank[one["state"]]
        assert other["established"] == one["established"]
    for control, worse in zip(before["norms"][0]["controls"], after["norms"][0]["controls"], strict=True):
        if control["outcome"] not in BETTER_OUTCOMES:
            assert worse["outcome"] == control["outcome"]
        assert (worse["outcome"] == "conform") <= (control["outcome"] == "conform")


@UNHURRIED
@given(FINDINGS, st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(findings: list[Finding], chance: Any) -> None:
    shuffled = list(findings)
    chance.shuffle(shuffled)
    assert assessed(findings, TARGETS) == assessed(shuffled, TARGETS)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"pass": 3}, ((3, 3), 0)),
        ({"pass": 3, "fail": 1}, ((4, 4), 1)),
        ({"pass": 3, "fail": 1, "error": 2}, ((6, 4), 2)),
        ({"unknown": 1}, ((1, 0), 2)),
        ({"notchecked": 1, "pass": 1}, ((2, 1), 2)),
        ({"notapplicable": 9}, ((0, 0), 0)),
        ({}, ((0, 0), 0)),
    ],
)
def test_coverage_and_exit_code(counts: dict[str, int], expected: tuple[tuple[int, int], int]) -> None:
    full = {state.value: 0 for state in WORST_FIRST} | counts
    result = coverage(full)
    assert ((result["applicable"], result["established"]), exit_code(full)) == expected


def test_counting_is_fast_and_small() -> None:
    checks = [a_check(f"c.{number}", (f"P{number % 4 + 1}",), Severity.LOW) for number in range(200)]
    findings = [a_finding(f"host-{host}", check.id, PASS) for host in range(250) for check in checks]
    assessor = Assessor(checks, a_catalogue(COVERS))
    tracemalloc.start()
    try:
        for finding in findings:
            assessor.add(finding)
        assert tracemalloc.get_traced_memory()[0] < 250 * 2048
    finally:
        tracemalloc.stop()
    begin = time.process_time()
    for finding in findings:
        assessor.add(finding)
    assert len(findings) / (time.process_time() - begin) > 200_000
