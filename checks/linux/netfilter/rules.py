"""The words of a packet filter, the same for nftables and iptables.

A rule is a row of tests and what happens when all hold. A test that is not understood says so (`unclear`), and so
does every conclusion that rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from checks.linux.netfilter.spans import Spans

Key: TypeAlias = tuple[str, str, str, str]
"""Origin (``nft`` or ``legacy``), family, table, chain."""


@dataclass(frozen=True, slots=True)
class Test:
    """One condition of a rule.

    ``field`` is iif, oif, saddr, daddr, dport, protocol, version, state, status, direction, packet (unicast or not),
    daddr-type, saddr-type, mark, flags, mac, rpf, ipsec, free (whoever sends the packet chooses it) or unclear.
    ``values`` are numbers or words, ``mask`` belongs to mark and flags. ``version`` and ``protocols`` are what the
    packet must be for the field to exist at all; otherwise the test fails, negated or not. An interface that is not
    there (the way out, on the way in) has no name: it equals none.
    """

    field: str
    values: Spans | frozenset[str] = ()
    negated: bool = False
    mask: int = -1
    version: int = 0
    protocols: frozenset[int] = frozenset()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Tests, and then: accept, drop, return, jump, goto, unclear (may be any of these) or continue.

    ``changes`` names what a matching rule does to the packet besides: mark, dnat, untracked, logged.
    """

    tests: tuple[Test, ...]
    action: str
    target: str = ""
    changes: frozenset[str] = frozenset()
    text: str = ""


@dataclass(slots=True)
class Chain:
    """Rules in order; ``hook`` only when the kernel calls it."""

    key: Key
    rules: list[Rule] = field(default_factory=list)
    hook: str = ""
    kind: str = "filter"
    priority: int = 0
    policy: str = "accept"

    @property
    def name(self) -> str:
        """``inet filter input``."""
        return " ".join(self.key[1:])


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything the kernel holds, as far as seen; ``unseen`` says what could not be looked at, or is empty."""

    chains: Mapping[Key, Chain]
    unseen: str = ""

    def at(self, hook: str, version: int) -> list[Chain]:
        """The chains a packet of this IP version meets at a hook, in order."""
        families = {"inet", "ip" if version == 4 else "ip6"}
        return sorted(
            (chain for chain in self.chains.values() if chain.hook == hook and chain.key[1] in families),
            key=lambda chain: chain.priority,
        )

    def interface_patterns(self) -> set[str]:
        """Every interface name that a rule names, with ``*`` for the rest of a name."""
        return {
            str(value)
            for chain in self.chains.values()
            for rule in chain.rules
            for test in rule.tests
            if test.field in {"iif", "oif"}
            for value in test.values
        }


TCP: Final = 6
UDP: Final = 17
#: A protocol number for experiments (RFC 3692): what no rule names, unless it means every protocol.
OTHER: Final = 253

_PROTOCOLS: Final = {
    "ip": 0, "hopopt": 0, "icmp": 1, "igmp": 2, "ipencap": 4, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41,
    "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "icmp6": 58, "ospf": 89, "pim": 103, "comp": 108,
    "ipcomp": 108, "vrrp": 112, "sctp": 132, "mh": 135, "ipv6-mh": 135, "mobility-header": 135, "udplite": 136,
}  # fmt: skip


def protocol_number(name: str | int) -> int:
    """The number of an IP protocol. Raises ValueError for a name that is not known here."""
    if isinstance(name, int) or name.isdecimal():
        return int(name)
    if name.lower() not in _PROTOCOLS:
        raise ValueError(f"protocol {name}")
    return _PROTOCOLS[name.lower()]


def unclear(text: str) -> Test:
    """A condition that this program cannot judge."""
    return Test("unclear", text=text)


def words(*values: str) -> frozenset[str]:
    """The values of a test on words."""
    return frozenset(values)
