"""TLS servers on paper, for the examples of checks: real hellos of ours, and answers as a server gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cache
from typing import Final

from scanner import tlsanswer, tlswire, transcript
from scanner.tlsanswer import Answer
from scanner.tlsnames import (
    GROUPS,
    SCHEMES,
    SSL2,
    SSL2_SUITES,
    SSL3,
    SUITES,
    TLS10,
    TLS12,
    TLS13,
    VERSIONS,
)
from scanner.tlswalk import Question, Survey, Visit, Walk
from scanner.tlswire import ClientHello, vector
from scanner.transcript import End, Exchange, Turn

_RANDOM: Final = bytes(range(32))
_NAME: Final = "www.example.nl"
_VISIT: Final = Visit(_NAME, lambda size: _RANDOM[:size])
_SEED: Final = b"the server's own"

_SUITE: Final = {suite.name: code for code, suite in {**SUITES, **SSL2_SUITES}.items()}
_GROUP: Final = {group.name: code for code, group in GROUPS.items()}
_SCHEME: Final = {scheme.name: code for code, scheme in SCHEMES.items()}


@dataclass(frozen=True)
class Server:
    """A server on paper. ``suites``: version -> names of suites, best first. An empty ``chain`` is no certificate.

    Its ``walk`` is what our prober writes down of it; give that as an example without calling it.
    """

    suites: Mapping[str, Sequence[str]]
    groups: Sequence[str] = ("x25519", "secp256r1")
    schemes: Sequence[str] = ("ecdsa_secp256r1_sha256",)
    chain: Sequence[bytes] = ()
    own_order: bool = True
    prime: bytes = b""
    compression: bool = False
    extensions: Sequence[int] = (tlswire.RENEGOTIATION_INFO, tlswire.EXTENDED_MASTER_SECRET)
    fallback_refused: bool = True
    protocols: Sequence[str] = ()
    early_data: int = 0
    staple: bytes = b""
    client_authorities: Sequence[bytes] | None = None
    unknown_name_refused: bool = False
    silent: Sequence[str] = field(default=())
    hangs_up: End | None = None

    def walk(self) -> bytes:
        """All that the prober asks and hears. ``silent`` are questions ("suites TLSv1") that get no answer in time.

        ``hangs_up``: how it ends the connection instead of saying what it refuses, as Windows does ("reset").
        """
        return transcript.write(walked(self.exchange))

    def exchange(self, asked: Question) -> Exchange:
        """One question, and what this server says to it."""
        if asked.ask in self.silent:
            return Exchange(asked.ask, (Turn(asked.hello, b""),), "timeout")
        turns = [Turn(asked.hello, self._first(asked.hello))]
        if self.hangs_up and turns[0].received[:1] == b"\x15":
            return Exchange(asked.ask, (Turn(asked.hello, b""),), self.hangs_up)
        while said := asked.again(tlsanswer.read(Exchange(asked.ask, tuple(turns), "done"))):
            turns.append(Turn(said, self._second(turns)))
        return Exchange(asked.ask, tuple(turns), "closed" if asked.ask == "ticket" else "done")

    def _second(self, turns: list[Turn]) -> bytes:
        """What comes after our Finished of TLS 1.3: a ticket, and good-bye."""
        from scanner import tlskeys  # takes a while, and most never look at an example

        answer = tlsanswer.read(Exchange("", tuple(turns), "done"))
        if answer.chosen is None or answer.chosen.version != TLS13:
            return _alert(TLS12, 40)
        more = (
            tlswire.EARLY_DATA.to_bytes(2) + vector(self.early_data.to_bytes(4)) if self.early_data else b""
        )
        ticket = bytes(4) + bytes(4) + vector(b"", 1) + vector(b"ticket") + vector(more)
        said = [*answer.sent, *answer.messages]
        keys = tlskeys.server_application(said, answer.chosen, _SEED)
        return keys.seal(tlswire.HANDSHAKE, tlswire.message(tlswire.NEW_SESSION_TICKET, ticket)) + keys.seal(
            tlswire.ALERT, b"\1\0"
        )

    def _first(self, data: bytes) -> bytes:
        if data[0] != tlswire.HANDSHAKE:
            return self._ssl2() if "SSLv2" in self.suites else _alert(TLS10, 70)
        asked = tlswire.flight(data).messages[0]
        hello = tlswire.read_client_hello(asked[1])
        spoken = [number for number in hello.versions if self._suites(number)]
        if not spoken:
            return _alert(hello.version, 70)
        number = max(spoken)
        newest = max(VERSIONS[name] for name in self.suites)
        if tlswire.FALLBACK_SCSV in hello.suites and self.fallback_refused and number < newest:
            return _alert(number, 86)
        if hello.server_name not in {"", _NAME} and self.unknown_name_refused:
            return _alert(number, 112)
        suite = self._choose(self._suites(number), hello.suites)
        if suite is None or (protocol := self._protocol(hello)) is None:
            return _alert(number, 40 if suite is None else 120)
        if number == TLS13:
            return self._new(asked, hello, suite, protocol)
        return self._old(hello, number, suite, protocol)

    def _suites(self, number: int) -> list[int]:
        return next(
            (
                [_SUITE[one] for one in names]
                for name, names in self.suites.items()
                if VERSIONS[name] == number
            ),
            [],
        )

    def _choose(self, have: Sequence[int], offered: Sequence[int]) -> int | None:
        first, second = (have, offered) if self.own_order else (offered, have)
        return next((code for code in first if code in second), None)

    def _protocol(self, hello: ClientHello) -> str | None:
        """The protocol taken, or nothing; None when there is none in common."""
        if tlswire.ALPN not in hello.extensions or not self.protocols:
            return ""
        return next(
            (name for name in self.protocols if name.encode() in hello.extensions[tlswire.ALPN]), None
        )

    def _ssl2(self) -> bytes:
        suites = tlswire.numbers(self._suites(SSL2), 3)
        leaf = self.chain[0] if self.chain else b""
        body = b"\4\0\1\0\2" + tlswire.numbers((len(leaf), len(suites), 0)) + leaf + suites
        return (0x8000 | len(body)).to_bytes(2) + body

    def _old(self, hello: ClientHello, number: int, code: int, protocol: str) -> bytes:
        from scanner import tlskeys  # takes a while, and most never look at an example

        suite = SUITES[code]
        groups = [_GROUP[name] for name in self.groups if GROUPS[_GROUP[name]].first < TLS13]
        group = self._choose(groups, hello.groups)
        scheme = self._choose([_SCHEME[name] for name in self.schemes], hello.schemes)
        signed = suite.authentication in {"RSA", "DSS", "ECDSA"}
        if (suite.exchange == "ECDHE" and group is None) or (
            signed and suite.keyed and number == TLS12 and scheme is None
        ):
            return _alert(number, 40)
        told = [
            kind for kind in self.extensions if kind in hello.extensions or kind == tlswire.RENEGOTIATION_INFO
        ]
        more = {kind: b"\0" if kind == tlswire.RENEGOTIATION_INFO else b"" for kind in told}
        if protocol:
            more[tlswire.ALPN] = vector(vector(protocol.encode(), 1))
        packed = bytes([1 if self.compression and 1 in hello.compression else 0])
        begun = (
            number.to_bytes(2)
            + _RANDOM
            + b"\0"
            + code.to_bytes(2)
            + packed
            + (_extensions(more) if number > SSL3 else b"")
        )
        said = [(tlswire.SERVER_HELLO, begun)]
        if signed:
            said.append((tlswire.CERTIFICATE, vector(b"".join(vector(one, 3) for one in self.chain), 3)))
        if self.staple and tlswire.STATUS_REQUEST in hello.extensions:
            said.append((tlswire.CERTIFICATE_STATUS, b"\1" + vector(self.staple, 3)))
        if suite.keyed:
            point = (
                vector(tlskeys.key_share(group, _SEED) if group in tlskeys.GROUPS else b"\4", 1)
                if group
                else b""
            )
            keys = b"\3" + (group or 0).to_bytes(2) + point if suite.exchange == "ECDHE" else self._finite()
            mark = (scheme or 0).to_bytes(2) if number == TLS12 else b""
            said.append(
                (tlswire.SERVER_KEY_EXCHANGE, keys + (mark + vector(b"signature") if signed else b""))
            )
        if self.client_authorities is not None:
            names = vector(b"".join(vector(one) for one in self.client_authorities))
            marks = vector(b"\4\3") if number == TLS12 else b""
            said.append((tlswire.CERTIFICATE_REQUEST, vector(b"\1", 1) + marks + names))
        said.append((tlswire.SERVER_HELLO_DONE, b""))
        return b"".join(tlswire.record(tlswire.HANDSHAKE, number, tlswire.message(*one)) for one in said)

    def _finite(self) -> bytes:
        return vector(self.prime or b"\xff" * 256) + vector(b"\2") + vector(b"\5")

    def _new(self, asked: tuple[int, bytes], hello: ClientHello, suite: int, protocol: str) -> bytes:
        from scanner import tlskeys  # takes a while, and most never look at an example

        have = [_GROUP[name] for name in self.groups]
        group = self._choose(have, list(hello.key_shares)) or self._choose(have, hello.groups)
        scheme = self._choose([_SCHEME[name] for name in self.schemes], hello.schemes)
        if group is None or scheme is None:
            return _alert(TLS12, 40)
        chosen = {tlswire.SUPPORTED_VERSIONS: TLS13.to_bytes(2)}
        again = group not in hello.key_shares
        chosen[tlswire.KEY_SHARE] = group.to_bytes(2) + (
            b"" if again else vector(tlskeys.key_share(group, _SEED))
        )
        random = tlswire.RETRY if again else _RANDOM
        body = (
            TLS12.to_bytes(2)
            + random
            + vector(hello.session, 1)
            + suite.to_bytes(2)
            + b"\0"
            + _extensions(chosen)
        )
        clear = tlswire.record(tlswire.HANDSHAKE, TLS12, tlswire.message(tlswire.SERVER_HELLO, body))
        if again:
            return clear
        seal = tlskeys.server_side([asked, (tlswire.SERVER_HELLO, body)], suite, group, _SEED)
        hidden = self._hidden(hello, scheme, protocol)
        return clear + seal.seal(tlswire.HANDSHAKE, b"".join(tlswire.message(*one) for one in hidden))

    def _hidden(self, hello: ClientHello, scheme: int, protocol: str) -> list[tuple[int, bytes]]:
        more = {tlswire.ALPN: vector(vector(protocol.encode(), 1))} if protocol else {}
        staple = {tlswire.STATUS_REQUEST: b"\1" + vector(self.staple, 3)} if self.staple else {}
        listed = b"".join(
            vector(one, 3) + (_extensions(staple) if at == 0 else b"\0\0")
            for at, one in enumerate(self.chain)
        )
        said = [(tlswire.ENCRYPTED_EXTENSIONS, _extensions(more))]
        if self.client_authorities is not None:
            names = vector(b"".join(vector(one) for one in self.client_authorities))
            wanted = {tlswire.SIGNATURE_ALGORITHMS: vector(b"\4\3"), tlswire.CERTIFICATE_AUTHORITIES: names}
            said.append((tlswire.CERTIFICATE_REQUEST, b"\0" + _extensions(wanted)))
        said.append((tlswire.CERTIFICATE, b"\0" + vector(listed, 3)))
        said.append((tlswire.CERTIFICATE_VERIFY, scheme.to_bytes(2) + vector(b"signature")))
        return [*said, (tlswire.FINISHED, bytes(32))]


def walked(answer: Callable[[Question], Exchange]) -> list[Exchange]:
    """All that the prober asks of who answers so."""
    seen: list[Exchange] = []

    def play(walk: Walk) -> None:
        said: Answer | None = None
        while True:
            try:
                asked = walk.send(said)
            except StopIteration:
                return
            assert isinstance(asked, Question)
            seen.append(answer(asked))
            read = tlsanswer.read(seen[-1])
            said = read if read.sound else None

    for stage in Survey(_VISIT, "all", lambda: seen).stages():
        for walk in stage:
            play(walk)
    return seen


def _extensions(more: Mapping[int, bytes]) -> bytes:
    return vector(b"".join(kind.to_bytes(2) + vector(data) for kind, data in more.items()))


def _alert(number: int, code: int) -> bytes:
    return tlswire.record(tlswire.ALERT, number, bytes([2, code]))


@cache
def _question() -> Question:
    """The one question of the walk "chain"."""
    asked = next(next(iter(next(iter(Survey(_VISIT, "chain").stages())))))
    assert isinstance(asked, Question)
    return asked


def plain() -> bytes:
    """A port that answers a hello in HTTP."""
    turn = Turn(_question().hello, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return transcript.write([Exchange("chain", (turn,), "done")])


def chain(version: str, certificates: Sequence[bytes], staple: bytes = b"") -> bytes:
    """The walk "chain" to a server that chooses this version and shows these certificates (DER), and a staple."""
    suite = "TLS_AES_256_GCM_SHA384" if version == "TLSv1.3" else "TLS_RSA_WITH_AES_128_CBC_SHA"
    server = Server({version: (suite,)}, chain=certificates, staple=staple)
    return transcript.write([server.exchange(_question())])


def ffdhe3072() -> bytes:
    """The prime of that name (RFC 7919 appendix A.2)."""
    with localcontext() as exact:
        exact.prec = 1000
        digits = int(Decimal(1).exp() * Decimal(2) ** 2942)
    return ((1 << 3072) - (1 << 3008) + ((digits + 2625351) << 64) - 1).to_bytes(384)
