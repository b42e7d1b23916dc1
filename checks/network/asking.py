"""What the questions from outside share: an answer read back, what is no answer, and HTTP in its simplest form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from checks.network._http import WANTS_TLS
from checks.network.ports import OpenPort
from scanner import (
    Absent,
    Blind,
    Cause,
    Dialogue,
    Each,
    Exchange,
    Impact,
    NotUnderstood,
    Raw,
    Say,
    Verdict,
    exchanges,
    fact,
    holds,
)

#: A name that no real account has: nothing of ours may ever be taken for somebody's.
MADE_UP: Final = "keurmeester-test"
#: Seconds that a question gets which may end in silence because the other side waits for more in its own protocol.
BRIEF: Final = 3

#: How answers begin that are positively in another protocol than the one that was asked for.
_OTHERS: Final = (
    ("HTTP", re.compile(rb"HTTP/1\.[01] \d{3}")),
    ("SSH", re.compile(rb"SSH-[12]\.\d+-")),
    ("FTP or SMTP", re.compile(rb"220[ -][^\r\n]*\r\n")),
    ("IMAP", re.compile(rb"\* OK ")),
    ("POP3", re.compile(rb"\+OK ")),
    ("VNC", re.compile(rb"RFB \d{3}\.\d{3}\n")),
    ("AMQP", re.compile(rb"AMQP[\x00-\x03]")),
)
#: A TLS alert (RFC 8446 section 6): what a server that expects TLS says to one who does not speak it.
_ALERT: Final = re.compile(rb"\x15\x03[\x00-\x04]\x00\x02[\x01\x02].", re.DOTALL)


def heard(raw: Raw) -> Exchange:
    """The one conversation that was held. Raises Absent when nothing listens any more."""
    found = exchanges(raw)
    if len(found) != 1:
        raise NotUnderstood(f"{len(found)} conversations in place of one")
    if found[0].end == "refused":
        raise Absent("nothing listens here any more")
    return found[0]


def twice(
    services: tuple[str, ...], purpose: str, *turns: Say, impact: Impact = Impact.KNOCK
) -> dict[str, Each]:
    """Two sources for a probe, ``clear`` and ``secured``: the same words in the clear and over TLS.

    So nobody has to say beforehand which of the two a port speaks; read the answers with `spoken`.
    """

    def each(secure: bool) -> Each:
        return Each(
            OpenPort,
            lambda port: Dialogue(
                purpose=purpose, port=port.number, turns=turns, secure=secure, server_name=port.server_name,
                impact=impact, silence=True, timeout=BRIEF,
            ),
            when=lambda port: port.service in services,
        )  # fmt: skip

    return {"clear": each(secure=False), "secured": each(secure=True)}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a port said in a protocol: in the clear, over TLS, or both; None where it did not speak it.

    ``locked`` says that over TLS it hears nobody without a client certificate; ``silent`` that in the clear nothing
    came in time, which is not the same as a refusal to talk.
    """

    clear: Exchange | None
    secured: Exchange | None
    locked: bool
    silent: bool

    @property
    def exchange(self) -> Exchange:
        """The answer to judge: the one that whoever listens in can hear too, when there is one."""
        found = self.clear or self.secured
        if found is None:
            raise NotUnderstood("it hears nobody without a client certificate")
        return found


def spoken(clear: Raw, secured: Raw, speaks: Callable[[Exchange], bool], protocol: str) -> Spoken:
    """The answers of `twice`, as far as ``speaks`` recognises the protocol in them.

    Raises Absent when the port positively speaks something else, Blind when it said nothing, else NotUnderstood.
    """
    plain, over_tls = heard(clear), heard(secured)
    found = Spoken(
        plain if speaks(plain) else None,
        over_tls if speaks(over_tls) else None,
        wants_certificate(over_tls),
        plain.end == "timeout" and not plain.received,
    )
    if not (found.clear or found.secured or found.locked):
        raise not_spoken(plain, protocol)
    return found


@fact
class Answered:
    """What one port did with a question that should be refused; ``said`` is its answer in short.

    ``in_clear`` says that it was ready to talk without TLS, ``silent`` that it said nothing to that in time.
    """

    port: int
    refused: bool
    said: str
    in_clear: bool = False
    silent: bool = False

    def __str__(self) -> str:
        return f"{self.port}/tcp"


A = TypeVar("A", bound=Answered)


def judged(
    kind: type[A],
    port: OpenPort,
    found: Spoken,
    refused: Callable[[Exchange], bool],
    told: Callable[[Exchange], str] = lambda exchange: said(exchange),
) -> A:
    """The fact from what was spoken; ``refused`` reads the answer, and raises NotUnderstood when it is neither.

    ``told`` is the answer in words. A door that opens to client certificates alone refuses everybody else.
    """
    if not found.clear and not found.secured:
        return kind(port.number, True, "TLS: a client certificate is demanded", silent=found.silent)
    answer = found.exchange
    return kind(port.number, refused(answer), told(answer), found.clear is not None, found.silent)


def over_tls_only(answer: Answered) -> Verdict:
    """The verdict on whether a port talks in the clear. Raises Blind when it did not say so in time."""
    if answer.silent:
        raise Blind(f"in the clear no answer within {BRIEF} seconds", Cause.TIMEOUT)
    return holds(not answer.in_clear, f"in the clear: {'yes' if answer.in_clear else 'no'}", "no")


def wants_certificate(exchange: Exchange) -> bool:
    """Whether TLS ended for want of a client certificate, when we showed none.

    RFC 8446 section 6.2: certificate_required, or bad_certificate as servers say that were made before it.
    """
    return any(alert in exchange.note for alert in ("ALERT_CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE"))


def not_spoken(exchange: Exchange, protocol: str) -> Exception:
    """What to raise when the answer is not in this protocol: Absent when it is positively in another one."""
    for other, beginning in _OTHERS:
        if other != protocol and beginning.match(exchange.received):
            return Absent(f"this port speaks {other}, not {protocol}")
    if _ALERT.match(exchange.received):
        return NotUnderstood(f"it answers in TLS, and over TLS not in {protocol}")
    if exchange.end == "timeout" and not exchange.received:
        return Blind(f"no answer in {protocol} within {BRIEF} seconds", Cause.TIMEOUT)
    return NotUnderstood(f"no answer in {protocol}: {said(exchange)}")


def said(exchange: Exchange, limit: int = 80) -> str:
    """The answer in short, for an observation: on one line; what cannot be printed as a question mark."""
    flat = b" ".join(exchange.received[:limit].split())
    text = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in flat)
    ended = f"the connection ended ({exchange.end})" if exchange.end != "done" else "nothing"
    return text or (f"{ended}, {exchange.note}" if exchange.note else ended)


# --- HTTP -----------------------------------------------------------------------------------------------------


_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?(?:\r\n|\Z)")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer: status, header fields by lower-case name (the first of each), and body as it came."""

    status: int
    fields: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def __str__(self) -> str:
        text = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in self.body[:80]).strip()
        return f"HTTP {self.status} {text}".strip()


def request(path: str, *fields: str, host: str = "", method: str = "GET", body: str = "") -> str:
    """One HTTP/1.1 request that ends the connection with its answer (RFC 9112)."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or 'localhost'}", "User-Agent: keurmeester", *fields]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Accept: */*", "Connection: close", "", body])


def speaks_http(exchange: Exchange) -> bool:
    """Whether this is an HTTP answer, and not one that says to come back with TLS."""
    status = _STATUS.match(exchange.received)
    return status is not None and not (status[1] == b"400" and WANTS_TLS.search(exchange.received))


def response(exchange: Exchange) -> Response:
    """The answer to a `request`. Raises Absent or NotUnderstood when it is no complete HTTP answer."""
    head, ended, body = exchange.received.partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    if not status or not ended:
        raise not_spoken(exchange, "HTTP")
    fields: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    if fields.get("content-length", "").isdecimal() and len(body) < int(fields["content-length"][:9]):
        raise NotUnderstood(f"an HTTP answer was cut off ({exchange.end})")
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = _joined(body)
    return Response(int(status[1]), fields, body)


def _joined(body: bytes) -> bytes:
    """The chunks of RFC 9112 section 7.1 in one piece."""
    whole = b""
    while body:
        size, ended, body = body.partition(b"\r\n")
        length = re.match(rb"[0-9A-Fa-f]{1,6}(?=$|[ ;])", size)
        if not length or not ended:
            raise NotUnderstood("the chunks of an HTTP answer do not fit")
        if not (count := int(length[0], 16)):
            return whole
        whole, body = whole + body[:count], body[count + 2 :]
    raise NotUnderstood("an HTTP answer was cut off")


def asked_over_http(
    kind: type[A],
    port: OpenPort,
    answers: tuple[Raw, Raw],
    product: str,
    refused: Callable[[Response], bool | None],
) -> A:
    """The fact from the answers to a `request` put `twice`; ``refused`` gives None for neither yes nor no."""

    def read(exchange: Exchange) -> bool:
        answer = response(exchange)
        verdict = refused(answer)
        if verdict is None:
            raise NotUnderstood(f"neither yes nor no from {product}, or it is another server: {answer}")
        return verdict

    found = spoken(*answers, speaks_http, "HTTP")
    return judged(kind, port, found, read, lambda exchange: str(response(exchange)))
