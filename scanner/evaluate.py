"""Evidence -> facts -> findings: pure. The same evidence gives the same findings, here and anywhere.

A check is called only when everything it asks for was really seen. What could not be seen becomes error, unknown
or notapplicable here, in one place, so that no check author has to remember it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from scanner.declare import (
    Absent,
    Ask,
    Blind,
    Check,
    Each,
    Fleet,
    Kind,
    NotUnderstood,
    Probe,
    Registry,
    Results,
    ScanTime,
    Unseen,
)
from scanner.memory import Memory
from scanner.model import Cause, Finding, Gap, Raw, State, Target, Timed, Verdict
from scanner.sources import CONVERSATIONS, Shell, Source

#: Characters of an observation that are kept; a target may not fill the report.
OBSERVED_LIMIT: Final = 1000
FLEET: Final = "*"

#: Why a source has no answer that this run did not ask for.
NOT_COLLECTED: Final = Gap(State.ERROR, Cause.INTERNAL, "not collected in this run")
_SEEN_ORDER: Final = (State.ERROR, State.UNKNOWN, State.NOTAPPLICABLE)
_SUDO_REFUSES: Final = re.compile(
    r"sudo: a (?:password|terminal) is required|"
    r"(?:Sorry, user|sudo: ).*(?:not allowed|may not run|not in the sudoers).*"
)
_REFUSALS: Final = (
    "permission denied",
    "operation not permitted",
    "must be root",
    "must be run as root",
    "must be superuser",
    "you need to be root",
    "access denied",
    "insufficient privileges",
    "cannot open netlink audit socket",
)
#: What systemctl and its kin say where no systemd runs to answer them.
_NOBODY_THERE: Final = ("failed to connect to bus", "not been booted with systemd")


class Collected(NamedTuple):
    """One source's answer as kept: the raw bytes and the digests that name them."""

    raw: Timed
    evidence: tuple[str, ...]


class Same:
    """Stands for all that one fact rests on: two targets have the same one only when all of it is equal there."""

    __slots__ = ()


class Known(NamedTuple):
    """A fact, or why it is not there; a list of `Item` when it fans out.

    ``same`` is None when the fact is this target's alone.
    """

    value: Any
    gap: Gap | None
    evidence: tuple[str, ...]
    same: Same | None = None


class Item(NamedTuple):
    """One of many: a value or the gap in its place, under a subject's name.

    ``at`` is the further address of the target that it was found at; empty at the target's own.
    """

    value: Any
    gap: Gap | None
    subject: str
    evidence: tuple[str, ...]
    at: str = ""

    @classmethod
    def of(cls, value: Any, evidence: tuple[str, ...], at: str = "") -> Item:
        """The item of a value, which may say itself where it is."""
        at = at or getattr(value, "further_address", "")
        return cls(value, None, located(str(value), at), evidence, at)


def located(subject: str, at: str) -> str:
    """A subject with the address it is at, when that is not the target's own."""
    return f"{subject} of {at}" if at else subject


def _item(one: Any, evidence: tuple[str, ...]) -> Item:
    if isinstance(one, Unseen):
        at = one.further_address
        return Item(None, one.gap, located(one.subject, at), evidence, at)
    return Item.of(one, evidence)


def question(each: Each, item: Item) -> Source | Gap | None:
    """What is asked of an item of a fact: nothing when it is not the probe's business, a gap when that cannot be told.

    It is asked at the address where the item was found. Items hold what targets said, so the functions that make a
    question of them may trip over it; that costs the item.
    """
    try:
        source = each.source(item.value) if each.when(item.value) else None
    except Exception as error:
        return _why(error, "no question can be made of this")
    if item.at and isinstance(source, CONVERSATIONS) and not source.address:
        return replace(source, address=item.at)
    return source


def understood(source: Source, raw: Raw) -> Gap | None:
    """Why this answer may not be judged, or None when it is complete.

    Exit codes and refusals are read here, from the evidence, so that replay reads them again.
    """
    if raw.gap is not None:
        return raw.gap
    if not isinstance(source, Shell):
        return None
    code, what = raw.code, _named(source)
    said = raw.err[-2000:].decode(errors="replace").strip() if raw.err else ""
    if source.root and code == 1 and not raw.out and (refusal := _SUDO_REFUSES.search(said)):
        # Before exit codes are read: what sudo refused did not run, whatever its status would have meant.
        return Gap(State.ERROR, Cause.PRIVILEGE, f"{what}: {refusal[0]}")
    if code in source.ok:
        return None
    if code in (124, 137):
        return Gap(State.ERROR, Cause.TIMEOUT, f"{what}: no answer within {source.timeout} seconds")
    last = said.rsplit("\n", 1)[-1]
    if source.absent and last.endswith(source.absent) and not raw.out:
        return Gap(State.NOTAPPLICABLE, None, last)
    lowered = said.lower()
    if any(refusal in lowered for refusal in _REFUSALS):
        return Gap(State.ERROR, Cause.PRIVILEGE, f"{what}: {last}")
    if code == 127 or any(words in lowered for words in _NOBODY_THERE):
        return Gap(State.ERROR, Cause.TOOL_MISSING, f"{what}: {last}")
    return Gap(State.UNKNOWN, Cause.PARSE, f"{what}: exit status {code}" + (f": {last}" if last else ""))


@lru_cache(maxsize=4096)
def _named(source: Source) -> str:
    """What was asked, short enough for a sentence; the whole of it stands in the manifest."""
    command = source.describe()
    return command if len(command) <= 60 else f"{command[:59]}…"


def _worse(gaps: Iterable[Gap]) -> Gap:
    return min(gaps, key=lambda gap: _SEEN_ORDER.index(gap.state))


def _merge(*many: tuple[str, ...]) -> tuple[str, ...]:
    if len(many) == 1:
        return many[0]
    return tuple(dict.fromkeys(digest for some in many for digest in some))


def _source(probe: Probe, ask: Ask, argument: object, each: Mapping[str, Source]) -> Source:
    """What the parameter of a probe is the answer to; ``each`` are the questions asked per item."""
    source = each.get(ask.name) or probe.sources[ask.name]
    found: Source = source(argument) if callable(source) else source
    return found


class Facts:
    """The facts of one target, made on demand from its evidence and remembered.

    ``missing`` says why a source has no answer at all: one unreachable host is one cause. With a ``memory``
    that several targets share, what rests on equal evidence is made once for all of them.
    """

    def __init__(
        self,
        target: Target,
        answers: Mapping[Source, Collected],
        registry: Registry,
        now: ScanTime,
        missing: Gap = NOT_COLLECTED,
        memory: Memory | None = None,
    ) -> None:
        self.target, self.answers, self.registry, self.now = target, answers, registry, now
        self.name, self.at, self.missing, self.memory = target.name, now.timestamp(), missing, memory
        self._known: dict[tuple[type[Any], object], Known] = {}

    def fact(self, kind: type[Any], argument: object = None) -> Known:
        """The fact, its gap, or (when a probe gives many) a list of `Item`."""
        key = (kind, argument)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._make(kind, argument)
        return known

    def answer(self, source: Source) -> tuple[Timed, Gap | None, tuple[str, ...]]:
        """What came back for a source; a gap when it was not collected."""
        collected = self.answers.get(source)
        if collected is None:
            return Timed(), self.missing, ()
        return collected.raw, understood(source, collected.raw), collected.evidence

    def _make(self, kind: type[Any], argument: object) -> Known:
        probe = self.registry.probe_for(kind, self.target.platform)
        if probe is None:
            detail = f"{kind.__name__} is not known on {self.target.platform}"
            return Known(None, Gap(State.NOTAPPLICABLE, None, detail), ())
        if probe.each is not None:
            return self._make_each(probe, argument)
        rests_on = self._rests_on(probe, argument) if self.memory is not None else None
        if rests_on is None:
            return self._make_one(probe, argument)
        key, size = rests_on
        assert self.memory is not None
        known: Known | None = self.memory.get(key)
        if known is None:
            known = self._make_one(probe, argument)._replace(same=Same())
            self.memory.put(key, known, size)
        return known

    def _rests_on(self, probe: Probe, argument: object) -> tuple[Hashable, int] | None:
        """All that the fact depends on, and its size; None when something in it is this target's alone.

        What a `Timed` parameter gets is never equal; nor are a target and its moment.
        """
        parts: list[Hashable] = [probe, argument]
        size = 0
        for ask in probe.asks:
            if ask.kind is Kind.RAW:
                collected = self.answers.get(_source(probe, ask, argument, {}))
                if collected is None or ask.timed:
                    return None
                raw = collected.raw
                parts.append((raw.out, raw.err, raw.code, raw.gap, collected.evidence))
                size += len(raw.out) + len(raw.err)
            else:
                same = self.same(ask)
                if same is None:
                    return None
                parts.append(same)
        return tuple(parts), size

    def same(self, ask: Ask) -> Same | None:
        """What the fact asked for rests on, when it is the same for other targets."""
        return self.fact(ask.fact, ask.argument).same if ask.fact is not None else None

    def _make_one(self, probe: Probe, argument: object) -> Known:
        given, gap, evidence = self._inputs(probe, argument, {})
        if gap is not None:
            return Known(None, gap, evidence)
        value, gap = self._call(probe, given)
        if gap is None and probe.many:
            value = [_item(one, evidence) for one in value]
        return Known(value, gap, evidence)

    def _make_each(self, probe: Probe, argument: object) -> Known:
        assert probe.each is not None
        assert probe.each.fact is not None
        base = self.fact(probe.each.fact)
        if base.gap is not None:
            return base
        items: list[Item] = []
        for item in base.value:
            if item.gap is not None:
                items.append(item)
                continue
            asked = {
                name: question(source, item)
                for name, source in probe.sources.items()
                if isinstance(source, Each)
            }
            if None in asked.values():
                continue
            if no_question := next((one for one in asked.values() if isinstance(one, Gap)), None):
                items.append(Item(None, no_question, item.subject, item.evidence, item.at))
                continue
            given, gap, evidence = self._inputs(probe, argument, asked)
            evidence = _merge(item.evidence, evidence)
            value = None
            if gap is None:
                if probe.each.name:
                    given[probe.each.name] = item.value
                value, gap = self._call(probe, given)
            if gap is not None and gap.state is State.NOTAPPLICABLE:
                continue
            if gap is not None:
                items.append(Item(None, gap, item.subject, evidence, item.at))
            else:
                items.append(Item.of(value, evidence, item.at))
        return Known(items, None, base.evidence)

    def _inputs(
        self, probe: Probe, argument: object, each: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Gap | None, tuple[str, ...]]:
        given: dict[str, Any] = {}
        gaps: list[Gap] = []
        seen: list[tuple[str, ...]] = []
        for ask in probe.asks:
            if ask.kind is Kind.RAW:
                raw, gap, evidence = self.answer(_source(probe, ask, argument, each))
                value: Any = raw if ask.timed else Raw(raw.out, raw.err, raw.code, raw.gap)
                seen.append(evidence)
            else:
                value, gap, evidence, _ = self.ask(ask)
                seen.append(evidence)
            if gap is not None:
                if ask.optional and gap.state is State.NOTAPPLICABLE:
                    value = None
                elif ask.gap:
                    value = gap
                else:
                    gaps.append(gap)
            given[ask.name] = value
        return given, _worse(gaps) if gaps else None, _merge(*seen) if seen else ()

    def ask(self, ask: Ask) -> Known:
        """What one parameter gets; never for Fleet or Results."""
        if ask.kind is Kind.TARGET:
            return Known(self.target, None, ())
        if ask.kind is Kind.NOW:
            return Known(self.now, None, ())
        assert ask.fact is not None
        known = self.fact(ask.fact, ask.argument)
        if ask.kind is Kind.ALL and known.gap is None:
            gaps = [item.gap for item in known.value if item.gap is not None]
            evidence = _merge(known.evidence, *(item.evidence for item in known.value))
            if gaps:
                return Known(None, _worse(gaps), evidence, known.same)
            return Known([item.value for item in known.value], None, evidence, known.same)
        return known

    def _call(self, probe: Probe, given: dict[str, Any]) -> tuple[Any, Gap | None]:
        try:
            return probe.function(**given), None
        except Exception as error:
            return None, _why(error, probe.name)


def _why(error: Exception, where: str) -> Gap:
    """What a probe, or a function that makes a question of an item, says by raising this."""
    match error:
        case Absent():
            return Gap(State.NOTAPPLICABLE, None, str(error))
        case NotUnderstood():
            return Gap(State.UNKNOWN, Cause.PARSE, str(error))
        case Blind():
            return Gap(State.ERROR, error.cause or Cause.INTERNAL, error.detail)
    # Whatever a parser trips over: looked, not understood. The text may quote the input; keep it short.
    return Gap(State.UNKNOWN, Cause.PARSE, f"{where}: {type(error).__name__}: {str(error)[:120]}")


Judge = Callable[[Facts], list[Finding]]


def judge(check: Check, registry: Registry, settings: Mapping[str, Any] | None = None) -> Judge:
    """The check, ready to be put to the facts of many targets; ``settings`` are its tunables."""
    function = partial(check.function, **settings) if settings else check.function
    fan = next((ask for ask in check.asks if registry.fans_out(ask)), None)
    if (
        fan is None
        and len(check.asks) == 1
        and check.asks[0].kind is Kind.FACT
        and not check.asks[0].optional
    ):
        return _judge_one(check, function, check.asks[0])
    rest = tuple(ask for ask in check.asks if ask is not fan)

    def run(facts: Facts) -> list[Finding]:
        target, at = facts.target.name, facts.now.timestamp()
        given: dict[str, Any] = {}
        gaps: list[Gap] = []
        seen: tuple[str, ...] = ()
        for ask in rest:
            value, gap, evidence, _ = facts.ask(ask)
            if gap is not None:
                if ask.optional and gap.state is State.NOTAPPLICABLE:
                    value = None
                else:
                    gaps.append(gap)
            given[ask.name] = value
            seen = _merge(seen, evidence)
        if fan is None:
            if gaps:
                return [_gap_finding(target, check, "", _worse(gaps), seen, at)]
            return [_call(target, check, "", function, given, seen, at)]
        value, gap, evidence, _ = facts.ask(fan)
        seen = _merge(seen, evidence)
        if gap is not None:
            gaps.append(gap)
        if gaps:
            return [_gap_finding(target, check, "", _worse(gaps), seen, at)]
        if not value:
            assert fan.fact is not None
            none = Gap(State.NOTAPPLICABLE, None, f"no {_words(fan.fact.__name__)} here")
            return [_gap_finding(target, check, "", none, seen, at)]
        findings = []
        for item in value:
            proof = _merge(seen, item.evidence)
            if item.gap is not None:
                findings.append(_gap_finding(target, check, item.subject, item.gap, proof, at))
            else:
                given[fan.name] = item.value
                findings.append(_call(target, check, item.subject, function, given, proof, at))
        return findings

    return run


def _judge_one(check: Check, function: Callable[..., Any], ask: Ask) -> Judge:
    """The commonest kind, a check of one fact, without detours."""
    kind, argument, check_id = ask.fact, ask.argument, check.id
    assert kind is not None
    key, passes, fails, new = (kind, argument), State.PASS, State.FAIL, tuple.__new__

    def run(facts: Facts) -> list[Finding]:
        known = facts._known.get(key) or facts.fact(kind, argument)
        if known[1] is None:
            try:
                verdict = function(known[0])
                if verdict.__class__ is Verdict:
                    passed, observed, expected = verdict
                    if len(observed) > OBSERVED_LIMIT:
                        observed = _cut(observed)
                    return [
                        new(
                            Finding,
                            (facts.name, check_id, "", passes if passed else fails, None, observed, expected,
                             known[2], facts.at),
                        )
                    ]  # fmt: skip
            except Exception:  # noqa: S110 -- _call says below what went wrong
                pass
            return [_call(facts.target.name, check, "", function, {ask.name: known[0]}, known[2], facts.at)]
        return [_gap_finding(facts.target.name, check, "", known[1], known[2], facts.at)]

    return run


def remembered(check: Check, run: Judge) -> Judge:
    """A check that judges equal facts once for all targets that share a memory: its findings differ in whose they are.

    A check that asks for the target or the moment is put to each.
    """
    if any(ask.fact is None for ask in check.asks):
        return run

    def again(facts: Facts) -> list[Finding]:
        same = tuple(map(facts.same, check.asks))
        if facts.memory is None or None in same:
            return run(facts)
        key = (again, *same)
        found: list[Finding] | None = facts.memory.get(key)
        if found is None:
            found = run(facts)
            size = sum(len(one.subject) + len(one.observed) + len(one.expected) for one in found)
            facts.memory.put(key, found, size)
            return found
        name, at, new = facts.name, facts.at, tuple.__new__
        return [new(Finding, (name, *one[1:-1], at)) for one in found]

    return again


def _call(
    target: str,
    check: Check,
    subject: str,
    function: Callable[..., Any],
    given: Mapping[str, Any],
    evidence: tuple[str, ...],
    at: float,
) -> Finding:
    try:
        verdict = function(**given)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"returned {type(verdict).__name__}, not holds(...)")
        status = State.PASS if verdict.passed else State.FAIL
        observed, expected = _cut(verdict.observed), _cut(verdict.expected)
        return Finding(target, check.id, subject, status, None, observed, expected, evidence, at)
    except Absent as absent:
        gap = Gap(State.NOTAPPLICABLE, None, str(absent))
    except NotUnderstood as reason:
        gap = Gap(State.UNKNOWN, Cause.PARSE, str(reason))
    except Blind as blind:
        gap = Gap(State.ERROR, blind.cause, blind.detail)
    except Exception as error:
        gap = Gap(State.UNKNOWN, Cause.INTERNAL, f"check {check.id}: {type(error).__name__}: {error}")
    return _gap_finding(target, check, subject, gap, evidence, at)


def _gap_finding(
    target: str, check: Check, subject: str, gap: Gap, evidence: tuple[str, ...], at: float
) -> Finding:
    return Finding(target, check.id, subject, gap.state, gap.cause, _cut(gap.detail), "", evidence, at)


def _cut(text: str) -> str:
    return text if len(text) <= OBSERVED_LIMIT else text[:OBSERVED_LIMIT] + " (cut)"


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def aggregate_findings(
    checks: Iterable[tuple[Check, Mapping[str, Any]]],
    target: Target,
    made: Iterable[tuple[Check, Finding]],
    now: ScanTime,
) -> Iterator[Finding]:
    """The findings of aggregate checks over those already made on this target.

    One that could not be established has the cause that most of the findings below it have.
    """
    results = Results(made)
    causes = Counter(finding.cause for _, finding in results.findings if finding.cause is not None)
    at = now.timestamp()
    evidence = _merge(*(finding.evidence for _, finding in results.findings)) if results.findings else ()
    for check, settings in checks:
        given: dict[str, Any] = dict(settings)
        for ask in check.asks:
            given[ask.name] = {Kind.RESULTS: results, Kind.TARGET: target, Kind.NOW: now}[ask.kind]
        finding = _call(target.name, check, "", check.function, given, evidence, at)
        if finding.status is State.ERROR and finding.cause is None:
            finding = finding._replace(cause=causes.most_common(1)[0][0] if causes else Cause.INTERNAL)
        yield finding


class Member(NamedTuple):
    """One target's share in a fleet check."""

    target: Target
    known: Known


def fleet_share(check: Check, registry: Registry, facts: Facts) -> Known:
    """What one target brings to a fleet check: its fact, all its facts when there are many, or the gap."""
    ask = next(ask for ask in check.asks if ask.kind is Kind.FLEET)
    plain = replace(ask, kind=Kind.FACT)
    known = facts.ask(replace(ask, kind=Kind.ALL) if registry.fans_out(plain) else plain)
    # Of many a tuple, so that they can be compared and looked up.
    return known._replace(value=tuple(known.value)) if isinstance(known.value, list) else known


def fleet_findings(
    check: Check, settings: Mapping[str, Any], members: Iterable[Member], now: ScanTime
) -> Iterator[Finding]:
    """The findings of a check across hosts: one per group.

    A pass turns into an error when a member of the group could not be looked at; a fail stands, because no unseen
    host could undo it. A group with fewer than two members is notapplicable: alone is not alike; so are hosts that the
    inventory puts in no group.
    """
    ask = next(ask for ask in check.asks if ask.kind is Kind.FLEET)
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(str(getattr(member.target, check.within)) if check.within else "", []).append(
            member
        )
    at = now.timestamp()
    if check.within and groups:
        # Hosts that the inventory puts in no group have no twins to differ from, seen or unseen.
        groups.pop("", None)
        if not groups:
            none = Gap(State.NOTAPPLICABLE, None, f"the inventory gives no host a {check.within}")
            yield _gap_finding(FLEET, check, "", none, (), at)
    for group, inside in sorted(groups.items()):
        subject = f"{check.within} {group}" if check.within else ""
        gaps = {
            member.target.name: member.known.gap
            for member in inside
            if member.known.gap is not None and member.known.gap.state is not State.NOTAPPLICABLE
        }
        seen = {member.target.name: member for member in inside if member.known.gap is None}
        evidence = _merge((), *(member.known.evidence for member in inside))
        blind = "; ".join(f"{name}: {gap.detail}" for name, gap in sorted(gaps.items()))
        if len(seen) + len(gaps) < 2:
            alone = Gap(State.NOTAPPLICABLE, None, f"{len(seen) + len(gaps)} host to compare")
            yield _gap_finding(FLEET, check, subject, alone, evidence, at)
            continue
        finding = None
        if seen:
            fleet: Fleet[Any] = Fleet(
                {name: member.known.value for name, member in seen.items()},
                {name: member.target for name, member in seen.items()},
                now,
            )
            finding = _call(
                FLEET, check, subject, check.function, {ask.name: fleet, **settings}, evidence, at
            )
        if gaps and (finding is None or finding.status is not State.FAIL):
            worst = _worse(gaps.values())
            finding = _gap_finding(
                FLEET, check, subject, Gap(State.ERROR, worst.cause, f"not seen: {blind}"), evidence, at
            )
        assert finding is not None
        yield finding


def scan_time(at: float) -> ScanTime:
    """Seconds since the epoch as the moment a check may know."""
    return ScanTime.fromtimestamp(at, UTC)
