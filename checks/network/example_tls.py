"""TLS servers on paper, for the examples of checks: real hellos of ours, and answers as a server gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Final

from scanner import Raw, tlsanswer, tlskeys, tlswire, transcript
from scanner.tlsanswer import Answer
from scanner.tlsnames import GROUPS, SCHEMES, SSL2_SUITES, SUITES, TLS12, TLS13, VERSIONS, Suite
from scanner.tlswalk import Question, Survey, Visit, Walk
from scanner.transcript import Exchange, Turn

_RANDOM: Final = bytes(range(32))
_VISIT: Final = Visit("www.example.nl", lambda size: _RANDOM[:size])


def _question(parts: str) -> Question:
    asked = next(next(iter(next(iter(Survey(_VISIT, parts).stages())))))
    assert isinstance(asked, Question)
    return asked


#: A port that answers a hello in HTTP.
PLAIN: Final = transcript.write(
    [Exchange("chain", (Turn(_question("chain").hello, b"HTTP/1.1 400 Bad Request\r\n\r\n"),), "done")]
)


def chain(version: str, certificates: Sequence[bytes], staple: bytes = b"") -> bytes:
    """The walk "chain" to a server that chooses this version, shows these certificates and, in 1.3, staples this."""
    question = _question("chain")
    number = VERSIONS[version]
    flight = _new(question.hello, certificates, staple) if number == TLS13 else _old(number, certificates)
    return transcript.write([Exchange("chain", (Turn(question.hello, flight),), "done")])


def _old(number: int, certificates: Sequence[bytes]) -> bytes:
    hello = number.to_bytes(2) + _RANDOM + b"\0" + b"\0\x2f" + b"\0"
    said = [
        (tlswire.SERVER_HELLO, hello),
        (tlswire.CERTIFICATE, tlswire.vector(b"".join(tlswire.vector(one, 3) for one in certificates), 3)),
        (tlswire.SERVER_HELLO_DONE, b""),
    ]
    return b"".join(tlswire.record(tlswire.HANDSHAKE, number, tlswire.message(*one)) for one in said)


def _new(sent: bytes, certificates: Sequence[bytes], staple: bytes) -> bytes:
    suite, group = 0x1302, tlskeys.X25519
    asked = tlswire.flight(sent).messages[0]
    share = group.to_bytes(2) + tlswire.vector(tlskeys.key_share(group, b"server"))
    session = tlswire.read_client_hello(asked[1]).session
    more = b"".join(
        kind.to_bytes(2) + tlswire.vector(data)
        for kind, data in ((tlswire.SUPPORTED_VERSIONS, TLS13.to_bytes(2)), (tlswire.KEY_SHARE, share))
    )
    hello = (
        TLS12.to_bytes(2)
        + _RANDOM
        + tlswire.vector(session, 1)
        + suite.to_bytes(2)
        + b"\0"
        + tlswire.vector(more)
    )
    seal = tlskeys.server_side([asked, (tlswire.SERVER_HELLO, hello)], suite, group, b"server")
    status = tlswire.STATUS_REQUEST.to_bytes(2) + tlswire.vector(b"\1" + tlswire.vector(staple, 3))
    beside = [status if staple and not place else b"" for place in range(len(certificates))]
    listed = b"".join(
        tlswire.vector(one, 3) + tlswire.vector(more) for one, more in zip(certificates, beside, strict=True)
    )
    hidden = [
        (tlswire.ENCRYPTED_EXTENSIONS, b"\0\0"),
        (tlswire.CERTIFICATE, b"\0" + tlswire.vector(listed, 3)),
        (tlswire.CERTIFICATE_VERIFY, b"\4\3\0\0"),
        (tlswire.FINISHED, bytes(48)),
    ]
    clear = tlswire.record(tlswire.HANDSHAKE, TLS12, tlswire.message(tlswire.SERVER_HELLO, hello))
    return clear + seal.seal(tlswire.HANDSHAKE, b"".join(tlswire.message(*one) for one in hidden))


# --- a whole server on paper ----------------------------------------------------------------------------------

_SUITE_NUMBERS: Final = {one.name: one.code for one in (*SUITES.values(), *SSL2_SUITES.values())}
_GROUP_NUMBERS: Final = {one.name: one.code for one in GROUPS.values()}
_SCHEME_NUMBERS: Final = {one.name: one.code for one in SCHEMES.values()}
#: RFC 5746, RFC 7627, RFC 7366, RFC 6520, RFC 5077.
_EXTENSIONS: Final = {
    "renegotiation_info": tlswire.RENEGOTIATION_INFO,
    "extended_master_secret": tlswire.EXTENDED_MASTER_SECRET,
    "encrypt_then_mac": tlswire.ENCRYPT_THEN_MAC,
    "heartbeat": tlswire.HEARTBEAT,
    "session_ticket": tlswire.SESSION_TICKET,
}
_HANDSHAKE_FAILURE, _PROTOCOL_VERSION, _INAPPROPRIATE_FALLBACK, _UNRECOGNIZED_NAME = 40, 70, 86, 112


@dataclass(frozen=True)
class Server:
    """What a server would answer. ``suites``: version -> names, in its order; names as IANA has them.

    ``prime`` for Diffie-Hellman, or its name. ``extensions`` are those it gives back up to TLS 1.2; ``authorities`` of
    client certificates, None when it asks for none; ``strangers`` says whether it serves unknown names.
    """

    suites: Mapping[str, Sequence[str]]
    groups: Sequence[str] = ("x25519", "secp256r1")
    schemes: Sequence[str] = ("ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "rsa_pss_rsae_sha256")
    prime: bytes | str = b""
    extensions: Sequence[str] = ("renegotiation_info", "extended_master_secret", "encrypt_then_mac")
    compression: int = 0
    own_order: bool = True
    refuses_fallback: bool = True
    chain: Sequence[bytes] = ()
    staple: bytes = b""
    authorities: Sequence[bytes] | None = None
    strangers: bool = True
    versions: Mapping[int, Sequence[int]] = field(init=False)

    def __post_init__(self) -> None:
        numbers = {
            VERSIONS[name]: [_SUITE_NUMBERS[one] for one in names] for name, names in self.suites.items()
        }
        object.__setattr__(self, "versions", numbers)

    def answer(self, sent: Sequence[bytes]) -> bytes:
        """What it says to these hellos."""
        if sent[0][0] != tlswire.HANDSHAKE:
            return self._ssl2(sent[0])
        messages = [one for data in sent for one in tlswire.flight(data).messages]
        hello = tlswire.read_client_hello(messages[-1][1])
        version = max(set(hello.versions) & self.versions.keys() - {VERSIONS["SSLv2"]}, default=0)
        if not version:
            return _alert(_PROTOCOL_VERSION)
        newest = max(self.versions)
        if tlswire.FALLBACK_SCSV in hello.suites and version < newest and self.refuses_fallback:
            return _alert(_INAPPROPRIATE_FALLBACK)
        if not self.strangers and hello.server_name.endswith(".invalid"):
            return _alert(_UNRECOGNIZED_NAME)
        mine, theirs = self.versions[version], hello.suites
        order = [code for code in mine if code in theirs] if self.own_order else [
            code for code in theirs if code in mine
        ]  # fmt: skip
        for code in order:
            if said := self._try(version, SUITES[code], hello, messages):
                return said
        return _alert(_HANDSHAKE_FAILURE)

    def _ssl2(self, sent: bytes) -> bytes:
        mine = self.versions.get(VERSIONS["SSLv2"])
        if mine is None:
            return _alert(_PROTOCOL_VERSION)
        shared = [code for code in mine if code in tlswire.read_ssl2_client_hello(sent)]
        certificate, ciphers = b"".join(self.chain[:1]), tlswire.numbers(shared, 3)
        lengths = tlswire.numbers((len(certificate), len(ciphers), 16))
        body = b"\4\0\1\0\2" + lengths + certificate + ciphers + bytes(16)
        return (0x8000 | len(body)).to_bytes(2) + body

    def _group(self, hello: tlswire.ClientHello) -> int | None:
        return next(
            (_GROUP_NUMBERS[name] for name in self.groups if _GROUP_NUMBERS[name] in hello.groups), None
        )

    def _scheme(self, hello: tlswire.ClientHello, version: int) -> int | None:
        mine = (_SCHEME_NUMBERS[name] for name in self.schemes)
        offered = [code for code in mine if code in hello.schemes and SCHEMES[code].last >= version]
        return offered[0] if offered else None

    def _try(
        self, version: int, suite: Suite, hello: tlswire.ClientHello, messages: Sequence[tuple[int, bytes]]
    ) -> bytes:
        """What it says with this suite, or nothing when the suite cannot be used."""
        scheme = self._scheme(hello, version)
        if version == TLS13:
            ready = (_GROUP_NUMBERS[name] for name in self.groups if _GROUP_NUMBERS[name] in hello.key_shares)
            group = next(ready, None) or self._group(hello)
            if group is None or scheme is None:
                return b""
            return self._new(suite, group, scheme, hello, messages)
        exchange = self._exchange(version, suite, scheme, hello)
        if exchange is None:
            return b""
        listed = b"".join(tlswire.vector(one, 3) for one in self.chain)
        more = b"".join(
            kind.to_bytes(2) + tlswire.vector(b"\1" if kind == tlswire.HEARTBEAT else b"\0" * (kind > 255))
            for kind in map(_EXTENSIONS.__getitem__, self.extensions)
            if kind in hello.extensions and (kind != tlswire.ENCRYPT_THEN_MAC or "CBC" in suite.cipher)
        )
        if self.staple:
            more += tlswire.STATUS_REQUEST.to_bytes(2) + b"\0\0"
        said = [
            (
                tlswire.SERVER_HELLO,
                version.to_bytes(2) + _RANDOM + b"\0" + suite.code.to_bytes(2) + bytes([self.compression])
                + (tlswire.vector(more) if more and version > VERSIONS["SSLv3"] else b""),
            ),
            *([] if suite.authentication == "none" else [(tlswire.CERTIFICATE, tlswire.vector(listed, 3))]),
            *([(tlswire.CERTIFICATE_STATUS, b"\1" + tlswire.vector(self.staple, 3))] if self.staple else []),
            *([(tlswire.SERVER_KEY_EXCHANGE, exchange)] if exchange else []),
            *([] if self.authorities is None else [(tlswire.CERTIFICATE_REQUEST, self._request(version))]),
            (tlswire.SERVER_HELLO_DONE, b""),
        ]  # fmt: skip
        return b"".join(tlswire.record(tlswire.HANDSHAKE, version, tlswire.message(*one)) for one in said)

    def _request(self, version: int) -> bytes:
        listed = tlswire.vector(b"".join(tlswire.vector(one) for one in self.authorities or ()))
        return b"\1\1" + (tlswire.vector(b"\4\3") if version == TLS12 else b"") + listed

    def _exchange(
        self, version: int, suite: Suite, scheme: int | None, hello: tlswire.ClientHello
    ) -> bytes | None:
        """The body of a ServerKeyExchange, empty when there is none, None when it cannot be made."""
        if suite.exchange == "ECDHE":
            group = self._group(hello)
            keys = None if group is None else b"\3" + group.to_bytes(2) + tlswire.vector(bytes(65), 1)
        elif suite.exchange == "DHE":
            prime = self.prime if isinstance(self.prime, bytes) else _PRIMES[self.prime]()
            keys = b"".join(tlswire.vector(one) for one in (prime, b"\2", bytes(64)))
        else:
            return b""
        if keys is None or (version == TLS12 and scheme is None and suite.authentication != "none"):
            return None
        if suite.authentication == "none":
            return keys
        return keys + (scheme.to_bytes(2) if version == TLS12 and scheme else b"") + tlswire.vector(bytes(64))

    def _new(
        self,
        suite: Suite,
        group: int,
        scheme: int,
        hello: tlswire.ClientHello,
        messages: Sequence[tuple[int, bytes]],
    ) -> bytes:
        ready = group in hello.key_shares
        share = group.to_bytes(2)
        if ready:
            share += tlswire.vector(tlskeys.key_share(group, b"server"))
        extensions = {tlswire.SUPPORTED_VERSIONS: TLS13.to_bytes(2), tlswire.KEY_SHARE: share}
        more = b"".join(kind.to_bytes(2) + tlswire.vector(data) for kind, data in extensions.items())
        random = _RANDOM if ready else tlswire.RETRY
        body = TLS12.to_bytes(2) + random + tlswire.vector(hello.session, 1) + suite.code.to_bytes(2) + b"\0"
        clear = (tlswire.SERVER_HELLO, body + tlswire.vector(more))
        said = tlswire.record(tlswire.HANDSHAKE, TLS12, tlswire.message(*clear))
        if not ready:
            return said
        hellos = [messages[-1], clear]
        if len(messages) > 1:  # the second hello, after our HelloRetryRequest
            first = tlswire.read_client_hello(messages[0][1])
            hellos = [messages[0], self._retry(suite, group, first), *hellos]
        seal = tlskeys.server_side(hellos, suite.code, group, b"server")
        listed = b"".join(
            tlswire.vector(one, 3) + tlswire.vector(self._beside(at)) for at, one in enumerate(self.chain)
        )
        hidden = [
            (tlswire.ENCRYPTED_EXTENSIONS, b"\0\0"),
            *([] if self.authorities is None else [(tlswire.CERTIFICATE_REQUEST, self._request13())]),
            (tlswire.CERTIFICATE, b"\0" + tlswire.vector(listed, 3)),
            (tlswire.CERTIFICATE_VERIFY, scheme.to_bytes(2) + tlswire.vector(bytes(64))),
            (tlswire.FINISHED, bytes(48)),
        ]
        return said + seal.seal(tlswire.HANDSHAKE, b"".join(tlswire.message(*one) for one in hidden))

    def _retry(self, suite: Suite, group: int, hello: tlswire.ClientHello) -> tuple[int, bytes]:
        said = self._new(suite, group, 0, hello, [])
        return tlswire.flight(said).messages[0]

    def _beside(self, at: int) -> bytes:
        if at or not self.staple:
            return b""
        return tlswire.STATUS_REQUEST.to_bytes(2) + tlswire.vector(b"\1" + tlswire.vector(self.staple, 3))

    def _request13(self) -> bytes:
        names = tlswire.vector(b"".join(tlswire.vector(one) for one in self.authorities or ()))
        listed = (
            tlswire.CERTIFICATE_AUTHORITIES.to_bytes(2) + tlswire.vector(names) if self.authorities else b""
        )
        schemes = tlswire.SIGNATURE_ALGORITHMS.to_bytes(2) + tlswire.vector(tlswire.vector(b"\4\3"))
        return b"\0" + tlswire.vector(schemes + listed)


def _ffdhe3072() -> bytes:
    """RFC 7919 appendix A.2."""
    with localcontext() as exact:
        exact.prec = 1000
        digits = int(Decimal(1).exp() * Decimal(2) ** 2942)
    return ((1 << 3072) - (1 << 3008) + ((digits + 2625351) << 64) - 1).to_bytes(384)


_PRIMES: Final = {"ffdhe3072": _ffdhe3072}


def _alert(code: int) -> bytes:
    return tlswire.record(tlswire.ALERT, TLS12, bytes((2, code)))


def offer(server: Server) -> bytes:
    """The whole walk "all" to a server on paper: every question there is, and its answers."""
    found: list[Exchange] = []
    for stage in Survey(_VISIT, "all").stages():
        for walk in stage:
            found += _walked(walk, server)
    return transcript.write(found)


def _walked(walk: Walk, server: Server) -> Iterable[Exchange]:
    answer: Answer | None = None
    with suppress(StopIteration):
        while True:
            question = walk.send(answer)
            assert isinstance(question, Question)
            exchange = _asked(question, server)
            yield exchange
            answer = tlsanswer.read(exchange)


def _asked(question: Question, server: Server) -> Exchange:
    turns = [Turn(question.hello, server.answer([question.hello]))]
    again = b""
    with suppress(ValueError):  # its keys are on paper only: no handshake of TLS 1.2 is finished with it
        again = question.again(tlsanswer.read(Exchange(question.ask, tuple(turns), "done")))
    if again and tlsanswer.is_hello(again):
        turns.append(Turn(again, server.answer([question.hello, again])))
    elif again:
        return Exchange(question.ask, (*turns, Turn(again, b"")), "closed")
    return Exchange(question.ask, tuple(turns), "done")


def cut(walk: bytes, ask: str) -> bytes:
    """A walk in which no answer to one question came in time."""
    said = transcript.exchanges(Raw(out=walk))
    return transcript.write(_unanswered(one) if f"{one.ask} ".startswith(f"{ask} ") else one for one in said)


def _unanswered(one: Exchange) -> Exchange:
    return Exchange(one.ask, tuple(Turn(turn.sent, b"") for turn in one.turns), "timeout")
