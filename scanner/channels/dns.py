"""Questions to name servers: the messages as they came over the wire."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver

from scanner.channels import ChannelError
from scanner.channels.wire import cause_of
from scanner.model import Cause, Raw
from scanner.transcript import Exchange, Turn, write

if TYPE_CHECKING:
    from scanner.sources import Lookup

#: The size of datagram that reaches everyone unfragmented (RFC 9715).
PAYLOAD: Final = 1232
#: Seconds for one server to answer one question.
PATIENCE: Final = 2.5


def look_up(source: Lookup, resolvers: Sequence[str], port: int = 53) -> Raw:
    """Ask every question, as `Lookup` documents. Raises ChannelError when one of them gets no answer at all."""
    began = time.monotonic()
    servers = [source.server] if source.server else list(resolvers) or _of_the_system()
    found = [
        _ask(source, name, kind, servers, port, began + source.timeout) for name, kind in source.questions
    ]
    return Raw(out=write(found), took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


def _of_the_system() -> list[str]:
    try:
        return [str(one) for one in dns.resolver.get_default_resolver().nameservers]
    except dns.exception.DNSException as error:
        raise ChannelError(Cause.DNS, f"this system has no resolver: {error}") from None


def _ask(
    source: Lookup, name: str, kind: str, servers: Sequence[str], port: int, deadline: float
) -> Exchange:
    try:
        # DNSSEC's records are asked for, and its checking disabled: what is wrong with them is for us to see.
        query = dns.message.make_query(
            dns.name.from_text(name), dns.rdatatype.from_text(kind), want_dnssec=True, payload=PAYLOAD
        )
    except dns.exception.DNSException as error:
        raise ChannelError(Cause.PARSE, f"{name[:80]!r} {kind}: no question for the DNS: {error}") from None
    query.flags |= dns.flags.CD
    if not source.recursive:
        query.flags &= ~dns.flags.RD
    why: list[tuple[Cause, str]] = []
    for server in servers:
        patience = min(PATIENCE, deadline - time.monotonic())
        if patience <= 0:
            why.append((Cause.TIMEOUT, "time is up"))
            break
        try:
            answer, _ = dns.query.udp_with_fallback(query, server, timeout=patience, port=port)
        except dns.exception.Timeout:
            why.append((Cause.TIMEOUT, f"{server} does not answer"))
        except dns.exception.DNSException as error:
            why.append((Cause.PARSE, f"{server} answers nonsense: {type(error).__name__}"))
        except OSError as error:
            why.append((cause_of(error), f"{server}: {error.strerror or error}"))
        else:
            # To the bytes as they came: what dnspython understood of them is not evidence.
            return Exchange(f"{name} {kind}", (Turn(query.to_wire(), answer.wire or b""),), "done", to=server)
    cause, detail = why[-1]
    raise ChannelError(cause, f"{source.describe()}: {detail}")
