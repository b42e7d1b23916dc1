"""SPF records read and followed (RFC 7208), as far as the answers at hand go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from checks.network.answers import Answers, Question, Untold, askable
from scanner import NotUnderstood

#: RFC 7208 section 4.6.4: terms that ask the DNS, answers that are empty, and hosts of one mx.
LOOKUPS: Final = 10
VOIDS: Final = 2
EXCHANGERS: Final = 10
#: Terms that are walked at most; records can include each other many times over.
_WALKED: Final = 100
_ASKING: Final = frozenset({"include", "a", "mx", "ptr", "exists"})
_MECHANISMS: Final = _ASKING | {"all", "ip4", "ip6"}
_TERM: Final = re.compile(r"([+\-~?]?)([A-Za-z][A-Za-z0-9._-]*)(?:([:/=])(.*))?")
_NAME: Final = re.compile(r"(?:[\x21-\x24\x26-\x7e]|%\{[A-Za-z]\d*r?[.\-+,/_=]*\}|%%|%_|%-)+")
_LENGTHS: Final = re.compile(r"(?P<name>[^/]*)(?:/(?P<four>\d{1,2}))?(?://(?P<six>\d{1,3}))?")


@dataclass(frozen=True)
class Term:
    """One mechanism or modifier: ``-all``, ``include:example.nl``, ``redirect=example.nl``.

    ``value`` is the domain or network in it, without prefix lengths. ``fault`` says what is wrong with it.
    """

    text: str
    qualifier: str
    name: str
    value: str
    modifier: bool = False
    fault: str = ""

    @property
    def macro(self) -> bool:
        """Whether the name depends on the message that is judged (RFC 7208 section 7)."""
        return "%" in self.value


@dataclass
class Walk:
    """What following a record gives.

    ``missing`` are names that were not asked; ``faults`` are what makes a receiver give up (permerror). ``all_`` is the
    qualifier that ends it, empty for none. ``macros`` says that some of the records differ per message.
    """

    lookups: int = 0
    voids: list[str] = field(default_factory=list)
    missing: list[Question] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ptr: list[str] = field(default_factory=list)
    all_: str = ""
    macros: bool = False
    walked: int = 0


def records(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Those among a name's TXT records that are SPF (RFC 7208 section 4.5)."""
    return tuple(one for one in texts if re.match(r"v=spf1(?: |$)", one, re.IGNORECASE))


def terms(record: str) -> Iterator[Term]:
    """The terms of a record, in order."""
    for text in record.split(" ")[1:]:
        if text:
            yield _term(text)


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text)
    if match is None:
        return Term(text, "", "", "", fault=f"{text}: no term of SPF")
    qualifier, name, mark, rest = match[1], match[2].lower(), match[3] or "", match[4] or ""
    if mark == "=":
        fault = f"{text}: a modifier has no qualifier" if qualifier else ""
        if name in ("redirect", "exp") and not _NAME.fullmatch(rest):
            fault = f"{text}: no domain"
        return Term(text, "", name, rest.rstrip(".").lower(), modifier=True, fault=fault)
    if name not in _MECHANISMS:
        return Term(text, qualifier, name, "", fault=f"{text}: no mechanism of SPF")
    value, fault = _argument(name, mark, rest)
    return Term(
        text, qualifier or "+", name, value.rstrip(".").lower(), fault=f"{text}: {fault}" if fault else ""
    )


def _argument(name: str, mark: str, rest: str) -> tuple[str, str]:
    """The domain or network of a mechanism, and what is wrong with it."""
    if name == "all":
        return "", "takes nothing" if mark else ""
    if name in ("ip4", "ip6"):
        try:
            network = ip_network(rest, strict=False)
        except ValueError:
            return rest, "no network"
        return rest, "" if network.version == int(name[2]) and mark == ":" else f"no {name} network"
    if name in ("include", "exists"):
        return rest, "" if mark == ":" and _NAME.fullmatch(rest) else "no domain"
    parts = _LENGTHS.fullmatch(f"/{rest}" if mark == "/" else rest)
    if parts is None or (mark == ":" and not _NAME.fullmatch(parts["name"])) or (mark == "/" and not rest):
        return rest, "no domain and prefix length"
    if int(parts["four"] or 0) > 32 or int(parts["six"] or 0) > 128:
        return parts["name"], "the prefix is too long"
    return parts["name"], ""


def follow(domain: str, answers: Answers) -> Walk:
    """Follow a domain's record as far as the answers go. Raises NotUnderstood when an answer tells nothing."""
    walk = Walk()
    walk.all_ = _follow(domain, answers, walk, (domain,))
    return walk


def unasked(domain: str, answers: Answers) -> tuple[Question, ...]:
    """What must be asked to follow a record further; never raises."""
    try:
        missing = follow(domain, answers).missing
    except Untold:
        return ()
    return tuple(dict.fromkeys(one for one in missing if askable(one[0])))


def _follow(name: str, answers: Answers, walk: Walk, way: tuple[str, ...]) -> str:
    """Walk one record; the qualifier that ends it."""
    if (name, "TXT") not in answers:
        walk.missing.append((name, "TXT"))
        return ""
    answer = answers(name, "TXT")
    found = records(answer.strings)
    if len(way) > 1 and not answer.strings:
        walk.voids.append(f"{name} TXT")
    if len(found) != 1:
        walk.faults.append(f"{name} has {len(found) or 'no'} SPF record{'s' if len(found) > 1 else ''}")
        return ""
    redirect: Term | None = None
    for term in terms(found[0]):
        walk.walked += 1
        if walk.walked > _WALKED:
            raise NotUnderstood(f"{way[0]}: more than {_WALKED} terms of SPF")
        if term.fault:
            walk.faults.append(f"{name}: {term.fault}")
        elif term.name == "all":
            return term.qualifier
        elif term.name == "redirect" and term.modifier:
            redirect = term
        elif not term.modifier and term.name in _ASKING:
            walk.lookups += 1
            _ask(term, name, answers, walk, way)
    if redirect is None:
        return ""
    walk.lookups += 1
    return _go(redirect, answers, walk, way)


def _go(term: Term, answers: Answers, walk: Walk, way: tuple[str, ...]) -> str:
    """On to the record of another name."""
    if term.macro:
        walk.macros = True
        return ""
    if term.value in way:
        walk.faults.append(f"{term.text}: goes round")
        return ""
    return _follow(term.value, answers, walk, (*way, term.value))


def _ask(term: Term, name: str, answers: Answers, walk: Walk, way: tuple[str, ...]) -> None:
    if term.name == "ptr":
        walk.ptr.append(f"{name}: {term.text}")
        return
    if term.name == "include":
        _go(term, answers, walk, way)
        return
    if term.macro:
        return
    at = term.value or name
    # A client has one family; an address of either kind makes it no void for some.
    kinds = {"a": ("A", "AAAA"), "mx": ("MX",), "exists": ("A",)}[term.name]
    missing = [(at, kind) for kind in kinds if (at, kind) not in answers]
    walk.missing += missing
    if missing:
        return
    found = [one for kind in kinds for one in answers(at, kind).records]
    if not found:
        walk.voids.append(f"{at} {kinds[0]}")
    if term.name == "mx" and len(found) > EXCHANGERS:
        walk.faults.append(f"{name}: {term.text}: more than {EXCHANGERS} mail servers")
