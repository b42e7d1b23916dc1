"""Checks x target -> what to ask it: pure, printable before anything runs.

A source may depend on a fact (TLS ports follow from listening sockets), so the plan grows in rounds: at most
`ROUNDS`, each asking only what the evidence so far makes askable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from scanner.declare import Ask, Check, Each, Kind, Probe, Registry
from scanner.evaluate import Facts, Item, question
from scanner.model import Gap, Target
from scanner.sources import Source

#: An SPF record includes one that includes one that includes one; nothing else goes that deep.
ROUNDS: Final = 4


class Step(NamedTuple):
    """One source on the way to a check: which probe reads it, under which name, and of which item.

    ``spared`` says that some probe on the way can do without (``| Gap``).
    """

    probe: Probe
    name: str
    source: Source
    subject: str = ""
    spared: bool = False


def steps(check: Check, facts: Facts) -> Iterator[Step]:
    """Every source the check rests on, as far as the evidence makes them known, in the order of its parameters."""
    for ask in check.asks:
        yield from _steps(ask, facts)


def _steps(ask: Ask, facts: Facts, spared: bool = False) -> Iterator[Step]:
    if ask.fact is None:
        return
    probe = facts.registry.probe_for(ask.fact, facts.target.platform)
    if probe is None:
        return
    spared = spared or ask.gap
    for other in probe.asks:
        yield from _steps(other, facts, spared)
    if probe.each is not None:
        yield from _steps(probe.each, facts, spared)
    for name, source in probe.sources.items():
        if isinstance(source, Each):
            for item in _items(source.fact, facts):
                asked = question(source, item)
                if asked is not None and not isinstance(asked, Gap):
                    yield Step(probe, name, asked, item.subject, spared)
        else:
            made = source(ask.argument) if callable(source) else source
            yield Step(probe, name, made, spared=spared)


def _items(kind: type[Any], facts: Facts) -> Iterator[Item]:
    base = facts.fact(kind)
    if base.gap is None:
        yield from (item for item in base.value if item.gap is None)


class Plan:
    """What a set of checks asks of targets; made once, asked per target and round."""

    def __init__(self, checks: Iterable[Check], registry: Registry) -> None:
        self.registry = registry
        self.checks = tuple(check for check in checks if not check.is_aggregate)
        self._static: dict[str, tuple[Source, ...]] = {}
        self._grows: dict[str, tuple[Check, ...]] = {}

    def applicable(self, target: Target) -> list[Check]:
        """The checks whose facts can be had on this target's platform."""
        return [check for check in self.checks if self.registry.applies(check, target)]

    def first(self, target: Target, empty: Facts) -> tuple[Source, ...]:
        """The sources of the first round: all that depend on no answer, but perhaps on what the inventory says."""
        known = self._static.get(target.platform)
        if known is None:
            found: dict[Source, None] = {}
            growing = []
            for check in self.applicable(target):
                if any(self._follows(ask, target) for ask in check.asks):
                    growing.append(check)
                    continue
                for step in steps(check, empty):
                    found[step.source] = None
            known = self._static[target.platform] = tuple(found)
            self._grows[target.platform] = tuple(growing)
        return tuple(dict.fromkeys((*known, *self.next(target, empty))))

    def next(self, target: Target, facts: Facts) -> tuple[Source, ...]:
        """What the evidence so far makes askable that was not asked yet; empty when all is asked."""
        found: dict[Source, None] = {}
        for check in self._grows.get(target.platform, ()):
            for step in steps(check, facts):
                if step.source not in facts.answers:
                    found[step.source] = None
        return tuple(found)

    def later(self, target: Target) -> list[str]:
        """What later rounds may ask, in words: which question for each of which fact."""
        found: dict[str, None] = {}
        for check in self.applicable(target):
            for ask in check.asks:
                for probe in self._growing_probes(ask, target):
                    for name, source in probe.sources.items():
                        if isinstance(source, Each):
                            found[f"a {name} for each {source.fact.__name__} found"] = None
        return list(found)

    def _growing_probes(self, ask: Ask, target: Target) -> Iterator[Probe]:
        probe = self.registry.probe_for(ask.fact, target.platform) if ask.fact is not None else None
        if probe is not None:
            if probe.each is not None:
                yield probe
            for other in probe.asks:
                yield from self._growing_probes(other, target)

    def _follows(self, ask: Ask, target: Target) -> bool:
        if ask.fact is None or ask.kind is Kind.RAW:
            return False
        probe = self.registry.probe_for(ask.fact, target.platform)
        if probe is None:
            return False
        return probe.each is not None or any(self._follows(other, target) for other in probe.asks)
