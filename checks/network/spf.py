"""SPF records read and followed (RFC 7208), as far as the answers at hand go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import takewhile
from typing import Final

from checks.network.answers import Answers, Question, Untold, askable

#: RFC 7208 section 4.6.4: terms that ask the DNS, answers that are empty, and hosts of one mx.
LOOKUPS: Final = 10
VOIDS: Final = 2
EXCHANGERS: Final = 10
#: Terms that ask the DNS that are followed at most; records can include each other many times over.
_ASKED: Final = 100
#: Whoever lets in more addresses than one network of this length has, lets in everyone.
_WIDEST: Final = {4: 8, 6: 16}
_ASKING: Final = frozenset({"include", "a", "mx", "ptr", "exists"})
_MECHANISMS: Final = _ASKING | {"all", "ip4", "ip6"}
_ONCE: Final = ("redirect", "exp")
_TERM: Final = re.compile(r"([+\-~?]?)([A-Za-z][A-Za-z0-9._-]*)(?:([:/=])(.*))?")
_NAME: Final = re.compile(
    r"(?:[\x21-\x24\x26-\x7e]|%\{[slodiphv]\d*r?[.\-+,/_=]*\}|%%|%_|%-)+", re.IGNORECASE
)
#: What a name ends in: a top label, which is no number, or a macro (RFC 7208 section 7.1).
_END: Final = re.compile(
    r"(?:\.(?=[A-Za-z0-9-]*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?|%\{[^{}]{1,40}\}|%[%_-])\Z"
)
_FOUR, _SIX = r"(?:0|[1-9]\d?)", r"(?:0|[1-9]\d{0,2})"
_LENGTHS: Final = re.compile(rf"(?P<name>[^/]*)(?:/(?P<four>{_FOUR}))?(?://(?P<six>{_SIX}))?")
_NETWORK: Final = re.compile(rf"[0-9A-Fa-f:.]+(?:/{_SIX})?")


@dataclass(frozen=True)
class Term:
    """One mechanism or modifier: ``-all``, ``include:example.nl``, ``redirect=example.nl``.

    ``value`` is the domain or network in it; the prefix lengths of ``a`` and ``mx`` are ``lengths``, for IPv4 and IPv6.
    ``fault`` says what is wrong with it.
    """

    text: str
    qualifier: str
    name: str
    value: str
    modifier: bool = False
    fault: str = ""
    lengths: tuple[int, int] = (32, 128)

    @property
    def macro(self) -> bool:
        """Whether the name depends on the message that is judged (RFC 7208 section 7)."""
        return "%" in self.value


@dataclass
class Walk:
    """What following a record gives.

    ``missing`` are names that were not asked; ``faults`` are what makes a receiver give up (permerror). ``all_`` is the
    qualifier that ends it, empty for none. ``macros`` says that some of the records differ per message. ``networks``
    are those it lets in, and ``everyone`` the terms that let in any address.
    """

    lookups: int = 0
    voids: list[str] = field(default_factory=list)
    missing: list[Question] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ptr: list[str] = field(default_factory=list)
    all_: str = ""
    macros: bool = False
    networks: set[IPv4Network | IPv6Network] = field(default_factory=set)
    everyone: list[str] = field(default_factory=list)

    @property
    def cut_off(self) -> bool:
        """Whether it asks so much that it was not followed to its end."""
        return self.lookups > _ASKED

    @property
    def open_to(self) -> list[str]:
        """The terms and networks that let in (nearly) everyone; empty when it keeps most of the internet out."""
        return [*self.everyone, *_wide(self.networks)]


def _wide(networks: Iterable[IPv4Network | IPv6Network]) -> list[str]:
    """The largest of these networks when one family of them is together more than `_WIDEST`."""
    every = list(networks)
    four = collapse_addresses(one for one in every if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in every if isinstance(one, IPv6Network))
    families: tuple[list[IPv4Network | IPv6Network], ...] = ([*four], [*six])
    found: list[str] = []
    for family in families:
        most = sum(1 << (one.max_prefixlen - _WIDEST[one.version]) for one in family[:1])
        if sum(one.num_addresses for one in family) > most:
            found += map(str, sorted(family, key=lambda one: one.prefixlen)[:3])
    return found


def records(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Those among a name's TXT records that are SPF (RFC 7208 section 4.5)."""
    return tuple(one for one in texts if re.match(r"v=spf1(?: |\Z)", one, re.IGNORECASE))


@lru_cache(maxsize=256)
def terms(record: str) -> tuple[Term, ...]:
    """The terms of a record, in order."""
    return tuple(_term(text) for text in record.split(" ")[1:] if text)


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text)
    if match is None:
        return Term(text, "", "", "", fault=f"{text}: no term of SPF")
    qualifier, name, mark, rest = match[1], match[2].lower(), match[3] or "", match[4] or ""
    if mark == "=":
        fault = _domain_fault(rest) if name in _ONCE else ""
        fault = "a modifier has no qualifier" if qualifier else fault
        return Term(text, "", name, _plain(rest), modifier=True, fault=fault and f"{text}: {fault}")
    if name not in _MECHANISMS:
        return Term(text, qualifier, name, "", fault=f"{text}: no mechanism of SPF")
    value, fault, lengths = _argument(name, mark, rest)
    return Term(
        text, qualifier or "+", name, _plain(value), fault=fault and f"{text}: {fault}", lengths=lengths
    )


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _domain_fault(text: str) -> str:
    """What is wrong with a name (RFC 7208 sections 4.3 and 7.1)."""
    if not _NAME.fullmatch(text) or not _END.search(text[-70:]):
        return "no domain"
    labels = text.removesuffix(".").split(".")
    if "%" not in text and (len(text) > 254 or not all(0 < len(label) < 64 for label in labels)):
        return "no domain name"
    return ""


def _argument(name: str, mark: str, rest: str) -> tuple[str, str, tuple[int, int]]:
    """The domain or network of a mechanism, what is wrong with it, and its prefix lengths."""
    whole = (32, 128)
    if name == "all":
        return "", "takes nothing" if mark else "", whole
    if name in ("ip4", "ip6"):
        try:
            network = ip_network(rest, strict=False)
        except ValueError:
            return rest, "no network", whole
        good = mark == ":" and _NETWORK.fullmatch(rest) and network.version == int(name[2])
        return rest, "" if good else f"no {name} network", whole
    if name in ("include", "exists", "ptr"):
        return (
            rest,
            _domain_fault(rest) if mark == ":" else "no domain" if mark or name != "ptr" else "",
            whole,
        )
    parts = _LENGTHS.fullmatch(f"/{rest}" if mark == "/" else rest)
    if parts is None or (mark == "/" and not rest):
        return rest, "no domain and prefix length", whole
    lengths = int(parts["four"] or 32), int(parts["six"] or 128)
    fault = _domain_fault(parts["name"]) if mark == ":" else ""
    return parts["name"], "the prefix is too long" if lengths[0] > 32 or lengths[1] > 128 else fault, lengths


def follow(domain: str, answers: Answers) -> Walk:
    """Follow a domain's record as far as the answers go. Raises NotUnderstood when an answer tells nothing."""
    walk = Walk()
    walk.all_ = _follow(domain, answers, walk, (domain,), "+?")
    return walk


def unasked(domain: str, answers: Answers) -> tuple[Question, ...]:
    """What must be asked to follow a record further; never raises."""
    try:
        missing = follow(domain, answers).missing
    except Untold:
        return ()
    return tuple(dict.fromkeys(one for one in missing if askable(one[0])))


def _follow(name: str, answers: Answers, walk: Walk, way: tuple[str, ...], lets: str) -> str:
    """Walk one record; the qualifier that ends it. ``lets`` are the qualifiers that let a sender in."""
    if not askable(name) or (name, "TXT") not in answers:
        walk.missing.append((name, "TXT"))
        return ""
    answer = answers(name, "TXT")
    found = records(answer.strings)
    if len(way) > 1 and not answer.strings:
        walk.voids.append(f"{name} TXT")
    if len(found) != 1:
        walk.faults.append(f"{name} has {len(found) or 'no'} SPF record{'s' if len(found) > 1 else ''}")
        return ""
    met = terms(found[0])
    # Before anything is followed: a fault behind the end, or behind what matches, counts too (section 4.6).
    walk.faults += [f"{name}: {fault}" for fault in _faults(met)]
    walk.networks |= _networks(found[0], lets)
    for term in met:
        if walk.cut_off:
            return ""
        if term.name == "all" and not term.modifier:
            return term.qualifier
        if term.name in _ASKING and not term.modifier and not term.fault:
            _match(term, name, answers, walk, way, lets)
    redirect = next((one for one in met if one.modifier and one.name == "redirect" and not one.fault), None)
    if redirect is None:
        return ""
    walk.lookups += 1
    return _go(redirect, answers, walk, way, lets)


@lru_cache(maxsize=256)
def _networks(record: str, lets: str) -> frozenset[IPv4Network | IPv6Network]:
    """The networks a record lets in with these qualifiers; read once, however often it is included."""
    before = takewhile(lambda term: term.name != "all" or term.modifier, terms(record))
    return frozenset(
        ip_network(term.value, strict=False)
        for term in before
        if term.name in ("ip4", "ip6") and term.qualifier in lets and not term.modifier and not term.fault
    )


def _faults(met: tuple[Term, ...]) -> list[str]:
    """What is wrong with the terms of one record."""
    modifiers = [one.name for one in met if one.modifier]
    twice = [
        f"{name}= stands there {modifiers.count(name)} times" for name in _ONCE if modifiers.count(name) > 1
    ]
    return [*(one.fault for one in met if one.fault), *twice]


def _go(term: Term, answers: Answers, walk: Walk, way: tuple[str, ...], lets: str) -> str:
    """On to the record of another name."""
    if term.macro:
        walk.macros = True
        return ""
    if term.value in way:
        walk.faults.append(f"{term.text}: goes round")
        return ""
    return _follow(term.value, answers, walk, (*way, term.value), lets)


def _match(term: Term, name: str, answers: Answers, walk: Walk, way: tuple[str, ...], lets: str) -> None:
    """What one mechanism asks, and whether it lets in everyone."""
    let_in = term.qualifier in lets
    walk.lookups += 1
    if term.name == "ptr":
        walk.ptr.append(f"{name}: {term.text}")
    elif term.name == "include":
        # A sender is let in by an include only when its own record says pass (section 5.2).
        if _go(term, answers, walk, way, "+" if let_in else "") == "+" and let_in:
            walk.everyone.append(f"{term.text} ends in +all")
    elif not term.macro:
        _ask(term, term.value or name, answers, walk, let_in)


def _ask(term: Term, at: str, answers: Answers, walk: Walk, let_in: bool) -> None:
    # A client has one family; an address of either kind makes it no void for some.
    kinds = {"a": ("A", "AAAA"), "mx": ("MX",), "exists": ("A",)}[term.name]
    if let_in and any(length <= most for length, most in zip(term.lengths, _WIDEST.values(), strict=True)):
        walk.everyone.append(term.text)
    missing = [(at, kind) for kind in kinds if not askable(at) or (at, kind) not in answers]
    walk.missing += missing
    if missing:
        return
    found = [one for kind in kinds for one in answers(at, kind).records]
    if not found:
        walk.voids.append(f"{at} {kinds[0]}")
    elif term.name == "exists" and let_in:
        walk.everyone.append(term.text)
    if term.name == "mx" and len(found) > EXCHANGERS:
        walk.faults.append(f"{term.text}: {at} has more than {EXCHANGERS} mail servers")
