"""Certificate policies along a path: the graph of RFC 5280 section 6.1, kept per level as RFC 9618 has it.

A level maps each policy that is valid there to how it came there. That stays small, where the tree of RFC 5280 may grow
without bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509

ANY: Final = "2.5.29.32.0"
#: Policies in one certificate; who states more means to keep us busy.
MOST: Final = 100


@dataclass(slots=True)
class _Node:
    """A policy at one level: what the next certificate may call it, and the policies above it comes from."""

    expected: set[str]
    parents: set[str]


_Level = dict[str, _Node]


@dataclass(frozen=True, slots=True)
class Stated:
    """What one certificate says of policies; None and empty when it says nothing."""

    policies: frozenset[str] = frozenset()
    mappings: Mapping[str, frozenset[str]] = field(default_factory=dict)
    explicit_after: int | None = None
    no_mapping_after: int | None = None
    no_any_after: int | None = None
    self_issued: bool = False


def stated(certificate: x509.Certificate, self_issued: bool) -> Stated:
    """The policy extensions of a certificate. Raises ValueError when they cannot be read."""
    policies: frozenset[str] = frozenset()
    mappings: dict[str, set[str]] = {}
    explicit = no_mapping = no_any = None
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.CertificatePolicies):
            policies = frozenset(one.policy_identifier.dotted_string for one in value)
        elif isinstance(value, x509.PolicyConstraints):
            explicit, no_mapping = value.require_explicit_policy, value.inhibit_policy_mapping
        elif isinstance(value, x509.InhibitAnyPolicy):
            no_any = value.skip_certs
        elif extension.oid.dotted_string == _POLICY_MAPPINGS and isinstance(
            value, x509.UnrecognizedExtension
        ):
            for domain, subject in _mappings(value.value):
                mappings.setdefault(domain, set()).add(subject)
    if len(policies) > MOST or len(mappings) > MOST:
        raise ValueError(f"more than {MOST} policies in one certificate")
    return Stated(
        policies,
        {domain: frozenset(subjects) for domain, subjects in mappings.items()},
        explicit, no_mapping, no_any, self_issued,
    )  # fmt: skip


def refusal(
    path: Sequence[Stated],
    wanted: frozenset[str] = frozenset({ANY}),
    *,
    explicit: bool = False,
    no_mapping: bool = False,
    no_any: bool = False,
) -> str:
    """Why the policies forbid this path, or nothing when they allow it.

    ``path`` runs from below the anchor to the leaf. ``wanted`` are the policies the user accepts; ``explicit`` demands
    one of them, ``no_mapping`` and ``no_any`` forbid what they name from the start (RFC 5280 section 6.1.1).
    """
    length = len(path)
    counter = {
        "explicit": 0 if explicit else length + 1,
        "mapping": 0 if no_mapping else length + 1,
        "any": 0 if no_any else length + 1,
    }
    levels: list[_Level] | None = [{ANY: _Node({ANY}, set())}]
    for place, one in enumerate(path):
        last = place == length - 1
        if not one.policies:
            levels = None
        if levels is not None:
            any_counts = counter["any"] > 0 or (one.self_issued and not last)
            levels.append(_next_level(levels[-1], one.policies, any_counts))
            levels = _pruned(levels)
        if levels is None and counter["explicit"] == 0:
            return "a policy is demanded, and none is valid all along"
        if last:
            continue
        if ANY in one.mappings or any(ANY in subjects for subjects in one.mappings.values()):
            return "it maps anyPolicy"
        if levels is not None:
            _map(levels, one.mappings, allowed=counter["mapping"] > 0)
            levels = _pruned(levels)
        _count_down(counter, one)
    if counter["explicit"]:
        counter["explicit"] -= 1
    if path and path[-1].explicit_after == 0:
        counter["explicit"] = 0
    if counter["explicit"] == 0 and not (levels and _accepted(levels, wanted)):
        return "a policy is demanded, and none that is accepted is valid all along"
    return ""


def _next_level(above: _Level, policies: frozenset[str], any_counts: bool) -> _Level:
    """6.1.3 (d): each policy comes from those above that expect it, else from anyPolicy."""
    level: _Level = {}
    for policy in policies - {ANY}:
        parents = {name for name, node in above.items() if policy in node.expected}
        if not parents and ANY in above:
            parents = {ANY}
        if parents:
            level[policy] = _Node({policy}, parents)
    if ANY in policies and any_counts:
        for name, node in above.items():
            for policy in node.expected - {p for p, below in level.items() if name in below.parents}:
                if policy in level:
                    level[policy].parents.add(name)
                else:
                    level[policy] = _Node({policy}, {name})
    return level


def _pruned(levels: list[_Level]) -> list[_Level] | None:
    """Without policies that nothing comes from any more; None when nothing is left."""
    for place in range(len(levels) - 2, -1, -1):
        used = {parent for node in levels[place + 1].values() for parent in node.parents}
        levels[place] = {name: node for name, node in levels[place].items() if name in used}
    return levels if levels[-1] else None


def _map(levels: list[_Level], mappings: Mapping[str, frozenset[str]], *, allowed: bool) -> None:
    """6.1.4 (b): a mapped policy is expected under its new names; where that is forbidden it ends."""
    leaves = levels[-1]
    for domain, subjects in mappings.items():
        if not allowed:
            leaves.pop(domain, None)
        elif domain in leaves:
            leaves[domain].expected = set(subjects)
        elif ANY in leaves:
            leaves[domain] = _Node(set(subjects), set(leaves[ANY].parents))


def _count_down(counter: dict[str, int], one: Stated) -> None:
    """6.1.4 (h) to (j)."""
    if not one.self_issued:
        for name in counter:
            counter[name] = max(counter[name] - 1, 0)
    for name, after in (
        ("explicit", one.explicit_after),
        ("mapping", one.no_mapping_after),
        ("any", one.no_any_after),
    ):
        if after is not None:
            counter[name] = min(counter[name], after)


def _accepted(levels: list[_Level], wanted: frozenset[str]) -> set[str]:
    """6.1.5 (g): what is left of the accepted policies, by their names in the domain of the anchor."""
    if ANY in wanted:
        return set(levels[-1])
    if ANY in levels[-1]:
        return set(wanted)
    found: set[str] = set()
    reached = set(levels[-1])
    for place in range(len(levels) - 1, 0, -1):
        nodes = {name: node for name, node in levels[place].items() if name in reached}
        found |= {name for name, node in nodes.items() if ANY in node.parents}
        reached = {parent for node in nodes.values() for parent in node.parents}
    return found & wanted


# --- policyMappings, which the library does not read ----------------------------------------------------------

_POLICY_MAPPINGS: Final = "2.5.29.33"


def _mappings(der: bytes) -> Iterable[tuple[str, str]]:
    """SEQUENCE OF SEQUENCE { issuerDomainPolicy, subjectDomainPolicy }, both OBJECT IDENTIFIER."""
    for pair in _sequence(der):
        first, rest = _element(pair, 0x06)
        second, rest = _element(rest, 0x06)
        if rest:
            raise ValueError("more than a pair in policyMappings")
        yield _oid(first), _oid(second)


def _sequence(der: bytes) -> Iterable[bytes]:
    body, rest = _element(der, 0x30)
    if rest:
        raise ValueError("more than policyMappings")
    while body:
        one, body = _element(body, 0x30)
        yield one


def _element(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which must have this tag, and what comes after it."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("policyMappings cannot be read")
    size, start = der[1], 2
    if size & 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 3:
            raise ValueError("policyMappings cannot be read")
        size, start = int.from_bytes(der[2 : 2 + octets]), 2 + octets
    if start + size > len(der):
        raise ValueError("policyMappings is cut short")
    return der[start : start + size], der[start + size :]


def _oid(body: bytes) -> str:
    if not body or body[-1] & 0x80:
        raise ValueError("an object identifier is cut short")
    numbers, value = [], 0
    for octet in body:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
