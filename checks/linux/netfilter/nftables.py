"""`nft -j list ruleset`, libnftables-json(5), as rules.

Read strictly: a statement or expression that is not known here becomes a test that is unclear, never nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final, TypeAlias

from checks.linux.netfilter.rules import (
    TCP,
    UDP,
    Chain,
    Key,
    Rule,
    Test,
    protocol_number,
    unclear,
    words,
)
from checks.linux.netfilter.spans import Spans, minus, network, points, spans

Sets: TypeAlias = Mapping[tuple[str, str, str], list[Any]]

_ALTERNATIVES: Final = 5000
_VERDICTS: Final = {"accept": "accept", "drop": "drop", "reject": "drop", "return": "return"}
_NAT: Final = frozenset({"dnat", "snat", "masquerade", "redirect"})
#: Statements that neither decide nor change what is tested here.
_IDLE: Final = frozenset(
    {
        "counter",
        "comment",
        "continue",
        "flow",
        "dup",
        "secmark",
        "ct timeout",
        "ct expectation",
        "ct helper",
        "last",
    }
)
#: Conditions that whoever sends the packet meets when it suits: rates, quotas, dice.
_AT_WILL: Final = frozenset({"limit", "ct count", "quota"})
_CHOSEN: Final = frozenset(
    {"numgen", "jhash", "symhash", "osf", "exthdr", "ip option", "tcp option", "sctp chunk"}
)
_CHOSEN_META: Final = frozenset(
    {"length", "time", "hour", "day", "cpu", "random", "priority", "rtclassid", "nftrace"}
)
_TCP_FLAGS: Final = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
_TRANSPORT: Final = {"tcp": TCP, "udp": UDP, "udplite": 136, "sctp": 132, "dccp": 33}
_OTHER_PROTOCOLS: Final = {"icmp": 1, "igmp": 2, "icmpv6": 58, "esp": 50, "ah": 51, "comp": 108, "gre": 47}
_ETHER_TYPES: Final = {"ip": 4, "ip6": 6}


def read_nft(text: str) -> dict[Key, Chain]:
    """The chains of a ruleset, also as `nft --echo` writes one. Raises ValueError on anything but a ruleset."""
    document = json.loads(text)
    objects = document["nftables"]
    if not isinstance(objects, list):
        raise ValueError("nftables is not a list")
    chains: dict[Key, Chain] = {}
    sets: dict[tuple[str, str, str], list[Any]] = {}
    rules: list[dict[str, Any]] = []
    dormant: set[tuple[str, str]] = set()
    seen = False
    for item in objects:
        ((kind, value),) = (item.get("add") or item).items()
        match kind:
            case "metainfo":
                seen = True
            case "table":
                seen = True
                flags = set(_listed(value.get("flags", [])))
                if flags - {"dormant", "owner", "persist"}:
                    # nft 1.0.6 and others print a stray string here; the table may be switched off.
                    raise ValueError(f"flags of table {value['name']}")
                if "dormant" in flags:
                    dormant.add((value["family"], value["name"]))
            case "chain":
                key = ("nft", value["family"], value["table"], value["name"])
                chains[key] = Chain(
                    key, hook=value.get("hook", ""), kind=value.get("type", "filter"),
                    priority=int(value.get("prio", 0)), policy=value.get("policy", "accept"),
                )  # fmt: skip
            case "set" | "map":
                sets[value["family"], value["table"], value["name"]] = list(value.get("elem") or [])
            case "element":
                elements = value["elem"]
                elements = elements["set"] if isinstance(elements, dict) else elements
                sets[value["family"], value["table"], value["name"]].extend(elements)
            case "rule":
                rules.append(value)
            case _:  # counters, quotas, limits, helpers: named objects that decide nothing by themselves
                seen = True
    if not seen and objects:
        raise ValueError("not a ruleset")
    for rule in rules:
        chain = chains["nft", rule["family"], rule["table"], rule["chain"]]
        where = (rule["family"], rule["table"])
        chain.rules.extend(_Reader(sets, where, chain.name).rules(rule))
    return {key: chain for key, chain in chains.items() if key[1:3] not in dormant}


def has_xt(rule: Rule) -> bool:
    """Whether nft saw only that an extension of iptables stands here, not what it says."""
    return rule.action == "unclear" or any(
        test.field == "unclear" and test.text == "xt" for test in rule.tests
    )


class _Reader:
    def __init__(self, sets: Sets, where: tuple[str, str], chain: str) -> None:
        self.sets, self.where, self.name = sets, where, chain

    def rules(self, rule: dict[str, Any]) -> Iterator[Rule]:
        """One rule of nft; more here when it looks up a verdict or a pair in a set."""
        text = f"{self.name} handle {rule.get('handle', '?')}"
        if rule.get("comment"):
            text += f" ({rule['comment']})"
        branches: list[tuple[Test, ...]] = [()]
        changes: set[str] = set()
        for statement in rule["expr"]:
            if not isinstance(statement, dict) or len(statement) != 1:
                branches = _both(branches, [(unclear(str(statement)[:40]),)])
                continue
            ((kind, value),) = statement.items()
            if kind in _VERDICTS:
                yield from (Rule(tests, _VERDICTS[kind], "", frozenset(changes), text) for tests in branches)
                return
            if kind in {"jump", "goto"}:
                target = value["target"]
                yield from (Rule(tests, kind, target, frozenset(changes), text) for tests in branches)
                return
            if kind == "vmap":
                yield from self.verdict_map(value, branches, frozenset(changes), text)
                return
            if kind in _NAT:
                if kind in {"dnat", "redirect"}:
                    changes.add("dnat")
                yield from (Rule(tests, "accept", "", frozenset(changes), text) for tests in branches)
                return
            if kind in {"queue", "synproxy", "tproxy"}:
                yield from (
                    Rule(tests, "unclear", "", frozenset(changes), f"{text} {kind}") for tests in branches
                )
                return
            if kind == "xt" and isinstance(value, dict) and value.get("type") == "target":
                yield from (Rule(tests, "unclear", "", frozenset(changes), text) for tests in branches)
                return
            if kind == "match":
                branches = _both(branches, self.match(value))
            elif kind in _AT_WILL:
                branches = _both(branches, [(Test("free"),)])
            elif kind == "log":
                changes.add("logged")
            elif kind == "notrack":
                changes.add("untracked")
            elif kind == "mangle":
                changes |= _mangled(value)
            elif kind == "xt":
                branches = _both(branches, [(unclear("xt"),)])
            elif kind not in _IDLE:
                # Among them adding to a set: that fails when the set is full, and then the rule ends there.
                branches = _both(branches, [(unclear(kind),)])
        # A rule without a verdict: an extension may still have held one (its target is opaque in old versions).
        opaque = any(isinstance(one, dict) and "xt" in one and one["xt"] is None for one in rule["expr"])
        action = "unclear" if opaque else "continue"
        yield from (Rule(tests, action, "", frozenset(changes), text) for tests in branches)

    def verdict_map(
        self, value: dict[str, Any], branches: list[tuple[Test, ...]], changes: frozenset[str], text: str
    ) -> Iterator[Rule]:
        data = value["data"]
        pairs = self.elements(data) if isinstance(data, str) else data["set"]
        if pairs is None or len(pairs) > _ALTERNATIVES:
            yield from (Rule(tests, "unclear", "", changes, f"{text} vmap") for tests in branches)
            return
        for key, verdict in sorted(pairs, key=lambda pair: _plain(pair[0]) == "*"):
            ((action, detail),) = verdict.items()
            target = detail["target"] if action in {"jump", "goto"} else ""
            action = "continue" if action == "continue" else _VERDICTS.get(action, action)
            if _plain(key) == "*":
                # All but the others, also when those were looked up, jumped and came back.
                others = [other for other, _ in pairs if _plain(other) != "*"]
                tests_of = self.compare(value["key"], "!=", {"set": others})
            else:
                tests_of = self.compare(value["key"], "==", {"set": [key]})
            for tests in _both(branches, tests_of):
                yield Rule(tests, action, target, changes, text)

    def match(self, value: dict[str, Any]) -> list[tuple[Test, ...]]:
        return self.compare(value["left"], value["op"], value["right"])

    def compare(self, left: Any, op: str, right: Any) -> list[tuple[Test, ...]]:
        """The ways in which a condition can hold, each a row of tests."""
        values = self.elements(right)
        if values is None:
            return [(unclear("set"),)]
        if isinstance(left, dict) and "concat" in left:
            if op != "==" or len(values) > _ALTERNATIVES:
                return [(unclear("concat"),)]
            ways = []
            for one in values:
                parts = _plain(one)["concat"]
                rows = [
                    self.compare(field, op, part) for field, part in zip(left["concat"], parts, strict=True)
                ]
                ways += [tuple(test for row in chosen for test in row) for chosen in product(*rows)]
            return ways
        try:
            return [(_test(left, op, [_plain(one) for one in values]),)]
        except (ValueError, KeyError, TypeError, IndexError):
            return [(unclear(json.dumps(left)[:60]),)]

    def elements(self, right: Any) -> list[Any] | None:
        """The values on the right hand, sets looked up; None when a set is not known."""
        if isinstance(right, str) and right.startswith("@"):
            return self.sets.get((*self.where, right[1:]))
        if isinstance(right, dict) and "set" in right:
            found = right["set"]
            return list(found) if isinstance(found, list) else [found]
        return [right]


def _both(first: list[tuple[Test, ...]], second: list[tuple[Test, ...]]) -> list[tuple[Test, ...]]:
    if len(first) * len(second) > _ALTERNATIVES:
        return [(*tests, unclear("too many")) for tests in first]
    return [(*one, *other) for one in first for other in second]


def _plain(value: Any) -> Any:
    """An element without its timeout and comment."""
    return value["elem"]["val"] if isinstance(value, dict) and "elem" in value else value


def _mangled(value: dict[str, Any]) -> set[str]:
    ((_, about),) = value["key"].items()
    if about.get("key") == "mark":
        return {"mark"}
    return {"dnat"} if about.get("field") in {"daddr", "dport"} else set()


def _test(left: Any, op: str, values: list[Any]) -> Test:
    """One condition on one field. Raises when it is not understood."""
    if op not in {"==", "!=", "<", ">", "<=", ">=", "in", "!"}:
        raise ValueError(op)
    mask = -1
    if isinstance(left, dict) and "&" in left:
        left, masked = left["&"]
        mask = masked if isinstance(masked, int) else _flags([masked])
    ((kind, about),) = left.items()
    if kind == "meta":
        return _meta(about["key"] if isinstance(about, dict) else about, op, values, mask)
    if kind == "payload":
        return _payload(about["protocol"], about["field"], op, values, mask)
    if kind == "ct":
        return _ct(about, op, values, mask)
    if kind == "fib":
        return _fib(about, op, values)
    if kind in _CHOSEN:
        return Test("free")
    if kind == "ipsec" and mask == -1:
        return Test("ipsec", words("ipsec"))
    raise ValueError(kind)


def _meta(key: str, op: str, values: list[Any], mask: int) -> Test:
    if key == "mark":
        return _mark(op, values, mask)
    if mask != -1:
        raise ValueError("mask")
    negated = _equality(op)
    match key:
        case "iif" | "iifname":
            return Test("iif", _strings(values), negated)
        case "oif" | "oifname":
            return Test("oif", _strings(values), negated)
        case "l4proto":
            return Test("protocol", _protocols(values), negated)
        case "nfproto":
            return Test("version", spans(points({"ipv4": 4, "ipv6": 6}[value] for value in values)), negated)
        case "protocol":
            return Test(
                "version", spans(points(_ETHER_TYPES.get(str(value), 0) for value in values)), negated
            )
        case "pkttype":
            return Test(
                "packet", frozenset("unicast" if one == "host" else one for one in _strings(values)), negated
            )
        case "ipsec" | "secpath":
            (value,) = values
            return Test("ipsec", words("ipsec" if value else "none"), negated)
        case _ if key in _CHOSEN_META:
            return Test("free")
        case _:
            raise ValueError(key)


def _payload(protocol: str, field: str, op: str, values: list[Any], mask: int) -> Test:
    if protocol in {"ip", "ip6"}:
        version = _ETHER_TYPES[protocol]
        if field in {"saddr", "daddr"} and mask == -1:
            ranges, negated = _ranges(
                op, [_addresses(value) for value in values], 2 ** (32 if version == 4 else 128)
            )
            return Test(field, ranges, negated, version=version)
        if field in {"protocol", "nexthdr"} and mask == -1:
            return Test("protocol", _protocols(values), _equality(op), version=version)
        if field == "frag-off":
            raise ValueError(field)
        return Test("free", version=version)
    if protocol in _TRANSPORT or protocol == "th":
        only = frozenset({_TRANSPORT[protocol]}) if protocol in _TRANSPORT else frozenset()
        if field == "dport" and mask == -1:
            ranges, negated = _ranges(op, [_number(value) for value in values], 65536)
            return Test("dport", ranges, negated, protocols=only)
        if protocol == "tcp" and field == "flags":
            return _tcp_flags(op, values, mask)
        return Test("free", protocols=only)
    if protocol in _OTHER_PROTOCOLS:
        return Test("free", protocols=frozenset({_OTHER_PROTOCOLS[protocol]}))
    if protocol == "ether" and mask == -1:
        if field == "type":
            return _meta("protocol", op, values, mask)
        return Test("mac", words(*(str(value) for value in values)), _equality(op))
    raise ValueError(protocol)


def _ct(about: dict[str, Any], op: str, values: list[Any], mask: int) -> Test:
    key = about["key"]
    if key == "mark":
        return _mark(op, values, mask)
    if key == "state" and mask == -1:
        listed = _strings([one for value in values for one in _listed(value)])
        if op == "!":
            return Test("state", listed, negated=True)
        if any(isinstance(value, list) for value in values) and op != "in":
            raise ValueError("exact states")
        return Test("state", listed, negated=op != "in" and _equality(op))
    if key == "status" and mask == -1 and op == "in":
        return Test("status", _strings([one for value in values for one in _listed(value)]))
    if key == "direction" and mask == -1:
        return Test("direction", _strings(values), _equality(op))
    if key == "helper":
        return Test("status", words("helper"), _equality(op))
    if key in {"expiration", "bytes", "packets", "avgpkt"}:
        return Test("free")
    raise ValueError(key)


def _fib(about: dict[str, Any], op: str, values: list[Any]) -> Test:
    flags = set(_listed(about["flags"]))
    if about["result"] == "type":
        if flags <= {"daddr", "iif", "oif"}:
            return Test("daddr-type", _strings(values), _equality(op))
        if flags <= {"saddr", "iif", "oif"}:
            return Test("saddr-type", _strings(values), _equality(op))
    elif flags <= {"saddr", "iif", "mark"} and all(isinstance(value, bool) for value in values):
        (value,) = values
        return Test("rpf", words("exists" if value else "missing"), _equality(op))
    raise ValueError("fib")


def _mark(op: str, values: list[Any], mask: int) -> Test:
    ranges, negated = _ranges(op, [_number(value) for value in values], 2**32)
    return Test("mark", ranges, negated, mask=mask)


def _tcp_flags(op: str, values: list[Any], mask: int) -> Test:
    wanted = [_flags([value]) for value in values]
    only = frozenset({TCP})
    if op == "in" or op == "!":
        # Any of the flags is set; "!": none of them is.
        together = 0
        for one in wanted:
            together |= one
        return Test("flags", ((1, 255),), negated=op == "!", mask=together & mask, protocols=only)
    return Test("flags", spans(points(wanted)), _equality(op), mask=mask, protocols=only)


def _flags(values: list[Any]) -> int:
    total = 0
    for value in values:
        if isinstance(value, bool):
            raise ValueError("flags")
        if isinstance(value, int):
            total |= value
        elif isinstance(value, str):
            total |= _TCP_FLAGS[value]
        elif isinstance(value, dict) and set(value) == {"|"}:
            total |= _flags(value["|"])
        elif isinstance(value, list):
            total |= _flags(value)
        else:
            raise ValueError("flags")
    return total


def _equality(op: str) -> bool:
    """Whether the comparison is negated. Raises ValueError when it is neither equal nor unequal."""
    if op not in {"==", "!=", "in"}:
        raise ValueError(op)
    return op == "!="


def _ranges(op: str, values: list[tuple[int, int]], size: int) -> tuple[Spans, bool]:
    wanted = spans(values)
    if op in {"==", "!=", "in"}:
        return wanted, op == "!="
    ((low, high),) = wanted
    if low != high:
        raise ValueError(op)
    everything = ((0, size - 1),)
    match op:
        case "<":
            return minus(everything, ((low, size),)), False
        case "<=":
            return minus(everything, ((low + 1, size),)), False
        case ">":
            return minus(everything, ((-1, low),)), False
        case ">=":
            return minus(everything, ((-1, low - 1),)), False
        case _:
            raise ValueError(op)


def _number(value: Any) -> tuple[int, int]:
    if isinstance(value, dict):
        if "prefix" in value:
            raise ValueError("prefix of a number")
        low, high = value["range"]
        return _number(low)[0], _number(high)[1]
    if isinstance(value, bool):
        raise ValueError("a number")
    return int(value), int(value)


def _addresses(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        return network(value)[0]
    if "prefix" in value:
        return network(f"{value['prefix']['addr']}/{value['prefix']['len']}")[0]
    low, high = value["range"]
    return network(low)[0][0], network(high)[0][1]


def _protocols(values: list[Any]) -> Spans:
    ranges = []
    for value in values:
        if isinstance(value, dict):
            low, high = value["range"]
            ranges.append((protocol_number(low), protocol_number(high)))
        else:
            ranges += points([protocol_number(value)])
    return spans(ranges)


def _strings(values: list[Any]) -> frozenset[str]:
    """Words, and nothing that would have to be worked out. Raises ValueError."""
    if not all(isinstance(value, str) for value in values):
        raise ValueError("not words")
    return frozenset(values)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
