"""Which ports a packet filter opens to which addresses: a packet of each kind is walked through every chain it meets.

The packet is the one nobody expects: unicast, the first of a connection, not encrypted by IPsec, with no mark. For one
IP version, protocol and interface at a time, whole sets of ports and far addresses go through the rules at once, so
that the answer is exact and not a sample. A packet must be accepted by every chain at a hook; one drop is final
(nft(8), "Verdict statements"), which is why a refusal that was seen stays true whatever else could not be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple

from checks.linux.netfilter.rules import OTHER, TCP, UDP, Chain, Rule, Ruleset, Test
from checks.linux.netfilter.spans import EVERYWHERE, PORTS, Spans, join, meet, minus, size, spans

#: The hooks a packet meets on its way; of prerouting and postrouting the filtering counts too.
PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "input": ("prerouting", "input"),
    "forward": ("prerouting", "forward", "postrouting"),
    "output": ("output", "postrouting"),
}
#: How much is compared before it is given up: about a second.
_WORK: Final = 300_000
_DEPTH: Final = 32
_SYN: Final = 2


class TooComplexError(ValueError):
    """The rules are too many to walk in reasonable time."""


class Truth(IntEnum):
    """Whether a condition holds for the packet: surely not, surely, as the sender pleases, or not understood."""

    NO = 0
    YES = 1
    BOTH = 2
    UNCLEAR = 3


class Box(NamedTuple):
    """A set of ports and a set of far addresses that fare alike.

    ``sure`` is False when a rule that is not understood had a say. ``changed`` is what rules did to the packet,
    ``by`` what accepted it so far.
    """

    ports: Spans
    far: Spans
    sure: bool = True
    changed: frozenset[str] = frozenset()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """The kind of packet that is walked; ``own`` are the addresses of the host, without those of loopback."""

    path: str
    version: int
    protocol: int
    came_in: str
    goes_out: str
    own: Spans = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """Ports that are open to far addresses; protocol 253 stands for all that is not TCP or UDP."""

    version: int
    protocol: int
    interface: str
    ports: Spans
    far: Spans
    sure: bool
    by: str


@dataclass(frozen=True, slots=True)
class Reach:
    """What one path lets through; ``doubts`` are the rules that were not understood and had a say.

    ``led`` is what got a new destination on its way in: it may go through to another host or a container, past the
    rules of input.
    """

    openings: tuple[Opening, ...]
    doubts: tuple[str, ...]
    logs: bool
    led: tuple[Opening, ...] = ()


def reach(
    ruleset: Ruleset,
    path: str,
    interfaces: Sequence[str],
    own: Mapping[int, Spans],
    versions: Iterable[int],
    patterns: frozenset[str] = frozenset(),
) -> Reach:
    """What a path (input, forward, output) lets through on each kind of interface.

    ``interfaces`` are those the host has now. On the way through only they bring packets in, and what leaves where
    it came in does not count. ``patterns`` are names to tell interfaces apart by, beside those in the rules. Raises
    TooComplexError.
    """
    openings: list[Opening] = []
    led: list[Opening] = []
    doubts: dict[str, None] = {}
    logs = False
    work = [0]
    classes = interface_classes(ruleset.interface_patterns() | patterns, interfaces)
    for came_in, goes_out, label in _ways(path, classes):
        for version in versions:
            for protocol in (TCP, UDP, OTHER):
                packet = Packet(path, version, protocol, came_in, goes_out, own.get(version, ()))
                walk = _Walk(ruleset, packet, work)
                for box in walk.run():
                    by = "; ".join(dict.fromkeys(box.by)) or f"no {path} chain"
                    openings.append(Opening(version, protocol, label, box.ports, box.far, box.sure, by))
                led += [
                    Opening(version, protocol, label, box.ports, box.far, sure=False, by="a new destination")
                    for box in walk.led
                ]
                doubts.update(walk.doubts)
                logs = logs or walk.logged
    return Reach(tuple(openings), tuple(doubts), logs, tuple(led))


def _ways(path: str, classes: Sequence[Interfaces]) -> list[tuple[str, str, str]]:
    if path == "input":
        return [(one.name, "", one.label) for one in classes]
    if path == "output":
        return [("", one.name, one.label) for one in classes]
    return [
        (came.name, goes.name, f"{came.label} to {goes.label}")
        for came in classes
        for goes in classes
        if came.present and (came is not goes or came.several)
    ]


class Interfaces(NamedTuple):
    """Interfaces that no rule tells apart: the name of one, how to call them, how they are."""

    name: str
    label: str
    present: bool
    several: bool


def interface_classes(patterns: set[str], present: Sequence[str]) -> list[Interfaces]:
    """All interfaces there are and may come, but loopback, by what the rules can tell of them."""
    named = [
        *present,
        *(f"{pattern[:-1]}0" if pattern.endswith("*") else pattern for pattern in sorted(patterns)),
    ]
    unlike = ["other", *(f"{chr(first)}other" for first in range(ord("!"), ord("~") + 1))]
    new = next(
        (name for name in unlike if not any(_same_interface(one, name) for one in patterns - {"*"})), ""
    )
    classes: dict[tuple[bool, ...], list[str]] = {}
    ordered = sorted(patterns)
    for name in dict.fromkeys([*named, new]):
        if name not in {"lo", "", "0"}:
            signature = tuple(_same_interface(pattern, name) for pattern in ordered)
            classes.setdefault(signature, []).append(name)
    return [
        Interfaces(
            members[0],
            ", ".join("any other interface" if name == new else name for name in members[:3])
            + (f" and {len(members) - 3} more" if len(members) > 3 else ""),
            members[0] in present,
            len(members) > 1,
        )
        for members in classes.values()
    ]


def _same_interface(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class _Walk:
    def __init__(self, ruleset: Ruleset, packet: Packet, work: list[int]) -> None:
        self.ruleset, self.packet, self.work = ruleset, packet, work
        self.doubts: dict[str, None] = {}
        self.led: list[Box] = []
        self.logged = False
        self.telling = False

    def run(self) -> list[Box]:
        """What gets through every chain of the path."""
        live = [Box(PORTS, EVERYWHERE[self.packet.version])]
        for hook in PATHS[self.packet.path]:
            for chain in self.ruleset.at(hook, self.packet.version):
                self.telling = hook == self.packet.path and chain.kind == "filter"
                accepted, left = self.chain(chain, live, 0)
                if chain.policy == "accept":
                    accepted += self.passed(left, f"{chain.name}: policy accept")
                else:
                    self.refuse(left)
                live = accepted
            if hook == "prerouting":
                self.led = [box for box in live if "dnat" in box.changed]
        return live

    def passed(self, boxes: Iterable[Box], by: str) -> list[Box]:
        return [box._replace(by=(*box.by, by)) for box in boxes] if self.telling else list(boxes)

    def refuse(self, boxes: Iterable[Box]) -> None:
        # What is refused as a rule, not a port or two, nor of a few senders.
        most = size(EVERYWHERE[self.packet.version]) // 2
        self.logged = self.logged or any(
            "logged" in box.changed and size(box.ports) > 1000 and size(box.far) > most for box in boxes
        )

    def chain(self, chain: Chain, live: list[Box], depth: int) -> tuple[list[Box], list[Box]]:
        """(accepted for good, what falls off the end or returns)."""
        accepted: list[Box] = []
        returned: list[Box] = []
        for rule in chain.rules:
            if not live:
                break
            if rule.action == "continue" and not rule.changes:
                continue
            hit, live = self.match(rule, live)
            if not hit:
                continue
            match rule.action:
                case "continue":
                    live += hit
                case "accept":
                    accepted += self.passed(hit, rule.text)
                case "drop":
                    self.refuse(hit)
                case "return":
                    returned += hit
                case "jump" | "goto":
                    target = self.ruleset.chains.get((*chain.key[:3], rule.target))
                    if target is None or depth >= _DEPTH:
                        hit = [box._replace(sure=False) for box in hit]
                        self.doubts[f"{rule.text}: no chain {rule.target}"] = None
                        accepted += hit
                        live += hit
                        continue
                    passed, back = self.chain(target, hit, depth + 1)
                    accepted += passed
                    if rule.action == "goto":
                        returned += back
                    else:
                        live += back
                case _:
                    self.doubts[rule.text] = None
                    hit = [box._replace(sure=False) for box in hit]
                    accepted += hit
                    live += hit
        return accepted, returned + live

    def match(self, rule: Rule, live: list[Box]) -> tuple[list[Box], list[Box]]:
        """(what the rule matches, what goes on to the next rule)."""
        hit: list[Box] = []
        rest: list[Box] = []
        known: dict[frozenset[str], tuple[Truth, Spans | None, Spans | None]] = {}
        for box in live:
            found = known.get(box.changed)
            if found is None:
                found = known[box.changed] = self.judge(rule.tests, box.changed)
            truth, ports, far = found
            inside = box
            if truth is not Truth.NO and ports is not None:
                inside = inside._replace(ports=meet(box.ports, ports))
            if truth is not Truth.NO and far is not None and inside.ports:
                inside = inside._replace(far=meet(box.far, far))
                self.work[0] += (len(box.far) + len(far)) // 500
            self.work[0] += 1
            if self.work[0] > _WORK:
                raise TooComplexError("the packet filter has too many rules to walk")
            if truth is Truth.NO or not inside.ports or not inside.far:
                rest.append(box)
                continue
            if truth is Truth.UNCLEAR and rule.action != "continue":
                self.doubts[rule.text] = None
                hit.append(inside._replace(sure=False, changed=box.changed | rule.changes))
            elif truth is Truth.UNCLEAR and "logged" in rule.changes:
                self.doubts[rule.text] = None
                hit.append(inside._replace(changed=box.changed | (rule.changes - {"logged"})))
            else:
                hit.append(inside._replace(changed=box.changed | rule.changes) if rule.changes else inside)
            if ports is not None and (outside := minus(box.ports, inside.ports)):
                rest.append(box._replace(ports=outside))
            if far is not None and (outside := minus(box.far, inside.far)):
                rest.append(inside._replace(far=outside))
            if rule.action == "continue" and "dnat" not in rule.changes:
                # What was hit goes on, changed; the same unchanged would only say it twice.
                continue
            if truth is Truth.UNCLEAR:
                # Accepted here or judged further on: then what follows is as sure as it was.
                rest.append(inside if rule.action == "accept" else inside._replace(sure=False))
            elif truth is Truth.BOTH and (rule.action != "accept" or rule.changes):
                # Accepted as it is the rest adds nothing; accepted and changed it may fare otherwise further on.
                rest.append(inside)
        return hit, rest

    def judge(
        self, tests: tuple[Test, ...], changed: frozenset[str]
    ) -> tuple[Truth, Spans | None, Spans | None]:
        """Whether all tests hold, and for which ports and far addresses."""
        truth, ports, far = Truth.YES, None, None
        for test in tests:
            if not self.exists(test):
                return Truth.NO, None, None
            if test.field == "dport" and "dnat" not in changed:
                ports = _narrow(ports, test, PORTS)
            elif test.field == ("daddr" if self.packet.path == "output" else "saddr"):
                far = _narrow(far, test, EVERYWHERE[self.packet.version])
            else:
                one = self.truth(test, changed)
                if one is Truth.NO:
                    return Truth.NO, None, None
                truth = max(truth, one)
        return truth, ports, far

    def exists(self, test: Test) -> bool:
        packet = self.packet
        if test.version and test.version != packet.version:
            return False
        if test.protocols and packet.protocol not in test.protocols:
            return False
        return test.field != "dport" or packet.protocol != OTHER

    def truth(self, test: Test, changed: frozenset[str]) -> Truth:
        plain = self.plain_truth(test, changed)
        if test.negated and plain in {Truth.YES, Truth.NO}:
            return Truth.NO if plain is Truth.YES else Truth.YES
        return plain

    def plain_truth(self, test: Test, changed: frozenset[str]) -> Truth:
        packet, values = self.packet, test.values
        match test.field:
            case "free":
                return Truth.BOTH
            case "iif" | "oif":
                # Where there is no such interface the kernel compares with an empty name: "!=" holds.
                name = packet.came_in if test.field == "iif" else packet.goes_out
                return _sure(any(_same_interface(str(value), name) for value in values))
            case "protocol":
                return _sure(_has(values, packet.protocol))
            case "version":
                return _sure(_has(values, packet.version))
            case "state" if "untracked" not in changed:
                return _sure("new" in values or ("dnat" in values and "dnat" in changed))
            case "status":
                return _sure("dnat" in values and "dnat" in changed)
            case "direction":
                return _sure("original" in values)
            case "packet":
                return _sure("unicast" in values)
            case "saddr" | "daddr" if "dnat" not in changed:
                return self.near(test)
            case "daddr-type" if "dnat" not in changed:
                return _sure(("local" if packet.path == "input" else "unicast") in values)
            case "saddr-type":
                return _sure(("local" if packet.path == "output" else "unicast") in values)
            case "mark" if "mark" not in changed:
                return _sure(_has(values, 0))
            case "flags":
                return _sure(_has(values, _SYN & test.mask))
            case "mac":
                return Truth.NO
            case "rpf":
                return _sure("exists" in values)
            case "ipsec":
                return _sure("none" in values)
            case _:
                return Truth.UNCLEAR

    def near(self, test: Test) -> Truth:
        """A test on the near address: the host's own, or on the way through any that the sender picks."""
        if self.packet.path == "forward":
            return Truth.BOTH
        if not self.packet.own:
            return Truth.UNCLEAR
        wanted = _numbers(test.values)
        if not meet(self.packet.own, wanted):
            return Truth.NO
        return Truth.BOTH if minus(self.packet.own, wanted) else Truth.YES


def _narrow(so_far: Spans | None, test: Test, everything: Spans) -> Spans:
    wanted = _numbers(test.values)
    if test.negated:
        wanted = minus(everything, wanted)
    return wanted if so_far is None else meet(so_far, wanted)


def _numbers(values: Spans | frozenset[str]) -> Spans:
    if isinstance(values, frozenset):
        raise TypeError("words where numbers are needed")
    return values


def _has(values: Spans | frozenset[str], number: int) -> bool:
    return any(low <= number <= high for low, high in _numbers(values))


def _sure(condition: bool) -> Truth:
    return Truth.YES if condition else Truth.NO


def by_port(openings: Iterable[Opening]) -> list[tuple[Spans, Spans]]:
    """Ports and the far addresses that may reach them, said in one way only: (ports, addresses), sorted.

    For openings of one IP version and protocol at a time.
    """
    some = list(openings)
    edges = sorted({edge for one in some for low, high in one.ports for edge in (low, high + 1)})
    found: dict[Spans, list[tuple[int, int]]] = {}
    for low, after in pairwise(edges):
        covering = [one.far for one in some if any(start <= low <= end for start, end in one.ports)]
        if covering:
            far = covering[0] if len(covering) == 1 else join(*covering)
            found.setdefault(far, []).append((low, after - 1))
    return sorted((spans(ports), far) for far, ports in found.items())


def open_to(openings: Iterable[Opening], more_than: int) -> Spans:
    """The ports among these openings that more than so many far addresses may reach."""
    return join(*(ports for ports, far in by_port(openings) if size(far) > more_than))
