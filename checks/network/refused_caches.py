"""Whether memcached refuses who has not logged in, and datagrams from anybody (seen from outside)."""

from __future__ import annotations

from typing import Final

from checks.network.asking import BRIEF, MADE_UP, Answered, heard, not_spoken, said
from checks.network.example_talks import SILENCE, at, talk
from checks.network.ports import OpenPort
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Dialogue,
    Each,
    Exchange,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Verdict,
    check,
    examples,
    exchanges,
    fact,
    holds,
    probe,
)

_SERVICE: Final = "memcached"
_LINE: Final = r"\r\n"
#: A request of the binary protocol: 24 bytes of header (magic 80, command 0: get), then the key.
_GET: Final = ("\x80\0\0\x10" + "\0" * 7 + "\x10" + "\0" * 12) + MADE_UP
#: Its answer: magic 81, and a header with the length of what follows.
_HEADER: Final = (8, 4, 24)
_FOUND, _NOT_FOUND, _NOT_LOGGED_IN = 0, 1, 0x20
#: A datagram has eight bytes before the words: number of the request, of this datagram, how many, nothing.
_DATAGRAM: Final = "\0\1\0\0\0\1\0\0version\r\n"


@fact
class MemcachedAnswer(Answered):
    """What memcached did with a read command of somebody who has not logged in."""


@fact
class MemcachedDatagrams(Answered):
    """What memcached did with a command in a datagram, beside the port where it takes connections."""


def _ask(purpose: str, data: str, until: str = "", frame: tuple[int, int, int] | None = None) -> Each:
    return Each(
        OpenPort,
        lambda port: Dialogue(
            purpose=f"memcached: {purpose}", port=port.number, turns=(Say(data, until=until, frame=frame),),
            impact=Impact.KNOCK, silence=True, timeout=BRIEF,
        ),
        when=lambda port: port.service == _SERVICE,
    )  # fmt: skip


_TEXT: Final = _ask("a read command without logging in", f"get {MADE_UP}\r\n", until=_LINE)
_BINARY: Final = _ask("a read command without logging in, in the binary protocol", _GET, frame=_HEADER)


@probe("outside", text=_TEXT, binary=_BINARY)
def memcached_answer(text: Raw, binary: Raw, port: OpenPort) -> MemcachedAnswer:
    """memcached: doc/protocol.txt and doc/protocol-binary.txt; it may speak either of the two, or both."""
    words, bytes_ = heard(text), heard(binary)
    in_words, in_bytes = _refused_in_words(words), _refused_in_bytes(bytes_)
    if in_words is None and in_bytes is None:
        raise not_spoken(words, _SERVICE)
    refused = False not in (in_words, in_bytes)
    return MemcachedAnswer(port.number, refused, said(bytes_ if in_words is None else words), True)


def _refused_in_words(exchange: Exchange) -> bool | None:
    answer = exchange.received
    if answer.startswith((b"END\r\n", f"VALUE {MADE_UP} ".encode())):
        return False
    return True if answer.startswith(b"CLIENT_ERROR unauthenticated\r\n") else None


def _refused_in_bytes(exchange: Exchange) -> bool | None:
    answer = exchange.received
    if len(answer) < 24 or answer[:2] != b"\x81\0":
        return None
    status = int.from_bytes(answer[6:8], "big")
    if status not in (_FOUND, _NOT_FOUND, _NOT_LOGGED_IN):
        raise NotUnderstood(f"an answer that is neither yes nor no: status {status}")
    return status == _NOT_LOGGED_IN


@probe(
    "outside",
    text=_TEXT,
    binary=_BINARY,
    datagram=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="memcached: a command in a datagram", port=port.number, turns=(Say(_DATAGRAM),), protocol="udp",
            impact=Impact.KNOCK,
        ),
        when=lambda port: port.service == _SERVICE,
    ),
)  # fmt: skip
def memcached_datagrams(text: Raw, binary: Raw, datagram: Raw, port: OpenPort) -> MemcachedDatagrams:
    """That nothing listens for datagrams is told by ICMP; that memcached is here at all, by the other answers."""
    words = heard(text)
    if _refused_in_words(words) is None and _refused_in_bytes(heard(binary)) is None:
        raise not_spoken(words, _SERVICE)
    (answer,) = exchanges(datagram)
    if answer.end == "refused":
        return MemcachedDatagrams(port.number, True, "nothing listens for datagrams")
    if not answer.received[8:].startswith(b"VERSION "):
        raise not_spoken(answer, _SERVICE)
    return MemcachedDatagrams(port.number, False, said(answer))


@check(
    "refused-caches.memcached-without-login",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="Memcached weigert opdrachten van wie niet is ingelogd",
    why_nl="Zonder aanmelding leest en wijzigt wie de poort bereikt sessies en gegevens van alle gebruikers.",
    fix="sed -i 's/^-l .*/-l 127.0.0.1/' /etc/memcached.conf\nsystemctl restart memcached",
    verify="echo 'get keurmeester-test' | nc -q1 HOST 11211",
    references=("memcached(1): -l, -S, -Y", "memcached: doc/protocol.txt, Authentication"),
)
def reading_refused(answer: MemcachedAnswer) -> Verdict:
    """Memcached refuses commands of who has not logged in.

    Without a login, who reaches the port reads and changes sessions and data of all users.
    """
    return holds(answer.refused, answer.said, "unauthenticated")


@check(
    "refused-caches.memcached-datagrams",
    principle=(DEFAULT_DENY, SECURE_DEFAULT),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="database",
    title_nl="Memcached luistert niet naar datagrammen (UDP)",
    why_nl="Wie over UDP zijn afzender vervalst, laat memcached een ander met grote antwoorden platleggen.",
    fix="echo '-U 0' >> /etc/memcached.conf\nsystemctl restart memcached",
    verify="ss -lun 'sport = :11211'",
    references=("CVE-2018-1000115", "memcached(1): -U"),
)
def datagrams_refused(answer: MemcachedDatagrams) -> Verdict:
    """Memcached does not listen for datagrams (UDP).

    Who forges his sender over UDP lets memcached take another down with large answers.
    """
    return holds(answer.refused, answer.said, "nothing listens for datagrams")


# --- examples -------------------------------------------------------------------------------------------------


def _binary(status: int) -> str:
    return talk((b"get", b"\x81" + bytes(5) + status.to_bytes(2, "big") + bytes(16)))


def _text(answer: bytes) -> str:
    return talk((b"get keurmeester-test\r\n", answer))


_PASSWORD: Final = {"text": _text(b"CLIENT_ERROR unauthenticated\r\n"), "binary": SILENCE}
_SASL: Final = {"text": SILENCE, "binary": _binary(_NOT_LOGGED_IN)}
_OPEN: Final = {"text": _text(b"END\r\n"), "binary": _binary(_NOT_FOUND)}

examples(
    reading_refused,
    passes=[at(_SERVICE, **_PASSWORD), at(_SERVICE, **_SASL)],
    fails=[at(_SERVICE, **_OPEN), at(_SERVICE, text=SILENCE, binary=_binary(_FOUND))],
    unknown=[
        at(_SERVICE, text=_text(b"ERROR\r\n"), binary=SILENCE),
        at(_SERVICE, text=SILENCE, binary=_binary(0x81)),
    ],
    error=at(_SERVICE, text=SILENCE, binary=SILENCE),
    notapplicable=[at("http"), at(_SERVICE, text=_text(b"HTTP/1.1 400 Bad Request\r\n\r\n"), binary=SILENCE)],
)
examples(
    datagrams_refused,
    passes=[
        at(_SERVICE, **_SASL, datagram=talk(end="refused")),
        at(_SERVICE, **_OPEN, datagram=talk(end="refused")),
    ],
    fails=at(_SERVICE, **_OPEN, datagram=talk(b"\0\1\0\0\0\1\0\0VERSION 1.6.18\r\n")),
    unknown=at(_SERVICE, **_OPEN, datagram=talk(b"\0\1\0\0\0\1\0\0?")),
)
