"""The tests every check gets free, ours and a plugin's alike.

In a plugin's own tests::

    from scanner.testing import generic_tests
    test_check = generic_tests("my_package")

A law is a function: it gets a check and returns the sentences that say how the check breaks it. docs/writing-a-check.md
tells what each law is for.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, Final

from scanner.declare import (
    Check,
    DeclarationError,
    Kind,
    Registry,
    ScanTime,
    default_registry,
)
from scanner.evaluate import (
    Collected,
    Facts,
    Member,
    aggregate_findings,
    fleet_findings,
    fleet_share,
    judge,
    scan_time,
)
from scanner.model import Cause, Finding, Gap, Raw, State, Target, Timed, worst
from scanner.plan import ROUNDS, Step, steps
from scanner.sources import Source

NOW: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REFUSED: Final = Gap(State.ERROR, Cause.PRIVILEGE, "refused by the test")
ABSENT: Final = Gap(State.NOTAPPLICABLE, None, "not there")
GARBAGE: Final = (b"\0garbage\xff", b"\xff\xfe{\x00]<\x1b]0;x\x07", b"\x80")

Answer = Callable[[str, Step], Raw | None]
"""Host name and step -> the raw answer to give, or None to take the example's."""


def run_example(
    check: Check, registry: Registry, example: Any, answer: Answer | None = None
) -> list[Finding]:
    """The findings of one example; ``answer`` may put another answer in place of any source's.

    Raises DeclarationError when the example says nothing of a source the check needs.
    """
    if check.is_aggregate:
        return _run_aggregate(check, registry, example)
    if check.is_fleet:
        return _run_fleet(check, registry, example, answer)
    facts = _facts(check, registry, example, "host", answer)
    return judge(check, registry)(facts)


def _run_aggregate(check: Check, registry: Registry, example: Mapping[str, Any]) -> list[Finding]:
    made = []
    for check_id, state in example.items():
        if check_id == "target":
            continue
        if check_id not in registry.checks:
            raise DeclarationError(f"example of {check.id}: there is no check {check_id}")
        status = State(state)
        cause = Cause.PRIVILEGE if status is State.ERROR else None
        made.append(
            (registry.checks[check_id], Finding("host", check_id, "", status, cause, "", "", (), 0.0))
        )
    return list(aggregate_findings([(check, {})], _target("host", example), made, _now(example)))


def _run_fleet(
    check: Check, registry: Registry, example: Mapping[str, Any], answer: Answer | None
) -> list[Finding]:
    ask = next(ask for ask in check.asks if ask.kind is Kind.FLEET)
    members = []
    for name, one in example.items():
        if not name.startswith("@"):
            continue
        facts = _facts(check, registry, one, name[1:], answer)
        members.append(Member(facts.target, fleet_share(check, registry, facts)))
    assert ask.fact is not None
    return list(fleet_findings(check, {}, members, _now(example)))


def _facts(check: Check, registry: Registry, example: Any, host: str, answer: Answer | None) -> Facts:
    given = example if isinstance(example, Mapping) else {"": example}
    target, now = _target(host, given), _now(given)
    answers: dict[Source, Collected] = {}
    for _ in range(ROUNDS + 1):
        facts = Facts(target, answers, registry, now)
        new = [step for step in steps(check, facts) if step.source not in answers]
        if not new:
            return facts
        for step in new:
            raw = (answer(host, step) if answer else None) or _example_raw(check, step, given)
            answers[step.source] = Collected(_timed(raw), ("0" * 64,))
    return Facts(target, answers, registry, now)


def _example_raw(check: Check, step: Step, given: Mapping[str, Any]) -> Raw:
    for key in (f"{step.probe.function.__name__}.{step.name}", step.name, ""):
        if key in given:
            value = given[key]
            break
    else:
        optional = any(ask.name == step.name and ask.optional for ask in step.probe.asks)
        if not optional and not step.spared:
            raise DeclarationError(
                f"example of {check.id}: say what {step.probe.function.__name__}.{step.name}"
                f" ({step.source.describe()}) gives"
            )
        value = ABSENT
    if callable(value):
        value = value()
    if isinstance(value, Mapping):
        value = value[step.subject]
    if callable(value):
        value = value()
    if isinstance(value, Raw):
        return value
    if isinstance(value, Gap):
        return Raw(gap=value, code=None)
    return Raw(out=value if isinstance(value, bytes) else str(value).encode())


def _timed(raw: Raw) -> Timed:
    """What an example or a law gives came at `NOW`, unless it says otherwise."""
    return raw if isinstance(raw, Timed) else Timed(raw.out, raw.err, raw.code, raw.gap, at=NOW.timestamp())


def _target(host: str, given: Mapping[str, Any]) -> Target:
    fields = {
        "name": host,
        "address": "127.0.0.1",
        "role": "server",
        "credential": "scan",
        **given.get("target", {}),
    }
    return Target.model_validate(fields)


def _now(given: Mapping[str, Any]) -> ScanTime:
    when: datetime = given.get("now", NOW)
    return scan_time(when.timestamp())


def state_of(findings: list[Finding]) -> State:
    """The worst state of an example's findings."""
    return worst(finding.status for finding in findings)


# --- the laws -------------------------------------------------------------------------------------------------


def law_examples(check: Check, registry: Registry) -> Iterator[str]:
    """Each example gives its state; there is one that passes and one that fails."""
    listed = registry.examples.get(check.id, [])
    for needed in (State.PASS, State.FAIL):
        if not any(state is needed for state, _ in listed):
            yield f"{check.id}: no example that ends as {needed}; a check that cannot {needed} proves nothing"
    for state, example in listed:
        findings = run_example(check, registry, example)
        if state_of(findings) is not state:
            seen = "; ".join(f"{one.status} {one.subject} {one.observed}" for one in findings)
            yield f"{check.id}: the example for {state} gives {seen}"


def law_blind(check: Check, registry: Registry) -> Iterator[str]:
    """Every source refused: error, never pass or fail."""
    for state, example in registry.examples.get(check.id, []):
        if check.is_aggregate:
            example = {key: "error" for key in example if key != "target"}
        elif not _looks(check, registry, example):
            continue
        findings = run_example(check, registry, example, _always(Raw(gap=REFUSED, code=None)))
        blind = state_of(findings)
        if blind not in {State.ERROR, State.NOTAPPLICABLE} or (
            blind is State.NOTAPPLICABLE and state is not State.NOTAPPLICABLE
        ):
            yield f"{check.id}: blind on the example for {state}, and yet {blind}"


def law_half_blind(check: Check, registry: Registry) -> Iterator[str]:
    """Each source refused in turn: the finding stays as it was or becomes error or unknown."""
    for state, example in registry.examples.get(check.id, []):
        for what, findings in _half_blind(check, registry, example):
            half = state_of(findings)
            if half not in {state, State.ERROR, State.UNKNOWN}:
                yield f"{check.id}: without {what} the example for {state} becomes {half}"


def _half_blind(check: Check, registry: Registry, example: Any) -> Iterator[tuple[str, list[Finding]]]:
    if check.is_aggregate:
        for check_id in example:
            if check_id != "target":
                yield check_id, run_example(check, registry, {**example, check_id: "error"})
        return
    for host, step in _looks(check, registry, example):

        def refuse(at: str, one: Step, host: str = host, step: Step = step) -> Raw | None:
            return Raw(gap=REFUSED, code=None) if (at, one.source) == (host, step.source) else None

        yield f"{step.probe.function.__name__}.{step.name}", run_example(check, registry, example, refuse)


def _looks(check: Check, registry: Registry, example: Any) -> list[tuple[str, Step]]:
    seen: list[tuple[str, Step]] = []

    def note(host: str, step: Step) -> None:
        seen.append((host, step))

    run_example(check, registry, example, note)
    return seen


def law_pure(check: Check, registry: Registry) -> Iterator[str]:
    """Twice the same; nothing outside is touched (no file, socket, process, clock or dice), and no fact either."""
    for state, example in registry.examples.get(check.id, []):
        first = run_example(check, registry, example)
        with _watched() as touched:
            second = run_example(check, registry, example)
        if first != second:
            yield f"{check.id}: the example for {state} gives two answers: {first} and {second}"
        if touched:
            yield f"{check.id}: touches {', '.join(sorted(set(touched)))}"
        if not check.is_aggregate and not check.is_fleet and _spoils(check, registry, example):
            yield f"{check.id}: changes the facts of the example for {state}; others are judged by them too"


def _spoils(check: Check, registry: Registry, example: Any) -> bool:
    facts = _facts(check, registry, example, "host", None)
    before = repr([facts.ask(ask) for ask in check.asks])
    judge(check, registry)(facts)
    return repr([facts.ask(ask) for ask in check.asks]) != before


def _always(raw: Raw) -> Answer:
    return lambda _host, _step: raw


def law_garbage(check: Check, registry: Registry) -> Iterator[str]:
    """Bytes that mean nothing end as unknown: a parser says so, and swallows nothing."""
    for state, example in registry.examples.get(check.id, []):
        if check.is_aggregate or state is State.NOTAPPLICABLE or not _looks(check, registry, example):
            continue
        for garbage in GARBAGE:
            findings = run_example(check, registry, example, _always(Raw(out=garbage)))
            if state_of(findings) not in BLIND_ENDS:
                said = "; ".join(f"{one.status} {one.observed}" for one in findings)
                yield f"{check.id}: the bytes {garbage!r} in place of the example for {state} give {said}"


BLIND_ENDS: Final = frozenset({State.ERROR, State.UNKNOWN})
LAWS: Final[Mapping[str, Callable[[Check, Registry], Iterator[str]]]] = {
    "examples": law_examples,
    "blind": law_blind,
    "half-blind": law_half_blind,
    "pure": law_pure,
    "garbage": law_garbage,
}


# --- watching -------------------------------------------------------------------------------------------------

_OUTSIDE: Final = ("open", "socket.", "subprocess.", "os.", "shutil.", "tempfile.", "urllib.", "sqlite3.")
_CLOCKS: Final = frozenset({"time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime", "urandom"})
_watching: list[list[str]] = []
_hooked = False
_watcher = 0


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event.startswith(_OUTSIDE) and threading.get_ident() == _watcher:
        _watching[-1].append(f"{event} {arguments[:1]}")


def _profile(_frame: object, event: str, called: Any) -> None:
    if event != "c_call" or not _watching:
        return
    owner = getattr(called, "__self__", None)
    if called.__module__ in {"time", "posix"} and called.__name__ in _CLOCKS:
        _watching[-1].append(f"{called.__module__}.{called.__name__}")
    elif (
        isinstance(owner, type) and issubclass(owner, date) and called.__name__ in {"now", "utcnow", "today"}
    ):
        _watching[-1].append(f"{owner.__name__}.{called.__name__}")
    elif type(owner).__module__ == "random":
        _watching[-1].append("random")


@contextmanager
def _watched() -> Iterator[list[str]]:
    """What is touched outside within the block. Clocks raise no audit event, so a profiler watches those."""
    global _hooked, _watcher
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    touched: list[str] = []
    before, collecting_garbage = sys.getprofile(), gc.isenabled()
    _watcher = threading.get_ident()
    gc.disable()  # what others left behind closes its files when it is collected
    _watching.append(touched)
    sys.setprofile(_profile)
    try:
        yield touched
    finally:
        sys.setprofile(before)
        _watching.pop()
        if collecting_garbage:
            gc.enable()


# --- for pytest -----------------------------------------------------------------------------------------------


def load_package(package: str) -> Registry:
    """A registry with just this package's declarations, linked."""
    from scanner.plugins import import_tree

    registry = Registry()
    import_tree(package)
    registry.take(default_registry(), package)
    registry.link()
    return registry


def generic_tests(package: str) -> Callable[..., None]:
    """A parametrised pytest function that puts every law to every check of a package."""
    import pytest

    registry = load_package(package)
    cases = [(check, law) for check in registry.checks.values() for law in LAWS]

    @pytest.mark.parametrize(("check", "law"), cases, ids=[f"{check.id}-{law}" for check, law in cases])
    def test_check(check: Check, law: str) -> None:
        assert list(LAWS[law](check, registry)) == []

    return test_check


__all__ = ["ABSENT", "LAWS", "NOW", "REFUSED", "generic_tests", "load_package", "run_example"]
