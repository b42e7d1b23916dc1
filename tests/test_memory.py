"""What is judged once for all hosts: never for a host that differs in anything the verdict rests on."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import (
    Absent,
    Command,
    File,
    Layer,
    Raw,
    ScanTime,
    Severity,
    Target,
    Timed,
    Verdict,
    check,
    fact,
    holds,
    probe,
)
from scanner.declare import Check, Registry, collecting
from scanner.evaluate import Collected, Facts, Judge, judge, remembered, scan_time
from scanner.memory import Memory
from scanner.model import Cause, Finding, Gap, State
from scanner.sources import Source

FIRST, SECOND, CLOCK = Command("first"), Command("second"), Command("clock")
WHY: dict[str, Any] = {
    "principle": "DSM-IBP-5", "severity": Severity.LOW, "layer": Layer.HOST, "title_nl": "T", "why_nl": "W",
    "fix": "f", "verify": "v", "references": ("r",),
}  # fmt: skip
calls: list[str] = []
registry = Registry()
with collecting(registry):

    @fact
    class Said:
        text: str

    @fact
    class Twice:
        text: str

    @fact
    class Line:
        text: str

        def __str__(self) -> str:
            return self.text

    @fact
    class Read:
        path: str
        text: str

    @fact
    class Ours:
        text: str

    @fact
    class Moment:
        text: str

    @fact
    class Lag:
        seconds: float

    @probe("linux", answer=FIRST)
    def said(answer: Raw) -> Said:
        calls.append("said")
        if answer.err:
            raise Absent("it says why")
        return Said(f"{answer.text} {answer.code}")

    @probe("linux", other=SECOND)
    def twice(said: Said, other: Raw | None) -> Twice:
        return Twice(f"{said.text} {other.text if other else None}")

    @probe("linux", answer=FIRST)
    def line(answer: Raw) -> list[Line]:
        return [Line(text) for text in answer.lines]

    @probe("linux", file=lambda path: File(path=path))
    def read_file(file: Raw) -> Read:
        return Read("", file.text)

    @probe("linux", answer=FIRST)
    def ours(answer: Raw, target: Target) -> Ours:
        return Ours(f"{answer.text} {target.role}")

    @probe("linux", answer=FIRST)
    def moment(answer: Raw, now: ScanTime) -> Moment:
        return Moment(f"{answer.text} {now:%Y}")

    @probe("linux", clock=CLOCK)
    def lag(clock: Timed) -> Lag:
        return Lag(float(clock.text) - clock.at + clock.took)

    @check("memory.one", **WHY)
    def one(said: Said) -> Verdict:
        """It says good.

        Because.
        """
        calls.append("one")
        return holds("good" in said.text, said.text)

    @check("memory.two", **WHY)
    def two(twice: Twice, lines: list[Line]) -> Verdict:
        """Both agree.

        Because.
        """
        return holds("good" in twice.text, f"{twice.text} {lines}")

    @check("memory.each", **WHY)
    def each(line: Line, said: Said, *, word: Annotated[str, "what is good"] = "good") -> Verdict:
        """Each line is good.

        Because.
        """
        return holds(line.text == word, f"{line.text} {said.text}")

    @check("memory.argument", **WHY)
    def argument(a: Annotated[Read, "/a"], b: Annotated[Read, "/b"] | None) -> Verdict:
        """The files are alike.

        Because.
        """
        return holds(b is not None and a.text == b.text, f"{a.text} {b and b.text}")

    @check("memory.target", **WHY)
    def of_target(said: Said, target: Target) -> Verdict:
        """It is said of this host.

        Because.
        """
        return holds(target.name in said.text, target.name)

    @check("memory.target-below", **WHY)
    def of_target_below(ours: Ours) -> Verdict:
        """The role is right.

        Because.
        """
        return holds("good" in ours.text, ours.text)

    @check("memory.moment", **WHY)
    def of_moment(said: Said, now: ScanTime) -> Verdict:
        """It is this year.

        Because.
        """
        return holds(now.year == 2026, f"{now:%Y} {said.text}")

    @check("memory.moment-below", **WHY)
    def of_moment_below(moment: Moment) -> Verdict:
        """It is this year.

        Because.
        """
        return holds("2026" in moment.text, moment.text)

    @check("memory.lag", **WHY)
    def of_lag(lag: Lag) -> Verdict:
        """The clock is right.

        Because.
        """
        return holds(abs(lag.seconds) < 1, f"{lag.seconds:.1f}")


registry.link()
SOURCES: tuple[Source, ...] = (FIRST, SECOND, CLOCK, File(path="/a"), File(path="/b"))


class Host:
    """A host: what it answers, what the inventory says of it, and when."""

    def __init__(self, number: int, answers: dict[Source, Timed], role: str = "", now: float = 1.8e9) -> None:
        self.target = Target(name=f"host{number}", address="127.0.0.1", role=role)
        self.answers, self.now = answers, now

    def facts(self, memory: Memory | None) -> Facts:
        from scanner.evidence import sha256

        collected = {
            source: Collected(
                raw,
                tuple(sha256(part).hexdigest() for part in ((raw.out, raw.err) if raw.err else (raw.out,))),
            )
            for source, raw in self.answers.items()
        }
        return Facts(self.target, collected, registry, scan_time(self.now), memory=memory)


def judges(settings: dict[str, Any] | None = None) -> list[Judge]:
    return [
        remembered(check, judge(check, registry, settings if check.tunables else None))
        for check in registry.checks.values()
    ]


def findings(hosts: list[Host], memory: Memory | None) -> list[Finding]:
    runs = judges()
    return [
        finding for host in hosts for facts in [host.facts(memory)] for run in runs for finding in run(facts)
    ]


def answered(first: bytes = b"good\n", **more: Any) -> dict[Source, Timed]:
    answers: dict[Source, Timed] = {source: Timed(b"good\n") for source in SOURCES}
    answers[CLOCK] = Timed(b"1800000000", at=1.8e9)
    answers[FIRST] = Timed(first, **more)
    return answers


@pytest.fixture(autouse=True)
def counting() -> Iterator[None]:
    calls.clear()
    yield
    calls.clear()


def statuses(hosts: list[Host], check_id: str) -> list[State]:
    return [finding.status for finding in findings(hosts, Memory()) if finding.check == check_id]


def test_equal_evidence_is_read_and_judged_once() -> None:
    found = findings([Host(number, answered()) for number in range(5)], Memory())
    assert (calls.count("said"), calls.count("one")) == (1, 1)
    assert [one.target for one in found if one.check == "memory.one"] == [f"host{n}" for n in range(5)]


def test_each_finding_has_its_own_target_and_moment() -> None:
    found = findings([Host(number, answered(), now=1.8e9 + number) for number in range(3)], Memory())
    mine = [(one.target, one.collected_at) for one in found if one.check == "memory.each"]
    assert mine == [("host0", 1.8e9), ("host1", 1.8e9 + 1), ("host2", 1.8e9 + 2)]


@pytest.mark.parametrize(
    "other",
    [
        answered(b"bad\n"),
        answered(b"good\n", err=b"no"),
        answered(b"good\n", code=1),
        answered(b"good\n", code=None, gap=Gap(State.ERROR, Cause.TIMEOUT, "late")),
    ],
)
def test_different_evidence_is_judged_apart(other: dict[Source, Timed]) -> None:
    first, second, third = statuses([Host(0, answered()), Host(1, other), Host(2, answered())], "memory.one")
    assert first is third is State.PASS
    assert second is not State.PASS


def test_what_was_not_collected_is_no_others_answer() -> None:
    nothing = {FIRST: answered()[FIRST]}
    assert statuses([Host(0, answered()), Host(1, nothing), Host(2, {})], "memory.two") == [
        State.PASS, State.ERROR, State.ERROR,
    ]  # fmt: skip


def test_two_unreached_hosts_each_have_their_own_reason() -> None:
    target = Target(name="a", address="127.0.0.1")
    memory, run = Memory(), judges()[0]
    gaps = [Gap(State.ERROR, Cause.REFUSED, "refused"), Gap(State.ERROR, Cause.DNS, "no such name")]
    found = [run(Facts(target, {}, registry, scan_time(0), gap, memory))[0] for gap in gaps]
    assert [(one.cause, one.observed) for one in found] == [(gap.cause, gap.detail) for gap in gaps]


def test_a_difference_in_what_a_fact_rests_on_is_a_difference_in_the_fact() -> None:
    other = answered() | {SECOND: Timed(b"worse\n")}
    seen = [
        finding.observed
        for finding in findings([Host(0, answered()), Host(1, other)], Memory())
        if finding.check == "memory.two"
    ]
    assert "worse" not in seen[0]
    assert "worse" in seen[1]


def test_the_argument_of_a_fact_counts() -> None:
    a, b = File(path="/a"), File(path="/b")
    other = answered() | {a: Timed(b"x"), b: Timed(b"y")}
    swapped = answered() | {a: Timed(b"y"), b: Timed(b"x")}
    seen = [
        one.observed
        for one in findings([Host(0, answered()), Host(1, other), Host(2, swapped)], Memory())
        if one.check == "memory.argument"
    ]
    assert seen[1:] == ["x y", "y x"]


def test_what_the_inventory_says_counts() -> None:
    hosts = [Host(0, answered(b"host0\n"), role="good"), Host(1, answered(b"host0\n"), role="bad")]
    assert statuses(hosts, "memory.target") == [State.PASS, State.FAIL]
    assert statuses(hosts, "memory.target-below") == [State.PASS, State.FAIL]


def test_the_moment_of_the_scan_counts() -> None:
    hosts = [Host(0, answered(), now=1.79e9), Host(1, answered(), now=1.9e9)]
    assert statuses(hosts, "memory.moment") == [State.PASS, State.FAIL]
    assert statuses(hosts, "memory.moment-below") == [State.PASS, State.FAIL]


def test_the_moment_of_the_answer_counts_for_who_asks_for_it() -> None:
    late = answered() | {CLOCK: Timed(b"1800000000", at=1.8e9 + 60)}
    slow = answered() | {CLOCK: Timed(b"1800000000", at=1.8e9, took=60)}
    hosts = [Host(0, answered()), Host(1, late), Host(2, slow)]
    assert statuses(hosts, "memory.lag") == [State.PASS, State.FAIL, State.FAIL]


def test_who_does_not_ask_for_the_moment_is_not_told() -> None:
    late = Timed(b"good\n", at=5.0, took=3.0)
    facts = Host(0, answered() | {FIRST: late}).facts(None)
    given: list[Raw] = []
    known = registry.probes[Said]["linux"]
    spied = replace(known, function=lambda answer: given.append(answer) or Said("x"))
    registry.probes[Said]["linux"] = spied
    try:
        facts.fact(Said)
    finally:
        registry.probes[Said]["linux"] = known
    assert type(given[0]) is Raw
    assert not hasattr(given[0], "at")
    assert not hasattr(given[0], "took")


def test_settings_count() -> None:
    memory, host = Memory(), Host(0, answered())
    check: Check = registry.checks["memory.each"]
    runs = [remembered(check, judge(check, registry, {"word": word})) for word in ("good", "other")]
    found = [run(Host(number, host.answers).facts(memory))[0] for number in range(2) for run in runs]
    assert [one.status for one in found] == [State.PASS, State.FAIL, State.PASS, State.FAIL]


ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        source: st.builds(
            Timed,
            out=st.sampled_from([b"", b"good\n", b"bad\n", b"good\nbad\n", b"1800000000", b"\xff"]),
            err=st.sampled_from([b"", b"Permission denied"]),
            code=st.sampled_from([0, 1, 127, None]),
            gap=st.sampled_from([None, None, Gap(State.ERROR, Cause.RESET, "x"), Gap(State.NOTAPPLICABLE, None, "-")]),
            at=st.sampled_from([0.0, 1.8e9]),
        )
        for source in SOURCES
    },
)  # fmt: skip
HOSTS = st.lists(
    st.tuples(ANSWERS, st.sampled_from(["", "good"]), st.sampled_from([1.79e9, 1.9e9])),
    min_size=2,
    max_size=8,
)


@given(HOSTS, st.sampled_from([1, 3, 1000]), st.sampled_from([8, 64, 1 << 20]))
def test_whatever_hosts_answer_a_memory_of_any_size_changes_no_finding(
    population: list[tuple[dict[Source, Timed], str, float]], count: int, size: int
) -> None:
    hosts = [Host(number, *host) for number, host in enumerate(population)]
    assert findings(hosts, Memory(count, size)) == findings(hosts, None)


def test_it_forgets_what_was_asked_for_longest_ago() -> None:
    memory = Memory(count=2)
    memory.put("a", 1, 1)
    memory.put("b", 2, 1)
    assert memory.get("a") == 1
    memory.put("c", 3, 1)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_it_holds_no_more_than_it_may() -> None:
    memory = Memory(size=100)
    for number in range(50):
        memory.put(number, object(), 25)
    assert [number for number in range(50) if memory.get(number) is not None] == [46, 47, 48, 49]
    memory.put("large", object(), 26)
    assert memory.get("large") is None


def test_what_is_forgotten_is_let_go() -> None:
    memory, value = Memory(count=1), ["kept"]
    memory.put("a", value, 1)
    before = sys.getrefcount(value)
    memory.put("b", 1, 1)
    gc.collect()
    assert sys.getrefcount(value) == before - 1
