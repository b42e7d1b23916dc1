"""Whether remote desktops and file transfer refuse who has no password, and do without clear text (from outside)."""

from __future__ import annotations

import re
from typing import Final

from checks.network.asking import MADE_UP, Answered, heard, not_spoken, said
from checks.network.example_talks import at, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
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
    fact,
    holds,
    probe,
)

# --- FTP ------------------------------------------------------------------------------------------------------

#: A reply ends with a line that has a space behind its code (RFC 959 section 4.2).
_REPLY: Final = r"(?m)^\d{3} [^\n]*\n"
#: The password of a guest is an address of mail (RFC 1635 section 5).
_GUESTS_WORD: Final = "keurmeester@keurmeester.invalid"
_LOGGED_IN: Final = frozenset({"230", "232"})
_GO_ON: Final = frozenset({"331", "332"})
#: Not logged in (RFC 959), denied for want of protection (RFC 2228), denied at all. Never 500: that is a fault.
_REFUSES: Final = frozenset({"430", "530", "532", "533", "534", "550"})
#: Full for now, which ProFTPD says with 530.
_FULL: Final = re.compile(r"maximum|too many", re.IGNORECASE)
#: Denied for policy reasons (RFC 2228): IIS. The others say it in words: vsftpd and ProFTPD, Pure-FTPd, FileZilla.
_POLICY: Final = "534"
_FOR_WANT_OF_TLS: Final = re.compile(
    r"encrypt|\bTLS\b|\bSSL\b|clear-?text|AUTH first|anonymous only", re.IGNORECASE
)


@fact
class FtpPort:
    """What an FTP server does with a made-up name in the clear, and whether it offers TLS (AUTH TLS).

    ``wants_tls``: it refuses that name for want of TLS, or lets nobody in by name at all.
    """

    port: int
    server_name: str
    offers_tls: bool
    wants_tls: bool
    said: str

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@fact
class FtpGuest(Answered):
    """What an FTP server does with ``anonymous``, in the clear and over TLS when it offers that."""


def _guest(number: int, server_name: str, over_tls: bool) -> Dialogue:
    return Dialogue(
        purpose=f"FTP: anonymous{' over TLS' if over_tls else ''}",
        port=number,
        turns=(
            Say(until=_REPLY),
            *((Say("AUTH TLS\r\n", until=_REPLY, secure=True),) if over_tls else ()),
            Say("USER anonymous\r\n", until=_REPLY),
            Say(f"PASS {_GUESTS_WORD}\r\n", until=_REPLY),
            Say("QUIT\r\n", until="^"),
        ),
        server_name=server_name,
        impact=Impact.TRY,
    )


def _ftp(purpose: str, words: str, impact: Impact) -> Each:
    return Each(
        OpenPort,
        lambda port: Dialogue(
            purpose=f"FTP: {purpose}", port=port.number, turns=(Say(until=_REPLY), Say(f"{words}\r\n", until=_REPLY)),
            impact=impact,
        ),
        when=lambda port: port.service == "ftp",
    )  # fmt: skip


@probe(
    "outside",
    offer=_ftp("is TLS offered", "AUTH TLS", Impact.LOOK),
    name=_ftp("a made-up name in the clear", f"USER {MADE_UP}", Impact.TRY),
)
def ftp_port(offer: Raw, name: Raw, port: OpenPort) -> FtpPort:
    """RFC 959 (replies), RFC 4217 section 4 (AUTH TLS is answered with 234)."""
    offered, named = heard(offer), heard(name)
    answer, words = _code(named, 1), _line(named, 1)
    wants_tls = answer == _POLICY or (
        answer not in _GO_ON | _LOGGED_IN and _FOR_WANT_OF_TLS.search(words) is not None
    )
    if not wants_tls and answer not in _GO_ON | _LOGGED_IN:
        # It may refuse whom it does not know before it asks for a password, and ask those it knows.
        raise NotUnderstood(f"it does not say whether it wants TLS: {words}")
    return FtpPort(port.number, port.server_name, _code(offered, 1) == "234", wants_tls, words)


@probe(
    "outside",
    clear=Each(FtpPort, lambda port: _guest(port.port, "", over_tls=False)),
    secured=Each(FtpPort, lambda port: _guest(port.port, port.server_name, over_tls=port.offers_tls)),
)
def ftp_guest(clear: Raw, secured: Raw, port: FtpPort) -> FtpGuest:
    """The reply to USER, or to PASS when that was asked for. Without TLS the two are one."""
    asked = [(heard(clear), 1), (heard(secured), 2 if port.offers_tls else 1)]
    outcomes = [_let_in(exchange, turn) for exchange, turn in asked]
    refused = not any(outcomes)
    exchange, turn = asked[outcomes.index(True)] if not refused else asked[0]
    return FtpGuest(
        port.port, refused, _line(exchange, turn if _code(exchange, turn) not in _GO_ON else turn + 1)
    )


def _code(exchange: Exchange, turn: int) -> str:
    """The code of a reply. Raises NotUnderstood or Absent when there is none, or the server does not greet as one."""
    if not exchange.turns or not re.match(rb"220[ -]", exchange.turns[0].received):
        raise not_spoken(exchange, "FTP or SMTP")
    if len(exchange.turns) <= turn:
        raise NotUnderstood(f"the server ended it early: {said(exchange)}")
    found = re.search(rb"^(\d{3}) [^\n]*\n", exchange.turns[turn].received, re.MULTILINE)
    if not found:
        raise NotUnderstood(f"no reply in FTP: {exchange.turns[turn].received[:60]!r}")
    return found[1].decode()


def _line(exchange: Exchange, turn: int) -> str:
    text = exchange.turns[turn].received[:120].decode("latin-1").strip()
    return "".join(one if one.isprintable() else " " for one in text)


def _let_in(exchange: Exchange, turn: int) -> bool:
    if _code(exchange, turn) in _GO_ON:
        turn += 1
    code, words = _code(exchange, turn), _line(exchange, turn)
    if code not in _REFUSES | _LOGGED_IN or (code in _REFUSES and _FULL.search(words)):
        raise NotUnderstood(f"neither in nor out: {words}")
    return code in _LOGGED_IN


# --- VNC ------------------------------------------------------------------------------------------------------

#: Security types (RFC 6143 section 7.1.2, and the registry at github.com/rfbproto): nothing asked; a password that is
#: answered in the clear; TLS with types of its own inside.
_NONE, _PASSWORD, _VENCRYPT = 1, 2, 19
#: The whole session is encrypted: RA2 with 128 and 256 bits, TLS. What is asked within the last is only told there; of
#: Vino, as it comes, nothing.
_TLS: Final = 18
_ENCRYPTED: Final = frozenset({5, _TLS, 129})
#: Somebody has to prove who he is, and all is in the clear afterwards: RA2ne twice, SASL, MD5, Diffie-Hellman of Apple.
_PROVED: Final = frozenset({_PASSWORD, 6, 20, 21, 30, 130})
#: Within VeNCrypt: a name and password in the clear; nothing asked over TLS, without and with a certificate. A smaller
#: number is the type of that number, without TLS.
_PLAIN, _TLS_NONE, _X509_NONE = 256, 257, 260
_WITHIN: Final = frozenset(range(256, 265))


@fact
class VncSecurity:
    """The ways in that a VNC server offers: security types, and those within VeNCrypt."""

    port: int
    types: tuple[int, ...]
    within: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.port}/tcp"

    @property
    def all(self) -> frozenset[int]:
        """Every way in."""
        return frozenset(self.types) - {_VENCRYPT} | frozenset(self.within)

    @property
    def shown(self) -> str:
        """For an observation."""
        inside = f", within VeNCrypt {', '.join(map(str, self.within))}" if self.within else ""
        return f"security types {', '.join(map(str, self.types))}{inside}"


@probe(
    "outside",
    security=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="VNC: which ways in",
            port=port.number,
            turns=(
                Say(until=r"^RFB \d{3}\.\d{3}\n"),
                Say("RFB 003.008\n", frame=(0, 1, 1), copy=((0, 0, 12, 0),)),
                Say(chr(_VENCRYPT), quiet=1.0),
                Say("\0\2", quiet=1.0),
            ),
            impact=Impact.KNOCK,
        ),
        when=lambda port: port.service == "vnc",
    ),
)
def vnc_security(security: Raw, port: OpenPort) -> VncSecurity:
    """RFC 6143 section 7.1: versions, then a list of types (3.3: one type in four bytes); VeNCrypt 0.2 its own list."""
    exchange = heard(security)
    if not exchange.turns or not exchange.turns[0].received.startswith(b"RFB "):
        raise not_spoken(exchange, "VNC")
    if len(exchange.turns) < 2 or not (offer := exchange.turns[1].received):
        raise NotUnderstood(f"no security types: {said(exchange)}")
    if exchange.turns[0].received[:11] < b"RFB 003.007":
        types: tuple[int, ...] = (int.from_bytes(offer[:4], "big"),) if len(offer) >= 4 else ()
    else:
        types = tuple(offer[1 : 1 + offer[0]]) if len(offer) > offer[0] else ()
    if not types or 0 in types:
        raise NotUnderstood(f"it offers no way in now: {said(exchange)}")
    return VncSecurity(port.number, types, _vencrypt(exchange) if _VENCRYPT in types else ())


def _vencrypt(exchange: Exchange) -> tuple[int, ...]:
    """After the version (two bytes) and its echo: 0 for yes, how many types, four bytes each."""
    answers = [turn.received for turn in exchange.turns[2:4]]
    if len(answers) < 2 or answers[0] != b"\0\2" or len(answers[1]) < 2 or answers[1][0]:
        raise NotUnderstood("VeNCrypt is offered, and does not say what is within")
    listed = answers[1][2:]
    if not answers[1][1] or len(listed) < 4 * answers[1][1]:
        raise NotUnderstood("the list within VeNCrypt is cut off")
    return tuple(int.from_bytes(listed[at_ : at_ + 4], "big") for at_ in range(0, 4 * answers[1][1], 4))


def _known(security: VncSecurity) -> None:
    """Raises NotUnderstood when there is a way in of which is not known what it asks."""
    strange = security.all - _PROVED - _ENCRYPTED - _WITHIN - {_NONE}
    if strange:
        raise NotUnderstood(
            f"{security.shown}: what {', '.join(map(str, sorted(strange)))} asks is not known"
        )


# --- X11 ------------------------------------------------------------------------------------------------------


@fact
class X11Setup(Answered):
    """What an X server did with a client that shows no cookie."""


#: Why an X server shuts out who shows no cookie: os/auth.c and os/access.c of X.Org. Not: it has its most clients.
_NO_COOKIE: Final = re.compile(r"No protocol specified|authoriz", re.IGNORECASE)


@probe(
    "outside",
    setup=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="X11: a connection without a cookie", port=port.number,
            turns=(Say("l\0\x0b\0\0\0\0\0\0\0\0\0", until="^.{8}"),), impact=Impact.KNOCK,
        ),
        when=lambda port: port.service == "x11",
    ),
)  # fmt: skip
def x11_setup(setup: Raw, port: OpenPort) -> X11Setup:
    """X Window System Protocol, section 8 "Connection Setup": 0 failed, 1 success, 2 authenticate; then the version."""
    exchange = heard(setup)
    answer = exchange.received
    if len(answer) < 8 or answer[0] > 2 or (answer[0] < 2 and answer[2:4] != b"\x0b\0"):
        raise not_spoken(exchange, "X11")
    reason = "".join(chr(one) if 32 <= one < 127 else " " for one in answer[8 : 8 + answer[1]]).strip()
    if answer[0] == 0 and not _NO_COOKIE.search(reason):
        raise NotUnderstood(f"refused, and not for want of a cookie: {reason}")
    outcome = ("refused", "let in", "asks for more")[answer[0]]
    return X11Setup(
        port.number, answer[0] != 1, f"{outcome} {reason if answer[0] == 0 else ''}".strip(), True
    )


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "refused-remote.ftp-anonymous",
    principle=(FAIL_SECURE, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="FTP weigert wie zich 'anonymous' noemt",
    why_nl="Wie anoniem binnenkomt, haalt op wat er per ongeluk staat, en gebruikt de server als doorgeefluik.",
    fix="sed -i 's/^anonymous_enable=.*/anonymous_enable=NO/' /etc/vsftpd.conf\nsystemctl restart vsftpd",
    verify="curl --user anonymous:keurmeester@keurmeester.invalid ftp://HOST/",
    references=("RFC 1635", "vsftpd.conf(5): anonymous_enable"),
)
def ftp_anonymous_refused(guest: FtpGuest) -> Verdict:
    """FTP refuses who calls himself 'anonymous'.

    Who comes in anonymously fetches what was left by accident, and uses the server to pass things on.
    """
    return holds(guest.refused, guest.said, "530")


@check(
    "refused-remote.ftp-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="FTP vraagt geen wachtwoord zonder TLS",
    why_nl="Bij gewoon FTP gaan naam, wachtwoord en bestanden leesbaar over het netwerk.",
    fix="printf 'ssl_enable=YES\\nforce_local_logins_ssl=YES\\nforce_local_data_ssl=YES\\n' >> /etc/vsftpd.conf\n"
    "systemctl restart vsftpd",
    verify="curl --user keurmeester-test:x ftp://HOST/",
    references=("RFC 4217 section 10", "vsftpd.conf(5): force_local_logins_ssl", "BIO2 1.3, 8.21.04"),
)
def ftp_clear_text_refused(port: FtpPort) -> Verdict:
    """FTP asks for no password without TLS.

    With plain FTP name, password and files go over the network for all to read.
    """
    offer = "TLS offered" if port.offers_tls else "no TLS offered"
    return holds(port.wants_tls, f"{offer}; USER in the clear: {port.said}", "refused for want of TLS")


@check(
    "refused-remote.vnc-without-password",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="VNC laat niemand binnen zonder wachtwoord",
    why_nl="Wie zonder wachtwoord binnenkomt, zit achter het toetsenbord van wie daar is ingelogd.",
    fix="vncpasswd\necho '$SecurityTypes = \"X509Vnc,TLSVnc\";' >> /etc/tigervnc/vncserver-config-mandatory",
    verify="nmap -p 5900 --script vnc-info HOST",
    references=("RFC 6143 section 7.2.1", "Xvnc(1): SecurityTypes"),
)
def vnc_password_demanded(security: VncSecurity) -> Verdict:
    """VNC lets nobody in without a password.

    Who comes in without a password sits at the keyboard of whoever is logged in there.
    """
    open_ = bool({_NONE, _TLS_NONE, _X509_NONE} & security.all)
    if not open_:
        _known(security)
        if _TLS in security.all:
            raise NotUnderstood(f"{security.shown}: what is asked within TLS is not told")
    return holds(not open_, security.shown, "none that asks nothing")


@check(
    "refused-remote.vnc-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="VNC praat alleen versleuteld",
    why_nl="Zonder versleuteling leest wie meeluistert het beeld en elke toetsaanslag mee, ook wachtwoorden.",
    fix="echo '$SecurityTypes = \"X509Vnc,X509Plain\";' >> /etc/tigervnc/vncserver-config-mandatory",
    verify="nmap -p 5900 --script vnc-info HOST",
    references=("RFC 6143 section 9", "Xvnc(1): SecurityTypes", "BIO2 1.3, 8.21.04"),
)
def vnc_clear_text_refused(security: VncSecurity) -> Verdict:
    """VNC speaks encrypted only.

    Without encryption whoever listens in reads the picture and every key that is pressed, passwords too.
    """
    in_clear = security.all & (_PROVED | {_NONE, _PLAIN})
    if not in_clear:
        _known(security)
    return holds(not in_clear, security.shown, "VeNCrypt, TLS or RA2 alone")


@check(
    "refused-remote.x11-without-cookie",
    principle=(FAIL_SECURE, DEFAULT_DENY),
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="De X-server weigert wie geen cookie toont",
    why_nl="Wie bij een X-server binnen is, leest elke toetsaanslag en elk venster, en bedient ze.",
    fix="xhost -\nsed -i 's/-listen tcp/-nolisten tcp/' /etc/X11/xinit/xserverrc",
    verify="DISPLAY=HOST:0 xdpyinfo",
    references=("Xsecurity(7)", "X Window System Protocol, section 8"),
)
def x11_refused(setup: X11Setup) -> Verdict:
    """The X server refuses who shows no cookie.

    Who is inside an X server reads every key and every window, and operates them.
    """
    return holds(setup.refused, setup.said, "refused")


# --- examples -------------------------------------------------------------------------------------------------

_HELLO: Final = b"220 (vsFTPd 3.0.3)\r\n"
_ASKS: Final = b"331 Please specify the password.\r\n"
_ENCRYPT: Final = b"530 Non-anonymous sessions must use encryption.\r\n"


def _ftp_seen(
    name: bytes,
    *clear: bytes,
    auth: bytes = b"530 Please login with USER and PASS.\r\n",
    tls: tuple[bytes, ...] = (),
) -> dict[str, object]:
    plain = talk(_HELLO, *((b"", one) for one in clear))
    return at(
        "ftp",
        offer=talk(_HELLO, (b"AUTH TLS\r\n", auth)),
        name=talk(_HELLO, (b"USER keurmeester-test\r\n", name)),
        clear=plain,
        secured=talk(_HELLO, (b"AUTH TLS\r\n", auth), *((b"", one) for one in tls)) if tls else plain,
    )


_OFFERED: Final = b"234 Proceed with negotiation.\r\n"
_INCORRECT: Final = b"530 Login incorrect.\r\n"
_PROFTPD_FULL: Final = b"530 Sorry, the maximum number of allowed clients (10) are already connected.\r\n"
_IN: Final = b"230 Login successful.\r\n"
_NOT_THERE: Final = at("ftp", offer=talk(b"SSH-2.0-x\r\n"), name=talk(b"SSH-2.0-x\r\n"))

examples(
    ftp_anonymous_refused,
    passes=[
        _ftp_seen(_ASKS, _ASKS, _INCORRECT),
        _ftp_seen(_ENCRYPT, b"530 no\r\n", auth=_OFFERED, tls=(_ASKS, _INCORRECT)),
    ],
    fails=[
        _ftp_seen(_ASKS, _ASKS, _IN),
        _ftp_seen(_ASKS, _IN),
        _ftp_seen(_ENCRYPT, b"530 no\r\n", auth=_OFFERED, tls=(_ASKS, b"230-Hello\r\n230 and welcome\r\n")),
    ],
    unknown=[
        _ftp_seen(_ASKS, b"421 Too many users.\r\n"),
        _ftp_seen(_ASKS, _ASKS, _PROFTPD_FULL),
        _ftp_seen(_ASKS, _ASKS),
        _ftp_seen(_ASKS, _ASKS, b"500 OOPS: cannot change directory:/nonexistent\r\n"),
        _ftp_seen(b"421 Too many users.\r\n", _ASKS),
    ],
    notapplicable=[at("http"), _NOT_THERE],
)
examples(
    ftp_clear_text_refused,
    passes=[_ftp_seen(_ENCRYPT, auth=_OFFERED), _ftp_seen(b"530 This FTP server is anonymous only.\r\n")],
    fails=[_ftp_seen(_ASKS), _ftp_seen(_ASKS, auth=_OFFERED)],
    unknown=[_ftp_seen(b"421 Too many users.\r\n"), _ftp_seen(b"530 Permission denied.\r\n", auth=_OFFERED)],
)


def _vnc(types: bytes, *later: bytes, version: bytes = b"RFB 003.008\n") -> dict[str, object]:
    return at("vnc", security=talk(version, (version, types), *((b"", one) for one in later), end="closed"))


_WITH: Final = (b"\0\2", b"\0\2" + (258).to_bytes(4, "big") + (261).to_bytes(4, "big"))
_WITH_PLAIN: Final = (b"\0\2", b"\0\2" + (258).to_bytes(4, "big") + (2).to_bytes(4, "big"))
_WITH_NONE: Final = (b"\0\2", b"\0\1" + (257).to_bytes(4, "big"))

examples(
    vnc_password_demanded,
    passes=[_vnc(b"\x01\x02"), _vnc(b"\x01\x13", *_WITH), _vnc(b"\0\0\0\x02", version=b"RFB 003.003\n")],
    fails=[
        _vnc(b"\x02\x01\x02"),
        _vnc(b"\x01\x13", *_WITH_NONE),
        _vnc(b"\0\0\0\x01", version=b"RFB 003.003\n"),
    ],
    unknown=[
        _vnc(b"\x02\x02\x10"),
        _vnc(b"\x01\x12"),
        _vnc(b"\x01\x13"),
        _vnc(b"\x01\x13", b"\0\2", b"\0\2\0\0"),
        _vnc(b"\0\0\0\0\x1aToo many security failures"),
        _vnc(b"", version=b"RFB 003.008\n"),
    ],
    notapplicable=[at("http"), at("vnc", security=talk(b"SSH-2.0-x\r\n"))],
)
examples(
    vnc_clear_text_refused,
    passes=[_vnc(b"\x01\x13", *_WITH), _vnc(b"\x01\x05"), _vnc(b"\x01\x12")],
    fails=[
        _vnc(b"\x02\x13\x02", *_WITH),
        _vnc(b"\x01\x02"),
        _vnc(b"\x01\x01"),
        _vnc(b"\x01\x13", *_WITH_PLAIN),
    ],
    unknown=_vnc(b"\x02\x13\x10", *_WITH),
)
_X: Final = b"l\0\x0b\0\0\0\0\0\0\0\0\0"
_NO_PROTOCOL: Final = b"\0\x16\x0b\0\0\0\6\0No protocol specified\n"
examples(
    x11_refused,
    passes=[at("x11", setup=talk((_X, _NO_PROTOCOL))), at("x11", setup=talk((_X, b"\2\0\0\0\0\0\0\0")))],
    fails=at("x11", setup=talk((_X, b"\1\0\x0b\0\0\0\x17\x02"))),
    unknown=[
        at("x11", setup=talk((_X, b""), end="closed")),
        at("x11", setup=talk((_X, b"\0\x21\x0b\0\0\0\x09\0Maximum number of clients reached\0\0\0"))),
        at("x11", setup=talk((_X, b"\1\0\x0a\0\0\0\x17\x02"))),
    ],
    notapplicable=at("http"),
)
