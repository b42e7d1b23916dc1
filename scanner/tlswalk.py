"""Which questions are put to a TLS server, and in which order: each answer decides the next. Pure.

A walk is a generator: it yields a `Question` and gets the `Answer`, or None when there is none that counts. It offers
everything, strikes what the server chose, and offers the rest until the server refuses: what is accepted, in the
server's own order, for one connection each and one for the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import urandom
from typing import Any, Final, TypeAlias

from scanner import tlsanswer, tlshangup
from scanner import tlswire as wire
from scanner.tlsanswer import Answer
from scanner.tlsnames import (
    GROUPS,
    SCHEMES,
    SSL2,
    SSL2_SUITES,
    SSL3,
    SUITES,
    TLS10,
    TLS11,
    TLS12,
    TLS13,
    VERSION_NAMES,
    VERSIONS,
    Suite,
    prime_name,
)
from scanner.transcript import Exchange

#: What we say we speak of ALPN: the IANA registry's commonest, RFC 7301.
PROTOCOLS: Final = (
    "h2",
    "http/1.1",
    "http/1.0",
    "spdy/3.1",
    "imap",
    "pop3",
    "xmpp-client",
    "xmpp-server",
    "acme-tls/1",
)
_COMMON: Final = ("GCM", "Poly1305", "AES-CBC", "AES-CCM", "3DES", "RC4", "Camellia", "DES", "SEED", "IDEA")


def _rank(code: int) -> tuple[int, int, int, int, int]:
    """What servers choose first comes first: also for those that look at the beginning of a list only."""
    suite = SUITES[code]
    exchange = (
        ("ECDHE", "DHE", "RSA").index(suite.exchange) if suite.exchange in ("ECDHE", "DHE", "RSA") else 3
    )
    usual = suite.authentication in ("ECDSA", "RSA")
    cipher = next((at for at, name in enumerate(_COMMON) if name in suite.cipher), len(_COMMON))
    return (not usual, cipher > 2, exchange, -suite.bits, cipher)


#: All that may be offered up to TLS 1.2, and in TLS 1.3. A suite is offered in every older version, as a server's
#: mistake may be to accept it there.
OLD_SUITES: Final = tuple(sorted((one.code for one in SUITES.values() if one.first < TLS13), key=_rank))
NEW_SUITES: Final = tuple(one.code for one in SUITES.values() if one.first == TLS13)
#: A name that no server is for (RFC 6761 section 6.4).
UNKNOWN: Final = "no-such-name.invalid"
#: A short offer for servers that choke on a long one.
FEW: Final = 60
#: The most suites whose order is put together from parts, when the server is far away.
MERGED: Final = 12
OLD_GROUPS: Final = (
    29,
    23,
    24,
    25,
    30,
    *(code for code, one in GROUPS.items() if one.first < TLS13 and code not in (23, 24, 25, 29, 30)),
)
NEW_GROUPS: Final = (
    0x11EC,
    29,
    23,
    24,
    25,
    30,
    *(code for code, one in GROUPS.items() if one.last == TLS13 and code not in (0x11EC, 23, 24, 25, 29, 30)),
)
OLD_SCHEMES: Final = (
    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807, 0x0808, 0x0809, 0x080A, 0x080B,
    0x0303, 0x0301, 0x0203, 0x0201, 0x0402, 0x0502, 0x0602, 0x0302, 0x0202, 0x0101, 0x0102, 0x0103,
)  # fmt: skip
NEW_SCHEMES: Final = tuple(
    dict.fromkeys(
        (*OLD_SCHEMES[:14], *(code for code, one in SCHEMES.items() if one.last == TLS13), 0x0401, 0x0201)
    )
)


@dataclass(frozen=True, slots=True)
class Question:
    """What to send first, and when the answer is all there. ``ask`` names it in the evidence."""

    ask: str
    hello: bytes
    enough: Callable[[Answer], bool] = lambda answer: answer.complete
    again: Callable[[Answer], bytes] = lambda answer: b""


Walk: TypeAlias = Generator["Question | list[Walk]", "Answer | None", None]
"""The answer sent in is None when it does not count: the walk should end. A list is of walks to go side by side."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Whom we ask: the name in the hello. ``dice`` gives randoms."""

    server_name: str = ""
    dice: Callable[[int], bytes] = urandom

    def hello(
        self,
        version: int,
        suites: Sequence[int],
        groups: Sequence[int] = (),
        schemes: Sequence[int] = (),
        *,
        more: dict[int, bytes] | None = None,
        **rest: Any,
    ) -> wire.ClientHello:
        """A ClientHello with what every walk sends along, so that it need not be asked apart."""
        old = version < TLS13
        along = {
            wire.RENEGOTIATION_INFO: b"\0",
            wire.EXTENDED_MASTER_SECRET: b"",
            wire.SESSION_TICKET: b"",
            wire.ENCRYPT_THEN_MAC: b"",
            wire.HEARTBEAT: b"\1",
        }
        status = {wire.STATUS_REQUEST: b"\1\0\0\0\0"}
        return wire.client_hello(
            version,
            (*suites, wire.RENEGOTIATION_SCSV) if version == SSL3 else suites,
            random=self.dice(32),
            groups=groups or (OLD_GROUPS if old else NEW_GROUPS),
            schemes=schemes or (OLD_SCHEMES if old else NEW_SCHEMES),
            server_name=rest.pop("server_name", self.server_name),
            compression=(1, 0) if old else (0,),
            more=(along | status if old else status) | (more or {}),
            **rest,
        )


def ask(*words: str) -> str:
    """The name of a question."""
    return " ".join(words)


# --- walks ----------------------------------------------------------------------------------------------------


def ssl2(visit: Visit) -> Walk:
    """Does it speak SSL 2, and with which suites: one question, for the server names them all."""
    yield from _sure(
        Question(ask("suites", "SSLv2"), wire.ssl2_client_hello(tuple(SSL2_SUITES), visit.dice(16)))
    )


def _sure(question: Question) -> Generator[Question | list[Walk], Answer | None, Answer | None]:
    """The answer; a refusal that may be something else is asked for once more."""
    answer = yield question
    if answer is not None and answer.turned_away:
        answer = yield question
    return answer


@dataclass(slots=True)
class Found:
    """What the walks of one version have found so far."""

    accepted: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    curve: int | None = None
    named_prime: bool = False
    choked: bool = False
    parts: list[Found] = field(default_factory=list)


#: Newest first: what is most spoken is asked first.
_ASKED: Final = (TLS13, TLS12, TLS11, TLS10, SSL3)


class Survey:
    """All questions for one endpoint: `stages` of walks that may go side by side.

    ``said`` tells what was asked and answered so far; ``far`` whether the server is far away.
    """

    def __init__(
        self,
        visit: Visit,
        parts: str,
        said: Callable[[], Sequence[Exchange]] = tuple,
        far: Callable[[], bool] = lambda: False,
    ) -> None:
        self.visit, self.parts, self.said, self.far = visit, parts, said, far
        self.found = {number: Found() for number in _ASKED}

    def stages(self) -> Iterator[list[Walk]]:
        """The walks, a stage at a time; later ones follow from what earlier ones found."""
        if self.parts == "chain":
            yield [chain(self.visit)]
            return
        walks = [version(self.visit, number, found, self.far) for number, found in self.found.items()]
        yield [*walks, ssl2(self.visit), *([chain(self.visit)] if self.parts == "all" else ())]
        if not any(found.accepted for number, found in self.found.items() if number < TLS13):
            yield [short(self.visit, number, found) for number, found in self.found.items() if found.choked]
        yield [*self._orders(), *self._old_groups(), *self._own_primes()]
        if self.parts == "all":
            yield list(self._rest())
        if any(one.end in tlshangup.ENDED for one in self.said()):
            yield [hang_ups(self.said)]

    def _orders(self) -> Iterator[Walk]:
        """Whose order counts is asked in TLS 1.3, and in the newest older version that has anything to order."""
        several = [number for number, found in self.found.items() if len(found.accepted) > 1]
        for number in [*several[:1], *[one for one in several[1:2] if several[0] == TLS13]]:
            yield order(self.visit, number, self.found[number])

    def _old_groups(self) -> Iterator[Walk]:
        """The groups of the newest older version, of a server that speaks no TLS 1.2."""
        if not self.found[TLS12].accepted:
            old = [number for number in (TLS11, TLS10) if self.found[number].accepted]
            yield from (groups(self.visit, number, self.found[number]) for number in old[:1])

    def _own_primes(self) -> Iterator[Walk]:
        """The prime for who names none, where one was chosen that we named (RFC 7919): in the newest older version."""
        named = [
            number
            for number, found in self.found.items()
            if any(one.named_prime for one in (found, *found.parts))
        ]
        yield from (own_prime(self.visit, number, self.found[number].accepted) for number in named[:1])

    def _rest(self) -> Iterator[Walk]:
        spoken = [number for number, found in self.found.items() if found.accepted]
        if not spoken:
            return
        if len(spoken) > 1:
            yield fallback(self.visit, spoken[1], self.found[spoken[1]].accepted)
        for number in (TLS12, TLS13):
            if self.found[number].accepted:
                yield schemes(self.visit, number, self.found[number])
        yield protocols(self.visit, spoken[0])
        if self.found[TLS12].accepted:
            yield renegotiation(self.visit)
        if self.found[TLS13].accepted:
            yield ticket(self.visit)
        if self.visit.server_name:
            yield chain(self.visit, "chain without a name", server_name="")
        yield chain(self.visit, "chain for an unknown name", server_name=UNKNOWN)


def version(visit: Visit, number: int, found: Found, far: Callable[[], bool]) -> Walk:
    """Everything about one version of SSL 3 to TLS 1.3: suites and groups.

    With a server that is ``far`` away the rest of the offer goes in parts, side by side, as do the groups.
    """
    offer = NEW_SUITES if number == TLS13 else OLD_SUITES
    yield from suites(visit, number, offer, found, once=True)
    if not found.accepted:
        return
    left = [code for code in offer if code not in found.accepted]
    beside = [groups(visit, number, found)] if number in (TLS12, TLS13) else []
    if not far():
        yield from suites(visit, number, left, found)
        for walk in beside:
            yield from walk
        return
    parts = [left] if number == TLS13 else _parts(left)
    found.parts = [Found() for _ in parts]
    yield [*(suites(visit, number, part, one) for part, one in zip(parts, found.parts, strict=True)), *beside]
    for one in found.parts:
        found.accepted += one.accepted


def _parts(offer: list[int]) -> list[list[int]]:
    """The offer in parts of which most servers accept about as many of each."""
    kinds: dict[str, list[int]] = {}
    for code in offer:
        suite = SUITES[code]
        usual = suite.authentication in {"ECDSA", "RSA"} and suite.exchange in {"ECDHE", "DHE", "RSA"}
        kind = (
            ("AES" if suite.exchange == "ECDHE" else "other AES") if "AES" in suite.cipher else suite.exchange
        )
        kinds.setdefault(kind if usual else "unusual", []).append(code)
    return list(kinds.values())


def short(visit: Visit, number: int, found: Found) -> Walk:
    """As `version`, for a server that may choke on a long offer: a part of the list at a time."""
    for at in range(0, len(OLD_SUITES), FEW):
        yield from suites(visit, number, OLD_SUITES[at : at + FEW], found)
        if not found.accepted:
            return
    if number == TLS12:
        yield from groups(visit, number, found)


def suites(visit: Visit, number: int, offer: Iterable[int], found: Found, *, once: bool = False) -> Walk:
    """Offer suites and strike what is chosen, until the server refuses the rest, or only ``once``."""
    left = list(offer)
    words = ask("suites", VERSION_NAMES[number])
    while left:
        answer = yield from _sure(Question(words, visit.hello(number, left).record))
        if answer is None:
            return
        if not answer.accepted or answer.server is None:
            found.choked = not found.accepted and not _of_version(answer)
            return
        found.accepted.append(answer.server.suite)
        left.remove(answer.server.suite)
        if answer.group is not None and answer.group not in found.groups:
            found.groups.append(answer.group)
        keys = answer.key_exchange
        found.named_prime = found.named_prime or bool(keys and prime_name(keys.prime).startswith("ffdhe"))
        if found.curve is None and answer.chain:
            found.curve = curve_of(answer.chain[0])
        if once:
            return


def _of_version(answer: Answer) -> bool:
    """Whether the refusal is of the version, not of the suites."""
    return answer.other is not None or (answer.alert is not None and answer.alert.code == 70)


def order(visit: Visit, number: int, found: Found) -> Walk:
    """Whose order counts: the same suites backwards; when the same one is chosen it is the server's.

    Some servers let ChaCha20 go first when the client has it first, so another comes first if there is one.
    """
    backwards = found.accepted[::-1]
    if "ChaCha" in SUITES[backwards[0]].cipher and len(backwards) > 2:
        backwards = [*backwards[1:-1], backwards[0], backwards[-1]]
    answer = yield Question(ask("order", VERSION_NAMES[number]), visit.hello(number, backwards).record)
    chacha = next((code for code in backwards if "ChaCha" in SUITES[code].cipher), None)
    if answer is None or answer.server is None or answer.server.suite == backwards[0]:
        return
    if found.parts:
        yield from merge(visit, number, found)
    if chacha is not None and chacha != found.accepted[0]:
        first = [chacha, *(code for code in found.accepted if code != chacha)]
        yield Question(ask("chacha", VERSION_NAMES[number]), visit.hello(number, first).record)


def merge(visit: Visit, number: int, found: Found) -> Walk:
    """The server's order over all parts: each suite finds its place among those placed already.

    First the parts' ends are held against each other: often that is enough. It is done in the newest version up to
    TLS 1.2 only, for a server has one list for all of those; and not for more than `MERGED` suites, as it would
    undo what asking in parts has won.
    """
    if len(found.accepted) > MERGED:
        return
    lists = sorted((one.accepted for one in found.parts if one.accepted), key=len, reverse=True)
    placed = [found.accepted[0], *lists[0]] if lists else []
    for one in lists[1:]:
        first = yield Question(
            ask("merge", VERSION_NAMES[number]), visit.hello(number, [one[0], placed[-1]]).record
        )
        if first is None or first.server is None:
            return
        if first.server.suite == placed[-1]:
            placed += one
            continue
        places: dict[int, int] = {}
        yield [_place(visit, number, code, placed, places) for code in one]
        if len(places) < len(one):
            return
        for code in reversed(one):
            placed.insert(places[code], code)


def _place(visit: Visit, number: int, code: int, among: list[int], places: dict[int, int]) -> Walk:
    """Where a suite belongs among others that are in the server's order."""
    low, high = 0, len(among)
    while low < high:
        middle = (low + high) // 2
        offer = [code, among[middle]]
        answer = yield Question(ask("merge", VERSION_NAMES[number]), visit.hello(number, offer).record)
        if answer is None or answer.server is None:
            return
        low, high = (low, middle) if answer.server.suite == code else (middle + 1, high)
    places[code] = low


def groups(visit: Visit, number: int, found: Found) -> Walk:
    """Offer groups and strike what is chosen, until the server refuses the rest.

    Up to TLS 1.2 a client that does not offer the curve of the certificate's own key is refused for that; so that
    curve goes along at the end.
    """
    chosen = [code for code in found.accepted if SUITES[code].exchange in {"ECDHE", "any"}]
    if not chosen:
        return
    words = ask("groups", VERSION_NAMES[number])
    struck = found.groups[:1]
    left = [code for code in (NEW_GROUPS if number == TLS13 else OLD_GROUPS) if code not in struck]
    while left:
        answer = yield from _sure(Question(words, visit.hello(number, chosen, left).record))
        if answer is None or not answer.accepted or answer.group not in left:
            break
        left.remove(answer.group)
    if number < TLS13 and found.curve is not None and found.curve not in left:
        while left:
            question = Question(words, visit.hello(number, chosen, [*left, found.curve]).record)
            answer = yield from _sure(question)
            if answer is None or not answer.accepted or answer.group not in left:
                return
            left.remove(answer.group)


def own_prime(visit: Visit, number: int, accepted: Sequence[int]) -> Walk:
    """Which prime gets a client that knows none by name?"""
    finite = [code for code in accepted if SUITES[code].exchange == "DHE"]
    curves = [code for code in OLD_GROUPS if GROUPS[code].kind == "elliptic curve"]
    yield from _sure(
        Question(ask("prime", VERSION_NAMES[number]), visit.hello(number, finite, curves).record)
    )


def fallback(visit: Visit, number: int, accepted: Sequence[int]) -> Walk:
    """Is a client that comes back with an older version than it could told so (RFC 7507)?"""
    words = ask("fallback", VERSION_NAMES[number])
    yield from _sure(Question(words, visit.hello(number, [*accepted, wire.FALLBACK_SCSV]).record))


def schemes(visit: Visit, number: int, found: Found) -> Walk:
    """Offer signature schemes and strike the one the server signs with, until it refuses the rest."""
    chosen = [code for code in found.accepted if _signed(SUITES[code])]
    left = list(NEW_SCHEMES if number == TLS13 else OLD_SCHEMES)
    words = ask("schemes", VERSION_NAMES[number])
    while left and chosen:
        if number == TLS13:
            question = conversation(visit, words, visit.dice(32), chosen, left)
        else:
            question = Question(words, visit.hello(number, chosen, schemes=left).record)
        answer = yield from _sure(question)
        if answer is None or not answer.accepted or answer.scheme not in left:
            return
        left.remove(answer.scheme)


def _signed(suite: Suite) -> bool:
    """Whether the server signs its part of the key exchange."""
    return suite.exchange == "any" or (
        suite.exchange in {"DHE", "ECDHE"} and suite.authentication in {"RSA", "DSS", "ECDSA"}
    )


def protocols(visit: Visit, number: int) -> Walk:
    """Which application protocols it knows (ALPN, RFC 7301): offer them and strike the one it takes."""
    left = list(PROTOCOLS)
    while left and number > SSL3:
        listed = wire.vector(b"".join(wire.vector(name.encode(), 1) for name in left))
        question = conversation(visit, "protocols", visit.dice(32), more={wire.ALPN: listed}, **_EVERYTHING)
        answer = yield from _sure(question)
        if answer is None or not answer.accepted or answer.protocol not in left:
            return
        left.remove(answer.protocol)


def hang_ups(said: Callable[[], Sequence[Exchange]]) -> Walk:
    """Were those refusals? Ask each hello again, one at a time, with controls between (tlshangup.py).

    Each round has one control more than the last: behind a balancer that takes turns no hello should meet the same
    server every time.
    """
    for number in range(1, tlshangup.ROUNDS + 1):
        answers = tlsanswer.read_all(said())
        control, doubtful = tlshangup.control(answers), tlshangup.doubtful(answers)
        if control is None or len(tlshangup.refusals(answers)) == len(doubtful):
            return
        for _ in range(number):
            if (yield Question(tlshangup.CONTROL, control.asked)) is None:
                return
        for one in doubtful:
            yield Question(one.ask, one.asked)


def renegotiation(visit: Visit) -> Walk:
    """May a client ask for another handshake inside the first (TLS 1.2)? That one has to be finished for it."""
    from scanner import tlskeys, tlskeys12

    made = wire.client_hello(
        TLS12,
        tlskeys12.SUITES,
        random=visit.dice(32),
        groups=[code for code in tlskeys.GROUPS if GROUPS[code].first < TLS13],
        schemes=OLD_SCHEMES,
        server_name=visit.server_name,
        more={wire.RENEGOTIATION_INFO: b"\0"},
    )
    yield Question(
        "renegotiation",
        made.record,
        lambda answer: answer.renegotiated is not None or not (answer.accepted or not answer.complete),
        lambda answer: answer.next_word,
    )


def ticket(visit: Visit) -> Walk:
    """The tickets for a next time, which TLS 1.3 gives after the handshake: the only one that is finished.

    It says good-bye in the same breath, so that the server closes whether it gives tickets or not.
    """
    question = conversation(visit, "ticket", visit.dice(32))

    def again(answer: Answer) -> bytes:
        return question.again(answer) or answer.farewell

    yield Question("ticket", question.hello, lambda answer: bool(answer.alert) or _stuck(answer), again)


def chain(visit: Visit, words: str = "chain", **rest: Any) -> Walk:
    """The certificates, in one connection, with whatever version of TLS the server likes best."""
    more = {wire.RENEGOTIATION_INFO: b"\0", wire.EXTENDED_MASTER_SECRET: b"", wire.SESSION_TICKET: b""}
    yield conversation(visit, words, visit.dice(32), more=more, **_EVERYTHING, **rest)


def one_hello(version: str) -> Question:
    """The question of `chain`, or one that offers this version alone, of TLS 1.0 to 1.2."""
    if version:
        return Question("chain", Visit().hello(VERSIONS[version], OLD_SUITES).record)
    question = next(chain(Visit()))
    assert isinstance(question, Question)
    return question


#: What `conversation` takes to offer TLS 1.0 and newer, in one hello.
_EVERYTHING: Final[dict[str, Any]] = {
    "suites": OLD_SUITES,
    "schemes": tuple(dict.fromkeys((*OLD_SCHEMES, *NEW_SCHEMES))),
    "older": (TLS12, TLS11, TLS10),
}


def conversation(
    visit: Visit,
    words: str,
    random: bytes,
    suites: Sequence[int] = (),
    schemes: Sequence[int] = NEW_SCHEMES,
    **rest: Any,
) -> Question:
    """A hello of TLS 1.3 with keys in it, so that the server's whole first flight can be read."""
    from scanner import tlskeys

    suites = (
        [*(code for code in tlskeys.SUITES if code not in suites), *suites] if "older" in rest else suites
    )
    suites = suites or tlskeys.SUITES
    old = () if "older" not in rest else tuple(code for code in OLD_GROUPS if code not in tlskeys.GROUPS)
    made = Visit(visit.server_name, lambda size: random).hello(
        TLS13,
        suites,
        [*tlskeys.GROUPS, *old],
        schemes,
        key_shares={group: tlskeys.key_share(group, random) for group in tlskeys.GROUPS[:2]},
        **rest,
    )

    def again(answer: Answer) -> bytes:
        """The second hello, with the key that a HelloRetryRequest asks for."""
        server = answer.server
        if server is None or not server.retry or server.group not in tlskeys.GROUPS or len(answer.sent) > 1:
            return b""
        share = wire.vector(server.group.to_bytes(2) + wire.vector(tlskeys.key_share(server.group, random)))
        extensions = dict(made.extensions) | {wire.KEY_SHARE: share}
        if wire.COOKIE in server.extensions:
            extensions[wire.COOKIE] = server.extensions[wire.COOKIE]
        second = wire.ClientHello(
            made.version, made.suites, random, made.session, made.compression, extensions
        )
        return second.record

    return Question(words, made.record, lambda answer: answer.whole or _stuck(answer), again)


def _stuck(answer: Answer) -> bool:
    """Whether a HelloRetryRequest wants a key in a group that we have none in: then nothing more is to come."""
    from scanner import tlskeys

    return answer.server is not None and answer.server.retry and answer.server.group not in tlskeys.GROUPS


#: id-ecPublicKey and, behind it, the curve (RFC 5480 section 2.1.1): as it stands in a certificate's key.
_EC_KEY: Final = bytes.fromhex("06072a8648ce3d0201")
_CURVES: Final = {
    bytes.fromhex(curve): group
    for curve, group in {
        "06082a8648ce3d030101": 19, "06052b81040021": 21, "06052b8104000a": 22, "06082a8648ce3d030107": 23,
        "06052b81040022": 24, "06052b81040023": 25, "06092b2403030208010107": 26, "06092b240303020801010b": 27,
        "06092b240303020801010d": 28,
    }.items()
}  # fmt: skip


def curve_of(certificate: bytes) -> int | None:
    """The group of a certificate's own key (DER), when it is on a curve that has a number."""
    _, key, curve = certificate.partition(_EC_KEY)
    return next((group for oid, group in _CURVES.items() if key and curve.startswith(oid)), None)


__all__ = ["SSL2", "Found", "Question", "Survey", "Visit", "Walk"]
