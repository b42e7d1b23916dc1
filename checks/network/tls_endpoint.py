"""What a TLS port offers to whoever asks: versions, suites and their order, groups, and all that goes with them.

Read from the bytes of every hello and every answer (scanner/channels/tls.py). A `Part` is one thing that was looked
for: what was seen of it, and whether that is all there is. A check that needs the whole asks for `whole` and ends as
error when it could not be established; one that has seen something bad already needs no more than `seen`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Generic, NamedTuple, NoReturn, TypeAlias, TypeVar

from pydantic_core import CoreSchema, core_schema

from checks.network.ports import TlsPort
from scanner import (
    Absent,
    Blind,
    Cause,
    Each,
    NotUnderstood,
    Raw,
    TlsWalk,
    fact,
    probe,
    tlsanswer,
    tlshangup,
    tlswire,
    transcript,
    visible,
)
from scanner.tlsanswer import Answer
from scanner.tlsnames import (
    GROUPS,
    SCHEMES,
    SSL2_SUITES,
    SUITES,
    TLS13,
    VERSION_NAMES,
    VERSIONS,
    Group,
    Scheme,
    Suite,
    prime_name,
)

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T_co]):
    """One thing that was looked for: ``seen`` is what was seen of it; ``gap`` says why that may not be all."""

    seen: T_co
    gap: str = ""
    cause: Cause | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> CoreSchema:
        """Parts are made here, of what was read already: nothing to validate or copy, which would take long."""
        return core_schema.is_instance_schema(cls)

    @property
    def established(self) -> bool:
        """Whether what was seen is all there is."""
        return not self.gap

    @property
    def whole(self) -> T_co:
        """All there is. Raises Blind, which ends as *error*, when that could not be established."""
        if self.gap:
            raise Blind(self.gap, self.cause)
        return self.seen


Suites: TypeAlias = Mapping[str, Part[tuple[Suite, ...]]]


class Prime(NamedTuple):
    """A prime for Diffie-Hellman that the server uses: its size, whose it is when known ("MODP 2048"), and more."""

    bits: int
    name: str
    generator: int
    suite: str


class Shown(NamedTuple):
    """What came back for one name in the hello: the certificates (DER), or the alert in their place."""

    chain: tuple[bytes, ...]
    alert: str
    version: str
    suite: str


@fact
class TlsOffer:
    """What one TLS port offers. Versions are named as in `tlsnames.VERSIONS`: SSLv2, SSLv3, TLSv1 ... TLSv1.3.

    ``version``: name -> is it accepted. ``suites``: name -> those accepted. ``order``: name (not SSLv2) -> the same in
    the order in which the server chose them. ``server_order``: "TLSv1.3" and "older" -> is that the server's own order,
    whatever the client's; not there when there is nothing to order. ``chacha_first``: it lets ChaCha20 go first for
    clients that have it first.
    ``groups``: "TLSv1.3" and "older" -> groups for ECDHE. ``primes``: those of DHE. ``schemes``: "TLSv1.2" and
    "TLSv1.3" -> how the server signs. ``compression`` is that of any version. The booleans from
    ``secure_renegotiation`` to ``session_tickets`` are of TLS 1.2 and older, and None when it speaks none of those.
    ``renegotiation``: may a client start one (TLS 1.2; None without it). ``protocols`` are those of ALPN.
    ``early_data``: bytes of 0-RTT data that tickets allow (0: none), None without TLS 1.3. ``fallback_refused`` is None
    when it speaks one version only. ``client_certificate``: names of CAs (DER) it would take, or None when it asks for
    no certificate. ``shown``: "right", "none" and "unknown" name -> the certificates.
    """

    port: int
    name: str
    starttls: str
    version: Mapping[str, Part[bool]]
    suites: Mapping[str, Part[tuple[Suite, ...]]]
    server_order: Mapping[str, Part[bool]]
    order: Mapping[str, Part[tuple[Suite, ...]]]
    chacha_first: bool | None
    groups: Mapping[str, Part[tuple[Group, ...]]]
    primes: Part[tuple[Prime, ...]]
    schemes: Mapping[str, Part[tuple[Scheme, ...]]]
    compression: Part[bool]
    secure_renegotiation: Part[bool | None]
    extended_master_secret: Part[bool | None]
    encrypt_then_mac: Part[bool | None]
    heartbeat: Part[bool | None]
    session_tickets: Part[bool | None]
    fallback_refused: Part[bool | None]
    renegotiation: Part[bool | None]
    protocols: Part[tuple[str, ...]]
    early_data: Part[int | None]
    staple: Part[bytes]
    client_certificate: Part[tuple[bytes, ...] | None]
    shown: Mapping[str, Part[Shown]]

    def __str__(self) -> str:
        return f"{self.port}/tcp"

    @property
    def accepted(self) -> Part[tuple[str, ...]]:
        """The versions accepted, oldest first."""
        seen = tuple(name for name, part in self.version.items() if part.seen)
        return _joined(seen, self.version.values())

    @property
    def all_suites(self) -> Part[tuple[Suite, ...]]:
        """Every suite accepted in any version."""
        seen = dict.fromkeys(suite for part in self.suites.values() for suite in part.seen)
        return _joined(tuple(seen), self.suites.values())

    @property
    def all_groups(self) -> Part[tuple[Group, ...]]:
        """Every group accepted, in any version."""
        seen = dict.fromkeys(group for part in self.groups.values() for group in part.seen)
        return _joined(tuple(seen), self.groups.values())


def _joined(seen: T, parts: Iterable[Part[object]]) -> Part[T]:
    worst = next((part for part in parts if part.gap), None)
    return Part(seen, worst.gap, worst.cause) if worst else Part(seen)


@fact
class StartTls:
    """Whether a port that speaks something before TLS offers TLS at all, and what it said last."""

    port: int
    protocol: str
    offered: bool
    said: str

    def __str__(self) -> str:
        return f"{self.port}/tcp"


def _walk(port: TlsPort) -> TlsWalk:
    return TlsWalk(port.number, port.server_name, port.address, port.starttls)


def _over_tcp(port: TlsPort) -> bool:
    return port.protocol == "tcp"


@probe("tls", walk=Each(TlsPort, _walk, when=_over_tcp))
def start_tls(walk: Raw, port: TlsPort) -> StartTls:
    """The dialogue before the first hello. Raises Absent for a port that speaks TLS at once."""
    if not port.starttls:
        raise Absent("this port speaks TLS at once")
    if any(one.received for one in _read(walk.out)):
        return StartTls(port.number, port.starttls, True, "")
    try:
        before_tls(walk)
    except Absent as absent:
        return StartTls(port.number, port.starttls, False, str(absent))


@probe("tls", walk=Each(TlsPort, _walk, when=_over_tcp))
def tls_offer(walk: Raw, port: TlsPort) -> TlsOffer:
    """The walk as `TlsWalk` documents it. Raises Absent when the port speaks something else than TLS."""
    whole = spoken(walk, declared=port.declared)
    answers = [one for one in whole if one.ask not in (_SHOWN["none"], _SHOWN["unknown"])]
    suites = {name: _suites(answers, name) for name in VERSIONS}
    old = [one for one in answers if one.sound and one.server and one.server.version < TLS13]
    return TlsOffer(
        port=port.number,
        name=port.server_name,
        starttls=port.starttls,
        version={name: _version(answers, name, part) for name, part in suites.items()},
        suites=suites,
        server_order=dict(_orders(answers, suites)),
        order={name: _order(answers, name, suites[name]) for name in list(VERSIONS)[1:]},
        chacha_first=_chacha_first(answers),
        groups={family: _groups(answers, family, suites) for family in ("older", "TLSv1.3")},
        primes=_all_primes(answers, old, suites),
        schemes={name: _schemes(answers, name, suites[name]) for name in ("TLSv1.2", "TLSv1.3")},
        compression=_joined(any(one.server and one.server.compression for one in old), suites.values()),
        secure_renegotiation=_extension(old, suites, tlswire.RENEGOTIATION_INFO),
        extended_master_secret=_extension(old, suites, tlswire.EXTENDED_MASTER_SECRET),
        encrypt_then_mac=_encrypt_then_mac(old, suites),
        heartbeat=_extension(old, suites, tlswire.HEARTBEAT, any),
        session_tickets=_extension(old, suites, tlswire.SESSION_TICKET, any),
        fallback_refused=_fallback(answers, suites),
        renegotiation=_renegotiation(answers, suites),
        protocols=_protocols(answers),
        early_data=_early_data(answers, suites["TLSv1.3"]),
        staple=stapled(answers),
        client_certificate=_client_certificate(answers),
        shown={which: shown_to(whole, which) for which in _SHOWN},
    )


_SHOWN: Final = {"right": "chain", "none": "chain without a name", "unknown": "chain for an unknown name"}


def spoken(walk: Raw, *, declared: bool) -> list[Answer]:
    """The answers of a walk, when what answers is TLS.

    Raises Absent when something else answers, NotUnderstood when the inventory promised TLS, and Blind when the
    dialogue before TLS came to nothing.
    """
    answers = _read(walk.out)
    if not answers:
        before_tls(walk)
    tls = [one for one in answers if not one.foreign]
    if any(one.hello and one.received for one in tls):
        return answers
    if any(one.foreign for one in answers):
        if declared:
            raise NotUnderstood(
                "the inventory says that this port speaks TLS, and it answers in something else"
            )
        raise Absent("this port does not speak TLS")
    gap, cause = _why(answers)
    raise Blind(gap, cause)


@lru_cache(maxsize=16)
def _read(out: bytes) -> list[Answer]:
    answers = tlsanswer.read_all(transcript.exchanges(Raw(out=out)))
    refused = tlshangup.refusals(answers)
    return [replace(one, hung_up=True) if one.asked in refused else one for one in answers]


#: First words that are no welcome: too busy, closed, not for us. Of SMTP, LMTP, FTP and NNTP; IMAP; ManageSieve; POP3;
#: MySQL (an ERR packet); PostgreSQL (ErrorResponse); XMPP.
_NO_WELCOME: Final = re.compile(
    rb"[45]\d\d[ -]|\* BYE\b|BYE\b|-ERR\b|.{3}\x00\xff|E\x00\x00|.{0,2000}?<stream:error\b",
    re.DOTALL | re.IGNORECASE,
)


def before_tls(walk: Raw) -> NoReturn:
    """Say why no hello was ever sent: raises Absent when the server does not offer TLS, else Blind or NotUnderstood."""
    tried = [one for one in transcript.exchanges(walk) if one.received]
    if not tried:
        raise NotUnderstood("nothing was asked")
    if _NO_WELCOME.match(tried[-1].received):
        raise NotUnderstood(f"the server turns everyone away: {_words(tried[-1])}")
    if tried[-1].end == "done":
        raise Absent(f"the server offers no STARTTLS: {_words(tried[-1])}")
    raise Blind(f"before TLS: {_WHY[tried[-1].end][0]}", _WHY[tried[-1].end][1])


def _words(exchange: transcript.Exchange) -> str:
    return visible(exchange.turns[-1].received[:80].decode(errors="replace").strip())


_WHY: Final[Mapping[str, tuple[str, Cause]]] = {
    "timeout": ("no answer in time", Cause.TIMEOUT),
    "reset": ("the connection was reset", Cause.RESET),
    "refused": ("the connection was refused", Cause.REFUSED),
    "closed": ("the connection was closed in the middle of the answer", Cause.RESET),
    "limit": ("more came back than is read", Cause.TRUNCATED),
    "done": (
        "the answer is no TLS, an alert that says nothing of the offer, or wants a key in a group that we have none in",
        Cause.TLS,
    ),
}


def _why(answers: Iterable[Answer], what: str = "") -> tuple[str, Cause]:
    """Why something was not established: how the last question about it ended."""
    ends = [one.exchange.end for one in answers]
    words, cause = (
        _WHY[ends[-1]] if ends else ("the time or the connections were up before it was asked", Cause.TIMEOUT)
    )
    return (f"{what}: {words}" if what else words), cause


# --- reading a walk -------------------------------------------------------------------------------------------


@dataclass
class _Ledger:
    """What was offered in a walk, and what came of it. All is known when each item is accepted or refused."""

    asked: bool
    offered: set[int]
    accepted: list[int]
    refusals: list[frozenset[int]]

    @property
    def complete(self) -> bool:
        """Whether nothing offered is open. A refusal of what was accepted elsewhere says nothing."""
        accepted = set(self.accepted)
        refused = {code for one in self.refusals if not one & accepted for code in one}
        return self.asked and self.offered <= accepted | refused


def _ledger(
    asked: list[Answer],
    offer: Callable[[Answer], Iterable[int]],
    chosen: Callable[[Answer], Iterable[int]],
    known: Iterable[int] = (),
) -> _Ledger:
    book, away = _Ledger(bool(asked), set(known), list(dict.fromkeys(known)), []), set[frozenset[int]]()
    for one in asked:
        offered = frozenset(offer(one))
        book.offered |= offered
        if not one.sound:
            continue
        if one.accepted:
            took = list(chosen(one))
            if not took and one.gave_up:
                book.refusals.append(offered)
            if took and all(code in book.accepted for code in took):
                book.refusals.append(offered - set(book.accepted))
            book.accepted += [code for code in took if code not in book.accepted]
        elif one.refused or (one.turned_away and offered in away):
            book.refusals.append(offered)
        else:
            away.add(offered)
    return book


def _at_all(_answer: Answer) -> tuple[int]:
    """The offer as one item, for a question that is answered by yes or no."""
    return (0,)


def _part(book: _Ledger, asked: list[Answer], seen: T, what: str) -> Part[T]:
    return Part(seen) if book.complete else Part(seen, *_why(asked, what))


def _suites(answers: list[Answer], name: str) -> Part[tuple[Suite, ...]]:
    """Those that were accepted when this version was asked for, or in answer to anything else."""
    asked = [one for one in answers if one.ask == f"suites {name}"]
    book = _ledger(asked, lambda one: one.offer, _chosen_suites)
    known = SSL2_SUITES if name == "SSLv2" else SUITES
    chosen = [one.server for one in answers if one.sound and one.server]
    elsewhere = {one.suite for one in chosen if one.version == VERSIONS[name]} - set(book.accepted)
    if name == "SSLv2" and book.accepted:
        book.offered = set(book.accepted)  # the server named all that it has
    found = [*book.accepted, *elsewhere]
    found = found if name == "SSLv2" else _in_order(answers, [name], found)[0]
    seen = tuple(known[code] for code in found if code in known)
    if book.complete and elsewhere:
        return Part(seen, f"{name} is refused in one hello and accepted in another", Cause.TLS)
    if book.complete and not any(one.sound and one.accepted for one in answers):
        return Part(seen, "every hello is refused, whatever is in it", Cause.TLS)
    return _part(book, asked, seen, f"the suites of {name}")


def _version(answers: list[Answer], name: str, suites: Part[tuple[Suite, ...]]) -> Part[bool]:
    """Whether it is spoken. SSL 2 is even where it names no suite: some do what they do not name (CVE-2015-3197)."""
    seen = bool(suites.seen) or (name == "SSLv2" and any(one.ssl2_server for one in answers))
    return Part(True) if seen else Part(False, suites.gap, suites.cause)


def _order(answers: list[Answer], name: str, suites: Part[tuple[Suite, ...]]) -> Part[tuple[Suite, ...]]:
    """Its own order; when that was asked in parts, the one of all versions up to TLS 1.2: a server has one list."""
    seen = [suite.code for suite in suites.seen]
    found, sure = _in_order(answers, [name], seen)
    if not sure:
        found, sure = _in_order(answers, list(VERSIONS)[1:-1], seen)
        sure = sure or any(not part.seen and not part.gap for _, part in _orders(answers, {name: suites}))
    order = tuple(SUITES[code] for code in found)
    if suites.gap or sure:
        return Part(order, suites.gap, suites.cause)
    return Part(order, f"the order of {name}: asked in parts, as the server is far away", Cause.POLICY)


def _chosen_scheme(answer: Answer) -> tuple[int, ...]:
    scheme = answer.scheme
    return (scheme,) if scheme is not None and scheme in SCHEMES else ()


def _chosen_group(answer: Answer) -> tuple[int, ...]:
    group = answer.group
    return (group,) if group is not None and group in GROUPS else ()


def _chosen_suites(answer: Answer) -> tuple[int, ...]:
    if answer.ssl2_server:
        return answer.ssl2_server.suites
    return (answer.server.suite,) if answer.server else ()


def _in_order(answers: list[Answer], names: Iterable[str], accepted: Iterable[int]) -> tuple[list[int], bool]:
    """The accepted suites so that each comes before those it was chosen above; and whether that leaves no doubt."""
    asked = {f"{what} {name}" for what in ("suites", "merge") for name in names}
    above: dict[int, set[int]] = {}
    for one in answers:
        if one.ask in asked and one.sound and one.server is not None:
            above.setdefault(one.server.suite, set()).update(one.offer)
    left, found, sure = list(accepted), list[int](), True
    while left:
        first = [
            code for code in left if not any(code in above.get(other, ()) for other in left if other != code)
        ]
        sure = sure and len(first) == 1
        found.append(first[0] if first else left[0])
        left.remove(found[-1])
    return found, sure


def _orders(
    answers: list[Answer], suites: Mapping[str, Part[tuple[Suite, ...]]]
) -> Iterator[tuple[str, Part[bool]]]:
    """Whether the server's order counts: it chose something else than what came first in the reversed offer."""
    for family, names in (("TLSv1.3", ["TLSv1.3"]), ("older", list(VERSIONS)[1:-1])):
        if all(len(suites[name].seen) < 2 for name in names if name in suites):
            continue
        asked = [one for one in answers if one.ask.startswith("order ") and one.ask[6:] in names]
        answer = next((one for one in asked if one.sound and one.server), None)
        if answer is None or answer.server is None:
            yield family, Part(False, *_why(asked, f"whose order counts in {family}"))
        else:
            yield family, Part(answer.server.suite != answer.offer[0])


def _chacha_first(answers: list[Answer]) -> bool | None:
    asked = [one for one in answers if one.ask.startswith("chacha ") and one.sound and one.server]
    return any("ChaCha" in SUITES[one.server.suite].cipher for one in asked if one.server) if asked else None


_OLDER: Final = tuple(VERSIONS)[4:0:-1]


def _groups(answers: list[Answer], family: str, suites: Suites) -> Part[tuple[Group, ...]]:
    """The groups of TLS 1.3, or those of the newest older version that has ECDHE."""
    names = ("TLSv1.3",) if family == "TLSv1.3" else _OLDER
    name = next((name for name in names if _elliptic(suites[name].seen)), None)
    if name is None:
        return _joined((), [suites[name] for name in names])
    asked = [one for one in answers if one.ask == f"groups {name}"]
    walked = [one for one in answers if one.ask == f"suites {name}" and one.sound]
    known = [one.group for one in walked if one.group is not None and one.group in GROUPS]
    book = _ledger(
        asked,
        lambda one: one.hello.groups if one.hello else (),
        _chosen_group,
        known[:1],
    )
    seen = dict.fromkeys([*book.accepted, *known])
    return _part(book, asked, tuple(GROUPS[code] for code in seen), f"the groups of {name}")


def _elliptic(suites: Iterable[Suite]) -> bool:
    return any(suite.exchange in {"ECDHE", "any"} for suite in suites)


def _all_primes(answers: list[Answer], old: list[Answer], suites: Suites) -> Part[tuple[Prime, ...]]:
    """Those of DHE. Who gets a named one where it is named (RFC 7919) may get another where it is not."""
    seen = tuple(_primes(old))
    asked = [one for one in answers if one.ask.startswith("prime ")]
    book = _ledger(asked, _at_all, _at_all)
    if any(one.name.startswith("ffdhe") for one in seen) and not book.complete:
        return Part(seen, *_why(asked, "the prime for who names none"))
    return _joined(seen, suites.values())


def _primes(old: Iterable[Answer]) -> Iterator[Prime]:
    seen = set()
    for one in old:
        keys = one.key_exchange
        if keys is None or not keys.prime or keys.prime in seen or one.server is None:
            continue
        seen.add(keys.prime)
        suite = SUITES[one.server.suite]
        if suite.exchange == "DHE":
            yield Prime(keys.bits, prime_name(keys.prime), int.from_bytes(keys.generator), suite.name)


def _schemes(answers: list[Answer], name: str, suites: Part[tuple[Suite, ...]]) -> Part[tuple[Scheme, ...]]:
    asked = [one for one in answers if one.ask == f"schemes {name}"]
    signed = [suite for suite in suites.seen if suite.authentication in {"RSA", "DSS", "ECDSA", "any"}]
    if not any(suite.exchange in {"DHE", "ECDHE", "any"} for suite in signed):
        return Part((), suites.gap, suites.cause)
    book = _ledger(
        asked,
        lambda one: one.hello.schemes if one.hello else (),
        _chosen_scheme,
    )
    return _part(
        book, asked, tuple(SCHEMES[code] for code in book.accepted), f"the signature schemes of {name}"
    )


# --- features -------------------------------------------------------------------------------------------------


def _extension(
    old: list[Answer], suites: Suites, kind: int, said: Callable[[Iterable[bool]], bool] = all
) -> Part[bool | None]:
    """Whether the newest version up to TLS 1.2 that it speaks has this extension, each time we had it (or ``any``)."""
    newest = max((one.server.version for one in old if one.server), default=0)
    if not newest:
        return _joined(None, suites.values())
    asked = [one.server for one in old if one.server and one.server.version == newest and _has(one, kind)]
    return Part(bool(asked) and said(kind in one.extensions for one in asked))


def _has(answer: Answer, kind: int) -> bool:
    """Whether our hello had this extension, or what stands for it in SSL 3."""
    if kind == tlswire.RENEGOTIATION_INFO and tlswire.RENEGOTIATION_SCSV in answer.offer:
        return True
    return answer.hello is not None and kind in answer.hello.extensions


def _encrypt_then_mac(old: list[Answer], suites: Suites) -> Part[bool | None]:
    """Only told for suites with CBC (RFC 7366 section 3)."""
    block = [one for one in old if one.server and "CBC" in SUITES[one.server.suite].cipher]
    return _extension(block, suites, tlswire.ENCRYPT_THEN_MAC)


def _fallback(answers: list[Answer], suites: Suites) -> Part[bool | None]:
    """Whether a client that falls back is refused. It was offered nothing but what is accepted otherwise."""
    asked = [one for one in answers if one.ask.startswith("fallback ")]
    book = _ledger(asked, _at_all, _at_all)
    if book.complete:
        return Part(not book.accepted)
    if not asked and sum(bool(part.seen) for name, part in suites.items() if name != "SSLv2") < 2:
        return _joined(None, suites.values())
    return Part(None, *_why(asked, "whether falling back is refused"))


def _renegotiation(answers: list[Answer], suites: Suites) -> Part[bool | None]:
    """Whether a client may ask for another handshake; it takes a suite with ECDHE and AEAD to find out."""
    if not suites["TLSv1.2"].seen:
        old = any(suites[name].seen for name in ("SSLv3", "TLSv1", "TLSv1.1"))
        gap = "renegotiation is asked for in TLS 1.2 only"
        return Part(None, gap, Cause.POLICY) if old else _joined(None, [suites["TLSv1.2"]])
    asked = [one for one in answers if one.ask == "renegotiation"]
    for one in asked:
        if one.sound and one.refused:
            return Part(None, "renegotiation takes a suite with ECDHE and AEAD to ask for", Cause.POLICY)
        allowed = one.renegotiated if one.sound else None
        if allowed is not None:
            return Part(allowed)
    return Part(None, *_why(asked, "whether a client may renegotiate"))


def _protocols(answers: list[Answer]) -> Part[tuple[str, ...]]:
    """All protocols are known when the server takes none of the rest, or refuses it."""
    asked = [one for one in answers if one.ask == "protocols"]
    seen = tuple(dict.fromkeys(one.protocol for one in asked if one.sound and one.accepted and one.protocol))
    last = asked[-1] if asked else None
    if last is not None and last.sound:
        said = last.chosen
        told = last.accepted and said is not None and (said.version < TLS13 or last.whole)
        if last.refused or (told and last.protocol in {"", *seen[:-1]}):
            return Part(seen)
    return Part(seen, *_why(asked, "the application protocols"))


def _early_data(answers: list[Answer], suites: Part[tuple[Suite, ...]]) -> Part[int | None]:
    """What the tickets allow."""
    if not suites.seen:
        return _joined(None, [suites])
    asked = [one for one in answers if one.ask == "ticket"]
    for one in asked:
        size = one.early_data if one.sound else None
        if size is not None:
            return Part(size)
    return Part(None, *_why(asked, "early data"))


def _whole(answers: list[Answer], words: str) -> Answer | None:
    return next(
        (one for one in answers if one.ask == words and one.sound and one.accepted and one.whole), None
    )


def stapled(answers: list[Answer]) -> Part[bytes]:
    """The OCSP answer that came along with the chain; empty when none did."""
    asked = [one for one in answers if one.ask == "chain"]
    answer = _whole(answers, "chain")
    if answer is None:
        return Part(b"", *_why(asked, "the stapled OCSP answer"))
    return Part(answer.staple)


def _client_certificate(answers: list[Answer]) -> Part[tuple[bytes, ...] | None]:
    asked = [one for one in answers if one.ask == "chain"]
    answer = _whole(answers, "chain")
    if answer is None or answer.chosen is None:
        return Part(None, *_why(asked, "whether a client certificate is asked for"))
    body = answer.message(tlswire.CERTIFICATE_REQUEST)
    return Part(
        tlswire.certificate_request(body, answer.chosen.version).authorities if body is not None else None
    )


def shown_to(answers: list[Answer], which: str) -> Part[Shown]:
    """What a client sees that asks for the right name, for none, or for an unknown one."""
    words = _SHOWN[which]
    asked = [one for one in answers if one.ask == words]
    answer = next((one for one in asked if _readable(one)), None)
    if answer is None:
        return Part(Shown((), "", "", ""), *_why(asked, f"the {words}"))
    if answer.chosen is None:
        return Part(Shown((), str(answer.alert), "", ""))
    version, suite = VERSION_NAMES[answer.chosen.version], SUITES[answer.chosen.suite].name
    return Part(Shown(answer.chain, "", version, suite))


def _readable(answer: Answer) -> bool:
    """Whether it shows certificates, an alert in their place, or says all it has to say without any."""
    try:
        return bool(answer.chain) or (answer.whole if answer.accepted else answer.alert is not None)
    except ValueError:
        return False
