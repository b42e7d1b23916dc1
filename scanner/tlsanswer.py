"""What one question to a TLS server, and its answer, say: read from the bytes on the wire, both ways. Pure.

The channel asks the next question by it, and the probes read the facts from it: one reading for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from scanner import tlswire as wire
from scanner.tlsnames import SSL2, SUITES, TLS12, TLS13
from scanner.transcript import Exchange, Turn

if TYPE_CHECKING:
    from scanner import tlskeys12

#: Alerts that refuse what was offered. Others may have another reason; they count when they come twice.
REFUSALS: Final = frozenset({40, 70, 71, 86, 116, 120})
#: Alerts that are about something else than the offer, however often they come.
NO_REFUSALS: Final = frozenset({90, 112})
CLOSE_NOTIFY: Final = 0
NO_RENEGOTIATION: Final = 100


@dataclass(frozen=True)
class Answer:
    """One exchange, read. Parsed when asked for; each property raises ValueError when the bytes make no sense.

    ``hung_up``: the server ended the connection without a word, and that is known to be a refusal (tlshangup.py).
    """

    exchange: Exchange
    hello: wire.ClientHello | None = None
    ssl2: tuple[int, ...] = ()
    sent: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    received: bytes = field(default=b"", repr=False)
    hung_up: bool = False

    @property
    def ask(self) -> str:
        """What was asked, in words."""
        return self.exchange.ask

    @property
    def asked(self) -> bytes:
        """What was asked: the first hello, as it went over the wire."""
        return next(turn.sent for turn in self.exchange.turns if is_hello(turn.sent))

    @property
    def version(self) -> int:
        """The newest version offered."""
        return max(self.hello.versions) if self.hello else SSL2

    @property
    def offer(self) -> tuple[int, ...]:
        """The suites offered."""
        return self.hello.suites if self.hello else self.ssl2

    @cached_property
    def flight(self) -> wire.Flight:
        """The records and messages that came back."""
        return wire.flight(self.received)

    @cached_property
    def foreign(self) -> bool:
        """Whether something else than TLS came back."""
        if self.hello is None:
            return False
        try:
            _ = self.flight
        except ValueError:
            return not self.received[:1] or not 20 <= self.received[0] <= 23
        return False

    @cached_property
    def server(self) -> wire.ServerHello | None:
        """The first ServerHello or HelloRetryRequest, when it is of a version and suite that were offered."""
        if self.hello is None:
            return None
        body = self.flight.first(wire.SERVER_HELLO)
        if body is None:
            return None
        found = wire.server_hello(body)
        return found if found.version in self.hello.versions and found.suite in self.offer else None

    @cached_property
    def other(self) -> wire.ServerHello | None:
        """A ServerHello that chose what was not offered: another version, mostly."""
        body = self.flight.first(wire.SERVER_HELLO) if self.hello else None
        found = wire.server_hello(body) if body is not None else None
        return found if found is not None and self.server is None else None

    @cached_property
    def ssl2_server(self) -> wire.Ssl2ServerHello | None:
        """The SERVER-HELLO of SSL 2; None when it is not complete, or something else came."""
        try:
            return wire.ssl2_server_hello(self.received) if self.hello is None else None
        except ValueError:
            return None

    @property
    def alert(self) -> wire.Alert | None:
        """The first alert that came in clear."""
        return self.flight.alert

    @cached_property
    def accepted(self) -> bool:
        """Whether the server took up the offer."""
        if self.hello is None:
            return self.ssl2_server is not None and bool(self.ssl2_server.suites)
        return self.server is not None

    @property
    def refused(self) -> bool:
        """Whether the server refused the offer, in so many words."""
        if self.accepted or self.hung_up:
            return self.hung_up
        if self.hello is None:
            return self._other_words
        alert = self.alert
        return self.other is not None or (alert is not None and alert.level == 2 and alert.code in REFUSALS)

    @property
    def turned_away(self) -> bool:
        """Whether this is a refusal when it happens twice: another alert, or for SSL 2 a close without a word."""
        if self.accepted or self.refused:
            return False
        if self.hello is None:
            return self.exchange.end == "closed" and not self.received
        return self.alert is not None and self.alert.code not in NO_REFUSALS

    @property
    def sound(self) -> bool:
        """Whether it can be read, and says something of the offer: it was accepted, refused, or turned away."""
        try:
            return self.accepted or self.refused or self.turned_away
        except ValueError:
            return False

    @property
    def _other_words(self) -> bool:
        """Whether SSL 2 was answered by a whole SERVER-HELLO without suites, an error, or in another language."""
        try:
            return len(self.received) > 3 and wire.ssl2_server_hello(self.received) is not None
        except ValueError:
            return True

    @property
    def messages(self) -> tuple[tuple[int, bytes], ...]:
        """All handshake messages of the server, those of TLS 1.3 that were encrypted too."""
        return (*self.flight.messages, *self._opened[0])

    @property
    def gave_up(self) -> wire.Alert | None:
        """The alert that ended it after the hello was accepted, in clear or encrypted."""
        return (self.flight.alert or self._opened[1]) if self.accepted and self.hello else None

    @cached_property
    def _opened(self) -> tuple[list[tuple[int, bytes]], wire.Alert | None]:
        """What the server encrypted in its first flight."""
        seen = self.flight
        theirs = [one for one in seen.messages if one[0] == wire.SERVER_HELLO]
        chosen = wire.server_hello(theirs[-1][1]) if theirs else None
        if not seen.sealed or self.hello is None or chosen is None or chosen.retry or chosen.version != TLS13:
            return [], None
        from scanner import tlskeys

        return tlskeys.open_flight(*self._conversation())

    def _conversation(self) -> tuple[list[tuple[int, bytes]], wire.ServerHello, bytes, tuple[bytes, ...]]:
        """The hellos of both sides in turn, the last of the server's, our random, and what is encrypted."""
        assert self.hello is not None
        theirs = [one for one in self.flight.messages if one[0] == wire.SERVER_HELLO]
        ours = [one for one in self.sent if one[0] == wire.CLIENT_HELLO]
        said = [one for pair in zip(ours, theirs, strict=True) for one in pair]
        return said, wire.server_hello(theirs[-1][1]), self.hello.random, self.flight.sealed

    def message(self, kind: int) -> bytes | None:
        """The body of the server's first message of that kind, or None."""
        return next((body for one, body in self.messages if one == kind), None)

    @cached_property
    def key_exchange(self) -> wire.KeyExchange | None:
        """The ServerKeyExchange of TLS 1.2 and older."""
        body = self.flight.first(wire.SERVER_KEY_EXCHANGE)
        if body is None or self.server is None:
            return None
        return wire.key_exchange(body, self.server.suite, self.server.version)

    @property
    def scheme(self) -> int | None:
        """How the server signed, by the number of the scheme: TLS 1.2 and newer."""
        if self.server is None or self.server.version != TLS13:
            return self.key_exchange.scheme if self.key_exchange else None
        body = self.message(wire.CERTIFICATE_VERIFY)
        return wire.Reader(body).number(2) if body is not None else None

    @property
    def protocol(self) -> str:
        """The application protocol it took (ALPN), or nothing."""
        if self.chosen is None:
            return ""
        said: Mapping[int, bytes] = self.chosen.extensions
        if self.chosen.version == TLS13:
            body = self.message(wire.ENCRYPTED_EXTENSIONS)
            said = wire.encrypted_extensions(body) if body is not None else {}
        return wire.protocol_name(said[wire.ALPN]) if wire.ALPN in said else ""

    @property
    def next_word(self) -> bytes:
        """What comes next in a handshake of TLS 1.2 inside which another one is asked for; nothing when all is said."""
        if self.chosen is None or self.chosen.version != TLS12 or not self.whole:
            return b""
        from scanner import tlskeys12

        said = len(self.exchange.turns) - len(self._before)
        if said == 1:
            return self._finish.records
        return (
            tlskeys12.again(self._finish, self.hello.body)
            if said == 2 and self.flight.sealed and self.hello
            else b""
        )

    @property
    def renegotiated(self) -> bool | None:
        """Whether a client may ask for another handshake inside the first; None while the server has not said so.

        It refuses with no_renegotiation (RFC 5246 section 7.2.2), Java with handshake_failure. That the connection
        ends, with or without good-bye, may have any other reason.
        """
        if self.chosen is None or len(self.exchange.turns) - len(self._before) < 3:
            return None
        theirs = self._finish.theirs
        for record in self.flight.sealed:
            kind, content = theirs.open(record)
            if kind == wire.HANDSHAKE and content[:1] == bytes([wire.SERVER_HELLO]):
                return True
            if kind == wire.ALERT and content[1:] and content[1] in {NO_RENEGOTIATION, *REFUSALS}:
                return False
        return None

    @property
    def _before(self) -> list[Turn]:
        """What was said before the hello."""
        return list(takewhile(lambda turn: not is_hello(turn.sent), self.exchange.turns))

    @property
    def _finish(self) -> tlskeys12.Finish:
        """Our part of finishing a handshake of TLS 1.2."""
        from scanner import tlskeys12

        keys, chosen = self.key_exchange, self.chosen
        if keys is None or keys.group is None or chosen is None or self.hello is None:
            raise ValueError("no key exchange with a group")
        said = b"".join(wire.message(*one) for one in (*self.sent, *self.flight.messages))
        asked = self.flight.first(wire.CERTIFICATE_REQUEST) is not None
        randoms = (self.hello.random, chosen.random)
        return tlskeys12.finish(chosen.suite, keys.group, keys.public, randoms, said, asked=asked)

    @property
    def tickets(self) -> list[wire.Ticket]:
        """The tickets that came after a finished handshake of TLS 1.3."""
        return [wire.session_ticket(body) for kind, body in self.messages if kind == wire.NEW_SESSION_TICKET]

    @property
    def early_data(self) -> int | None:
        """Bytes of 0-RTT data that the tickets allow; None while that is not known.

        A server that says good-bye to ours without having given a ticket allows none. One that gives up otherwise has
        not taken us in: it may want a certificate first.
        """
        if not self._parted:
            return None
        if self.tickets:
            return max(ticket.early_data for ticket in self.tickets)
        gone = self.gave_up
        return 0 if gone is not None and gone.code == CLOSE_NOTIFY and not self.alert else None

    @property
    def _parted(self) -> bool:
        """Whether we finished a handshake of TLS 1.3, and said good-bye."""
        return any(turn.sent[:1] == b"\x17" for turn in self.exchange.turns)

    @property
    def farewell(self) -> bytes:
        """What finishes the handshake of TLS 1.3 and ends the connection; nothing when it is too early, or too late."""
        if not self.whole or self.gave_up or self._parted:
            return b""
        from scanner import tlskeys

        return tlskeys.farewell(*self._conversation())

    @cached_property
    def staple(self) -> bytes:
        """The OCSP answer (DER) that came with the certificates, or nothing."""
        if self.chosen is not None and self.chosen.version == TLS13:
            body = self.message(wire.CERTIFICATE)
            return wire.certificates13(body).staple if body is not None else b""
        body = self.message(wire.CERTIFICATE_STATUS)
        return wire.certificate_status(body) if body is not None else b""

    @property
    def group(self) -> int | None:
        """The group of the key exchange, by its number."""
        if self.server is None:
            return None
        if self.server.version == TLS13:
            return self.server.group
        return self.key_exchange.group if self.key_exchange else None

    @cached_property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates shown (DER), in order; none when they did not come."""
        if self.hello is None:
            return (
                (self.ssl2_server.certificate,) if self.ssl2_server and self.ssl2_server.certificate else ()
            )
        body = self.message(wire.CERTIFICATE)
        if body is None or self.chosen is None:
            return ()
        if self.chosen.version == TLS13:
            return wire.certificates13(body).chain
        return tuple(wire.certificates(body))

    @property
    def chosen(self) -> wire.ServerHello | None:
        """The last ServerHello: after a HelloRetryRequest, the real one."""
        body = next(
            (body for kind, body in reversed(self.flight.messages) if kind == wire.SERVER_HELLO), None
        )
        return wire.server_hello(body) if body is not None and self.server is not None else None

    @cached_property
    def complete(self) -> bool:
        """Whether the key exchange is known, or will not be told: enough for a walk over suites or groups."""
        if self.hello is None:
            return self.ssl2_server is not None or self._other_words
        if self.flight.alert:
            return True
        server = self.server
        if server is None:
            return self.other is not None
        suite = SUITES.get(server.suite)
        if server.version == TLS13 or suite is None:
            return True
        seen = {kind for kind, _ in self.flight.messages}
        if suite.keyed:
            return wire.SERVER_KEY_EXCHANGE in seen or wire.SERVER_HELLO_DONE in seen
        return True if not suite.export else wire.SERVER_HELLO_DONE in seen

    @cached_property
    def whole(self) -> bool:
        """Whether the server's whole first flight is there."""
        if self.hello is None or self.flight.alert or (self.server is None and self.other is not None):
            return self.complete
        if self.server is None or self.chosen is None or self.chosen.retry:
            return False
        if self.gave_up:
            return True
        last = wire.FINISHED if self.chosen.version == TLS13 else wire.SERVER_HELLO_DONE
        return any(kind == last for kind, _ in self.messages)


def read(exchange: Exchange) -> Answer:
    """One exchange as an answer; what was said before the hello (STARTTLS) is left out.

    Raises ValueError when no hello was sent.
    """
    turns = exchange.turns
    first = next((at for at, turn in enumerate(turns) if is_hello(turn.sent)), None)
    if first is None:
        raise ValueError("no hello was sent")
    hello, received = turns[first].sent, b"".join(turn.received for turn in turns[first:])
    if hello[0] != wire.HANDSHAKE:
        return Answer(exchange, ssl2=wire.read_ssl2_client_hello(hello), received=received)
    hellos = [turn.sent for turn in turns[first:]][: 2 if wire.RETRY in received else 1]
    sent = tuple(one for data in hellos if is_hello(data) for one in wire.flight(data).messages)
    return Answer(exchange, hello=wire.read_client_hello(sent[0][1]), sent=sent, received=received)


def read_all(exchanges: Iterable[Exchange]) -> list[Answer]:
    """The exchanges in which a hello was sent, as answers."""
    return [read(one) for one in exchanges if any(is_hello(turn.sent) for turn in one.turns)]


def is_hello(sent: bytes) -> bool:
    """Whether these bytes begin a ClientHello, of TLS or of SSL 2."""
    return (sent[:2] == b"\x16\3" and sent[5:6] == b"\1") or (sent[:1] >= b"\x80" and sent[2:5] == b"\1\0\2")
