"""What is said before TLS: a small dialogue per protocol, up to the point where the hello may be sent.

A dialogue yields what to send (nothing: read on) and gets all that came back since the last thing sent. It returns when
TLS may begin, with what is still to be sent right before the hello, and raises NotOffered when the server does not
offer it. No name, password or mail address ever goes over the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Final, TypeAlias

#: Bytes a server may say before TLS.
LIMIT: Final = 1 << 15


class NotOffered(Exception):  # noqa: N818 -- an answer, not an error
    """The server does not offer TLS, or not in a way that is understood."""


Dialogue: TypeAlias = Generator[bytes, bytes, bytes]
#: Whoever asks; RFC 6761 section 6.4 keeps this name free.
_ME: Final = b"scanner.invalid"


def dialogue(name: str, server_name: str) -> Dialogue:
    """The dialogue of that name. Raises KeyError when there is none."""
    return DIALOGUES[name](server_name)


def _until(pattern: bytes, say: bytes = b"") -> Generator[bytes, bytes, bytes]:
    """Say something and read until what came back matches. Raises NotOffered when that never ends."""
    found, said = re.compile(pattern, re.DOTALL | re.MULTILINE), say
    while True:
        got = yield said
        said = b""
        if found.search(got):
            return got
        if len(got) > LIMIT:
            raise NotOffered("an answer without end")


def _demand(pattern: bytes, got: bytes) -> None:
    if not re.search(pattern, got, re.IGNORECASE | re.MULTILINE):
        raise NotOffered(got[:80].decode(errors="replace"))


#: The last line of a reply as in RFC 5321 section 4.2: three digits and a space.
_REPLY: Final = rb"^\d{3} [^\n]*\n\Z|^\d{3}\r?\n\Z"


def _mail(hello: bytes) -> Callable[[str], Dialogue]:
    def speak(_name: str) -> Dialogue:
        _demand(rb"^220", (yield from _until(_REPLY)))
        _demand(rb"^250[ -]STARTTLS\b", (yield from _until(_REPLY, hello + b" " + _ME + b"\r\n")))
        _demand(rb"^220", (yield from _until(_REPLY, b"STARTTLS\r\n")))
        return b""

    return speak


def _ftp(_name: str) -> Dialogue:
    _demand(rb"^220", (yield from _until(_REPLY)))
    _demand(rb"^234", (yield from _until(_REPLY, b"AUTH TLS\r\n")))
    return b""


def _nntp(_name: str) -> Dialogue:
    _demand(rb"^20[01]", (yield from _until(rb"\n\Z")))
    _demand(rb"^382", (yield from _until(rb"\n\Z", b"STARTTLS\r\n")))
    return b""


def _imap(_name: str) -> Dialogue:
    _demand(rb"^\* (OK|PREAUTH)", (yield from _until(rb"\n\Z")))
    _demand(
        rb"^\* CAPABILITY[^\r\n]* STARTTLS\b",
        (yield from _until(rb"^a (OK|NO|BAD)[^\n]*\n\Z", b"a CAPABILITY\r\n")),
    )
    _demand(rb"^b OK", (yield from _until(rb"^b (OK|NO|BAD)[^\n]*\n\Z", b"b STARTTLS\r\n")))
    return b""


def _pop3(_name: str) -> Dialogue:
    _demand(rb"^\+OK", (yield from _until(rb"\n\Z")))
    _demand(rb"^\+OK", (yield from _until(rb"\n\Z", b"STLS\r\n")))
    return b""


def _sieve(_name: str) -> Dialogue:
    _demand(rb'^"STARTTLS"', (yield from _until(rb"^(OK|NO|BYE)\b[^\n]*\n\Z")))
    _demand(rb"^OK", (yield from _until(rb"^(OK|NO|BYE)\b[^\n]*\n\Z", b"STARTTLS\r\n")))
    return b""


def _irc(_name: str) -> Dialogue:
    _demand(rb"^(:\S+ )?670 ", (yield from _until(rb"^(:\S+ )?(670|691|421|451) [^\n]*\n", b"STARTTLS\r\n")))
    return b""


def _xmpp(namespace: bytes) -> Callable[[str], Dialogue]:
    def speak(name: str) -> Dialogue:
        stream = (
            b"<?xml version='1.0'?><stream:stream xmlns='" + namespace + b"' version='1.0'"
            b" xmlns:stream='http://etherx.jabber.org/streams' to='"
            + re.sub(rb"[^\w.-]", b"", name.encode())
            + b"'>"
        )
        got = yield from _until(
            rb"</stream:features>|<stream:error|</stream:stream>|<stream:features\s*/>", stream
        )
        _demand(rb"<starttls[\s/>]", got)
        ask = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        _demand(rb"<proceed", (yield from _until(rb"<(proceed|failure)[^>]*>", ask)))
        return b""

    return speak


#: ExtendedRequest 1.3.6.1.4.1.1466.20037, message 1 (RFC 4511 section 4.14).
_LDAP_ASK: Final = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"


def _ldap(_name: str) -> Dialogue:
    # LDAPMessage, message 1, ExtendedResponse, resultCode: in any length encoding of BER.
    length = rb"(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)"
    pattern = rb"\A\x30" + length + rb"\x02\x01\x01\x78" + length + rb"\x0a\x01(?P<code>.)"
    got = yield from _until(pattern + rb"|\A[^\x30]|\A.{200}", _LDAP_ASK)
    found = re.match(pattern, got, re.DOTALL)
    if not found or found["code"] != b"\0":
        raise NotOffered(f"result {found['code'][0]}" if found else "no answer in LDAP")
    return b""


def _postgresql(_name: str) -> Dialogue:
    _demand(rb"\AS\Z", (yield from _until(rb".", b"\x00\x00\x00\x08\x04\xd2\x16\x2f")))
    return b""


#: CLIENT_SSL, and the bits without which a server reads the packet as of the old protocol.
_MYSQL_SSL: Final = 0x0800
_MYSQL_FLAGS: Final = _MYSQL_SSL | 0x0200 | 0x8000 | 0x0008_0000


def _mysql(_name: str) -> Dialogue:
    got = yield b""
    while len(got) < 4 or len(got) < 4 + int.from_bytes(got[:3], "little"):
        if len(got) > LIMIT:
            raise NotOffered("a greeting without end")
        got = yield b""
    body = got[4 : 4 + int.from_bytes(got[:3], "little")]
    end = body.find(b"\0", 1)
    flags = int.from_bytes(body[end + 14 : end + 16], "little")
    if body[:1] != b"\x0a" or end < 0 or not flags & _MYSQL_SSL:
        raise NotOffered(body[:80].decode(errors="replace"))
    request = _MYSQL_FLAGS.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x21" + bytes(23)
    return len(request).to_bytes(3, "little") + b"\1" + request


#: X.224 Connection Request with RDP_NEG_REQ for SSL, HYBRID and HYBRID_EX ([MS-RDPBCGR] 2.2.1.1).
_RDP_ASK: Final = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0"


def _rdp(_name: str) -> Dialogue:
    got = yield from _until(rb"\A\x03\0..", _RDP_ASK)
    while len(got) < int.from_bytes(got[2:4]) <= LIMIT:
        got = yield b""
    if len(got) < 19 or got[11] != 2 or not int.from_bytes(got[15:19], "little") & 0x0B:
        raise NotOffered("the server keeps to RDP's own encryption")
    return b""


#: Connections in all, where a server shuts its door to whoever breaks off too many: MySQL's max_connect_errors is 100
#: unless told otherwise.
MOST: Final = {"mysql": 60}

DIALOGUES: Final[dict[str, Callable[[str], Dialogue]]] = {
    "smtp": _mail(b"EHLO"),
    "lmtp": _mail(b"LHLO"),
    "imap": _imap,
    "pop3": _pop3,
    "sieve": _sieve,
    "ftp": _ftp,
    "nntp": _nntp,
    "irc": _irc,
    "xmpp-client": _xmpp(b"jabber:client"),
    "xmpp-server": _xmpp(b"jabber:server"),
    "ldap": _ldap,
    "postgresql": _postgresql,
    "mysql": _mysql,
    "rdp": _rdp,
}
