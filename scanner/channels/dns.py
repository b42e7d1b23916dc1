"""Questions to name servers: the messages as they came over the wire."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from scanner.channels import ChannelError
from scanner.channels.wire import cause_of
from scanner.model import Cause, Timed
from scanner.transcript import Exchange, Turn, write

if TYPE_CHECKING:
    from scanner.sources import Lookup

#: The size of datagram that reaches everyone unfragmented (RFC 9715).
PAYLOAD: Final = 1232
#: Seconds for one server to answer one question, and how often it is asked: datagrams get lost.
PATIENCE: Final = 2.5
TRIES: Final = 2
#: Answers that tell of the server more than of the name: another one may know better.
_TRY_ANOTHER: Final = frozenset({dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR})
#: What a server says that does not know EDNS (RFC 6891 section 7); it is asked without.
_NO_EDNS: Final = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS})


def look_up(source: Lookup, resolvers: Sequence[str], port: int = 53) -> Timed:
    """Ask every question, as `Lookup` documents. Raises ChannelError when the first gets no answer, or when what goes
    wrong with a later one is not that it takes too long.
    """
    began = time.monotonic()
    servers: list[str] = []
    if source.questions:
        servers = [source.server] if source.server else list(resolvers) or _of_the_system()
    asking = _Asking(source, servers, port, began + source.timeout)
    found = [asking.ask(name, kind) for name, kind in source.questions]
    return Timed(out=write(found), took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


def name_anchors(paths: Sequence[str], limit: int) -> Timed:
    """The inventory's own trust anchors for the DNS. Raises ChannelError when a file cannot be read."""
    out = b""
    for path in paths:
        try:
            out += Path(path).read_bytes() + b"\n"
        except OSError as error:
            raise ChannelError(Cause.POLICY, f"trust anchors {path}: {error.strerror}") from None
    if len(out) > limit:
        raise ChannelError(Cause.TRUNCATED, f"trust anchors for the DNS: more than {limit} bytes")
    return Timed(out=out, at=round(time.time(), 3))


def _of_the_system() -> list[str]:
    try:
        return [str(one) for one in dns.resolver.get_default_resolver().nameservers]
    except dns.exception.DNSException as error:
        raise ChannelError(Cause.DNS, f"this system has no resolver: {error}") from None


class _Asking:
    """The questions of one source, within its time and size."""

    def __init__(self, source: Lookup, servers: Sequence[str], port: int, deadline: float) -> None:
        self._source, self._servers, self._port, self._deadline = source, servers, port, deadline
        self._total, self._heard = 0, False

    def ask(self, name: str, kind: str) -> Exchange:
        """One question: the first answer that is about the name, else the last one that any server gave."""
        query = self._query(name, kind)
        why: list[tuple[Cause, str]] = []
        last: Exchange | None = None
        for server in self._servers:
            try:
                wire, sent = self._answer(query, server)
            except ChannelError as error:
                why.append((error.cause, error.detail))
                continue
            self._total += len(wire)
            if self._total > self._source.limit:
                raise ChannelError(
                    Cause.TRUNCATED, f"{self._source.describe()}: more than {self._source.limit} bytes came"
                )
            last = Exchange(f"{name} {kind}", (Turn(sent.to_wire(), wire),), "done", to=server)
            if _rcode(wire) not in _TRY_ANOTHER:
                break
        if last is None:
            cause, detail = why[-1]
            if not self._heard or any(one is not Cause.TIMEOUT for one, _ in why):
                raise ChannelError(cause, f"{self._source.describe()}: {detail}")
            # The servers are there: who does not answer stands behind them, and is no reason to lose the rest.
            return Exchange(f"{name} {kind}", (Turn(query.to_wire(), b""),), "timeout", to=self._servers[-1])
        self._heard = True
        return last

    def _query(self, name: str, kind: str) -> dns.message.Message:
        try:
            query = dns.message.make_query(
                dns.name.from_text(name), dns.rdatatype.from_text(kind), want_dnssec=True, payload=PAYLOAD
            )
        except (dns.exception.DNSException, UnicodeError) as error:
            raise ChannelError(
                Cause.PARSE, f"{name[:80]!r} {kind}: no question for the DNS: {error}"
            ) from None
        # DNSSEC's records are asked for, and its checking disabled: what is wrong with them is for us to see.
        query.flags |= dns.flags.CD
        if not self._source.recursive:
            query.flags &= ~dns.flags.RD
        return query

    def _answer(self, query: dns.message.Message, server: str) -> tuple[bytes, dns.message.Message]:
        """What the server says, and the question it said it to: without EDNS, when it says it does not know that."""
        wire = self._exchange(query, server)
        if _rcode(wire) in _NO_EDNS:
            plain = dns.message.make_query(query.question[0].name, query.question[0].rdtype)
            plain.flags = query.flags
            simple = self._exchange(plain, server)
            if _rcode(simple) not in _NO_EDNS:
                return simple, plain
        return wire, query

    def _exchange(self, query: dns.message.Message, server: str) -> bytes:
        """One question to one server: the bytes of its answer, over TCP when the datagram was cut short."""
        for left in reversed(range(TRIES)):
            until = min(time.monotonic() + PATIENCE, self._deadline)
            try:
                wire = self._datagram(query, server, until)
                if wire[2] & 0x02:  # TC, RFC 1035 section 4.1.1
                    wire = self._stream(query, server, min(time.monotonic() + PATIENCE, self._deadline))
                return wire
            except TimeoutError:
                if not left or time.monotonic() >= self._deadline:
                    raise ChannelError(Cause.TIMEOUT, f"{server} gives no answer that makes sense") from None
            except EOFError:
                raise ChannelError(Cause.RESET, f"{server} ended the connection without an answer") from None
            except OSError as error:
                raise ChannelError(cause_of(error), f"{server}: {error.strerror or error}") from None
        raise AssertionError("the last try returns or raises")

    def _datagram(self, query: dns.message.Message, server: str, until: float) -> bytes:
        """A datagram that is not from the server, or not the answer to this, is not heard (RFC 5452 section 9)."""
        with socket.socket(_family(server), socket.SOCK_DGRAM) as asking:
            asking.connect((server, self._port))
            asking.send(query.to_wire())
            while True:
                asking.settimeout(_left(until))
                wire = asking.recv(65535)
                if _is_to(query, wire):
                    return wire

    def _stream(self, query: dns.message.Message, server: str, until: float) -> bytes:
        with socket.create_connection((server, self._port), _left(until)) as asking:
            wire = query.to_wire()
            asking.sendall(len(wire).to_bytes(2) + wire)
            length = int.from_bytes(_read(asking, 2, until))
            wire = _read(asking, length, until)
        if not _is_to(query, wire):
            raise ChannelError(Cause.PARSE, f"{server} answers something else than was asked")
        return wire


def _family(server: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server else socket.AF_INET


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _read(stream: socket.socket, count: int, until: float) -> bytes:
    data = b""
    while len(data) < count:
        stream.settimeout(_left(until))
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _is_to(query: dns.message.Message, wire: bytes) -> bool:
    """Whether these bytes are an answer to the question. Its records are not looked at: they are for who judges."""
    try:
        return query.is_response(dns.message.from_wire(wire, question_only=True, ignore_trailing=True))
    except (dns.exception.DNSException, ValueError):
        return False


def _rcode(wire: bytes) -> dns.rcode.Rcode | None:
    """The response code, with what EDNS adds to it; None when that cannot be read."""
    try:
        return dns.message.from_wire(wire, continue_on_error=True, ignore_trailing=True).rcode()
    except (dns.exception.DNSException, ValueError):
        return None
