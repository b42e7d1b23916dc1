"""What servers tell a stranger of themselves before anything is asked: their greeting.

A version number in a greeting saves an attacker the search: known holes are looked up by it. Only the greeting is read;
an FTP server is asked whether it can do TLS.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Final

from checks.linux.ssh import drop_in
from checks.network.ports import TLS_PORTS, OpenPort
from scanner import (
    DATA_FIRST,
    SECURE_DEFAULT,
    Absent,
    Dialogue,
    Each,
    Exchange,
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
    visible,
)

#: Services that speak first, and when their greeting is complete.
GREETINGS: Final = {
    "ssh": r"(?m)^SSH-[^\n]*\n",  # RFC 4253 section 4.2: other lines may come before it
    "smtp": r"(?m)^\d{3} [^\n]*\n",  # RFC 5321 section 4.2.1
    "submission": r"(?m)^\d{3} [^\n]*\n",
    "smtps": r"(?m)^\d{3} [^\n]*\n",
    "imap": r"\n",  # RFC 9051 section 7.1
    "imaps": r"\n",
    "pop3": r"\n",  # RFC 1939 section 4
    "pop3s": r"\n",
    "sieve": r"(?m)^(?:OK|NO|BYE)[^\n]*\n",  # RFC 5804 section 1.7
    "nntp": r"\n",  # RFC 3977 section 5.1
    "ftp": r"(?m)^\d{3} [^\n]*\n",  # RFC 959 section 4.2
}
_MAIL: Final = frozenset({"smtp", "submission", "smtps", "imap", "imaps", "pop3", "pop3s", "sieve", "nntp"})
#: How a greeting of each begins.
_BEGINS: Final = {
    "ssh": r"SSH-", "smtp": r"[245]\d\d[ -]", "submission": r"[245]\d\d[ -]", "smtps": r"[245]\d\d[ -]",
    "imap": r"\* (?:OK|PREAUTH|BYE)\b", "imaps": r"\* (?:OK|PREAUTH|BYE)\b", "pop3": r"(?:\+OK|-ERR)\b",
    "pop3s": r"(?:\+OK|-ERR)\b", "sieve": r'(?:"IMPLEMENTATION"|OK\b|NO\b|BYE\b)', "nntp": r"(?:20[01]|40\d|502)\b",
    "ftp": r"[124]\d\d[ -]",
}  # fmt: skip
#: Turned away, for now or because of who we are: others may be greeted otherwise.
_TURNS_AWAY: Final = re.compile(r"(?m)^(?:[45]\d\d[ -]|\* BYE\b|-ERR\b|NO\b|BYE\b)")
#: Host '..' is not allowed to connect (MariaDB error codes): the one refusal that is meant for strangers.
_NOT_ALLOWED: Final = 1130
_VERSION: Final = re.compile(r"(?<![\w.])v?\d+(?:\.\d+)+[\w.+~-]*")


@fact
class SshGreeting:
    """What an SSH server said first."""

    port: str
    text: str

    def __str__(self) -> str:
        return self.port


@fact
class MailGreeting:
    """What a mail server said first."""

    port: str
    text: str

    def __str__(self) -> str:
        return self.port


@fact
class FtpGreeting:
    """What an FTP server said first, and whether it takes AUTH TLS (None: not understood)."""

    port: str
    text: str
    takes_tls: bool | None

    def __str__(self) -> str:
        return self.port


@fact
class DatabaseGreeting:
    """What a MySQL or MariaDB server said first: its version, or why it turns us away."""

    port: str
    version: str
    refusal: str

    def __str__(self) -> str:
        return self.port


def _dialogue(port: OpenPort) -> Dialogue:
    turns = [Say(until=GREETINGS[port.service])]
    if port.service == "ftp":
        turns.append(Say("AUTH TLS\r\n", until=r"(?m)^\d{3} [^\n]*\n"))  # RFC 4217 section 4
    return Dialogue(
        purpose=f"greeting of {port.service}",
        port=port.number,
        turns=tuple(turns),
        secure=port.service in _MAIL and port.number in TLS_PORTS,
        timeout=15,
    )


def _said(greets: Raw, port: OpenPort) -> Exchange:
    """The conversation, when it began with a greeting of that service."""
    (talk,) = exchanges(greets)
    if talk.end == "refused":
        raise Absent("nothing listens any more")
    text = talk.turns[0].received.decode("latin-1") if talk.turns else ""
    if not re.search(rf"(?m)^{_BEGINS[port.service]}", text):
        raise NotUnderstood(f"no greeting of {port.service}: {visible(text[:60]) or 'nothing'} ({talk.end})")
    return talk


def _text(talk: Exchange) -> str:
    return talk.turns[0].received.decode("latin-1")


@probe("outside", greets=Each(OpenPort, _dialogue, when=lambda port: port.service == "ssh"))
def ssh_greeting(greets: Raw, port: OpenPort) -> SshGreeting:
    """RFC 4253 section 4.2."""
    return SshGreeting(str(port), _text(_said(greets, port)))


@probe("outside", greets=Each(OpenPort, _dialogue, when=lambda port: port.service in _MAIL))
def mail_greeting(greets: Raw, port: OpenPort) -> MailGreeting:
    """RFC 5321, 9051, 1939, 5804 and 3977, as named above."""
    return MailGreeting(str(port), _text(_said(greets, port)))


@probe("outside", greets=Each(OpenPort, _dialogue, when=lambda port: port.service == "ftp"))
def ftp_greeting(greets: Raw, port: OpenPort) -> FtpGreeting:
    """The second turn is the answer to AUTH TLS: 234 goes on; 431 and 5xx do not (RFC 4217 section 4, RFC 959)."""
    talk = _said(greets, port)
    takes: bool | None = None
    if len(talk.turns) > 1 and (code := re.search(rb"(?m)^(\d{3}) ", talk.turns[1].received)):
        takes = True if code[1] == b"234" else False if code[1] == b"431" or code[1][:1] == b"5" else None
    return FtpGreeting(str(port), _text(talk), takes)


@probe(
    "outside",
    greets=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="greeting of mysql", port=port.number, turns=(Say(frame=(0, -3, 4)),), timeout=15
        ),
        when=lambda port: port.service == "mysql",
    ),
)
def database_greeting(greets: Raw, port: OpenPort) -> DatabaseGreeting:
    """MySQL client/server protocol: Protocol::HandshakeV10 or ERR_Packet, behind a header of four bytes."""
    (talk,) = exchanges(greets)
    if talk.end == "refused":
        raise Absent("nothing listens any more")
    packet = talk.received[4:]
    match packet[:1]:
        case b"\x0a" if b"\0" in packet[1:64]:
            version = packet[1 : packet.index(b"\0")].decode("latin-1")
            # Before version 11 MariaDB puts this in front, for old servers that replicate from it.
            return DatabaseGreeting(str(port), version.removeprefix("5.5.5-"), "")
        case b"\xff" if int.from_bytes(packet[1:3], "little") == _NOT_ALLOWED:
            return DatabaseGreeting(str(port), "", packet[3:].decode("latin-1"))
        case _:
            raise NotUnderstood(
                f"no greeting of mysql, or turned away for now: {visible(talk.received[:60].decode('latin-1'))}"
            )


def _version(text: str) -> str:
    """The first version number in a greeting; what stands between brackets is an address or a list of abilities."""
    found = _VERSION.search(re.sub(r"<[^>]*>|\[[^\]]*\]", " ", text))
    return found[0].rstrip(".") if found else ""


def _tells_no_version(text: str) -> Verdict:
    version = _version(text)
    shown = visible(text.strip())[:200]
    if not version and _TURNS_AWAY.search(text):
        raise NotUnderstood(f"it turns us away; how it greets others is not known: {shown}")
    return holds(not version, f"{shown}" + (f" tells {version}" if version else ""), "no version number")


_READ: Final = "nc -w 5 HOST PORT </dev/null"
_ON: Final = "CWE-200; OWASP WSTG-INFO-02, fingerprinting a server"


@check(
    "banners.ssh-tells-no-distribution",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    title_nl="De SSH-server vertelt een vreemde niet welke distributie en welk pakket er draait",
    why_nl=(
        "Daarmee weet een aanvaller tot op de revisie welke gaten nog open zijn. De versie van OpenSSH zelf hoort bij"
        " het protocol en is niet te verbergen."
    ),
    fix=drop_in("DebianBanner no"),
    verify=_READ,
    references=("sshd_config(5) DebianBanner, VersionAddendum", "RFC 4253 section 4.2"),
)
def ssh_tells_no_distribution(greeting: SshGreeting) -> Verdict:
    """The SSH server does not tell a stranger which distribution and package it is.

    With it an attacker knows to the revision which holes are still open. The version of OpenSSH itself is part of the
    protocol and cannot be hidden.
    """
    line = re.search(r"(?m)^SSH-(?:2\.0|1\.99)-(\S+)(?: ([^\r\n]*))?", greeting.text)
    if line is None:
        raise NotUnderstood(f"not a line of SSH 2: {visible(greeting.text.strip())[:200]}")
    comment = (line[2] or "").strip()
    return holds(not comment, visible(line[0]), "no comment behind the version")


@check(
    "banners.mail-tells-no-version",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    title_nl="De mailserver noemt in zijn begroeting geen versie",
    why_nl="Een versienummer bespaart een aanvaller het zoeken: bekende gaten staan op versie gesorteerd.",
    fix="# Postfix: smtpd_banner = $myhostname ESMTP    Exim: smtp_banner = $smtp_active_hostname ESMTP\n"
    "# Dovecot: login_greeting = ready    Cyrus: servername and serverinfo: off\nsystemctl reload NAME",
    verify=_READ,
    references=("postconf(5) smtpd_banner", _ON),
)
def mail_tells_no_version(greeting: MailGreeting) -> Verdict:
    """The mail server names no version in its greeting.

    A version number saves an attacker the search: known holes are sorted by version.
    """
    # Behind the code of SMTP and NNTP stands the server's own name, which may be an address: RFC 5321 section 4.2.
    return _tells_no_version(re.sub(r"(?m)^(\d{3}[ -])\S+", r"\1", greeting.text))


@check(
    "banners.ftp-tells-no-version",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    title_nl="De FTP-server noemt in zijn begroeting geen versie",
    why_nl="Een versienummer bespaart een aanvaller het zoeken: bekende gaten staan op versie gesorteerd.",
    fix='# vsftpd: ftpd_banner=Welcome    ProFTPD: ServerIdent on "Welcome"\nsystemctl restart vsftpd',
    verify=_READ,
    references=("vsftpd.conf(5) ftpd_banner", _ON),
)
def ftp_tells_no_version(greeting: FtpGreeting) -> Verdict:
    """The FTP server names no version in its greeting.

    A version number saves an attacker the search: known holes are sorted by version.
    """
    return _tells_no_version(greeting.text)


@check(
    "banners.ftp-offers-tls",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Een FTP-server biedt TLS aan",
    why_nl="Zonder TLS gaan wachtwoord en bestanden leesbaar over het netwerk.",
    fix="# vsftpd.conf: ssl_enable=YES, force_local_logins_ssl=YES, force_local_data_ssl=YES\nsystemctl restart vsftpd",
    verify="openssl s_client -connect HOST:21 -starttls ftp </dev/null",
    advice="Better still, replace it by SFTP, which comes with SSH.",
    advice_nl="Beter nog: vervang hem door SFTP, dat bij SSH hoort.",
    references=("RFC 4217 section 4", "vsftpd.conf(5) ssl_enable"),
)
def ftp_offers_tls(greeting: FtpGreeting) -> Verdict:
    """An FTP server offers TLS.

    Without TLS password and files go readable over the network.
    """
    if greeting.takes_tls is None:
        raise NotUnderstood("the answer to AUTH TLS is none of RFC 4217")
    return holds(
        greeting.takes_tls, f"AUTH TLS {'taken' if greeting.takes_tls else 'refused'}", "AUTH TLS taken"
    )


@check(
    "banners.database-tells-no-version",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    title_nl="De database vertelt een vreemde haar versie niet",
    why_nl=(
        "MySQL en MariaDB noemen hun versie tot op het pakket, nog voor iemand zich aanmeldt: bekende gaten staan op"
        " versie gesorteerd."
    ),
    fix="# MariaDB, /etc/mysql/mariadb.conf.d/60-version.cnf: [mariadbd] version=10-db\nsystemctl restart mariadb",
    verify=_READ,
    advice="Better still, let only the application reach the database: then there is no stranger to tell.",
    advice_nl="Beter nog: laat alleen de toepassing bij de database, dan is er geen vreemde om het aan te vertellen.",
    references=("MariaDB server system variables, version", _ON),
)
def database_tells_no_version(greeting: DatabaseGreeting) -> Verdict:
    """The database does not tell a stranger its version.

    MySQL and MariaDB name their version to the package before anyone logs in: known holes are sorted by version.
    """
    version = _version(greeting.version)
    observed = visible(greeting.version or greeting.refusal)[:200]
    return holds(not version, observed, "no version number, or no way in")


# --- examples -------------------------------------------------------------------------------------------------


def _open(number: int) -> str:
    seen = {"open": [number], "refused": [], "silent": [], "failed": {}}
    return json.dumps({"from": "", "addresses": {"192.0.2.10": seen}})


def _greets(number: int, *turns: bytes, end: str = "done") -> dict[str, str]:
    heard = [["", base64.b64encode(turn).decode()] for turn in turns]
    return {"swept": _open(number), "greets": json.dumps({"ask": "x", "end": end, "turns": heard}) + "\n"}


_TELNET: Final = b"\xff\xfd\x18\xff\xfd \xff\xfd#\xff\xfd'"
examples(
    ssh_tells_no_distribution,
    passes=_greets(22, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    fails=[_greets(22, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u9\r\n"), _greets(22, b"Hi\r\nSSH-2.0-x y\r\n")],
    unknown=[_greets(22, _TELNET), _greets(22, end="closed")],
    notapplicable=[_greets(21, b"220 Welcome\r\n"), {"swept": _open(443)}],
)
examples(
    mail_tells_no_version,
    passes=[
        _greets(25, b"220 mail.gemeente.example ESMTP Postfix (Debian/GNU)\r\n"),
        _greets(25, b"220-192.0.2.10 ESMTP\r\n220 mail2.v1.example ready\r\n"),
        _greets(110, b"+OK Dovecot ready. <26d.1.655f1f4a.kYx0@mail>\r\n"),
        _greets(143, b"* OK [CAPABILITY IMAP4rev1 LITERAL+ STARTTLS] Dovecot (Debian) ready.\r\n"),
    ],
    fails=[
        _greets(25, b"220 mail.gemeente.example ESMTP Exim 4.96 Tue, 21 Nov 2026 10:00:00 +0000\r\n"),
        _greets(25, b"220 m.example Microsoft ESMTP MAIL Service, Version: 10.0.14393.4169 ready\r\n"),
        _greets(143, b"* OK [CAPABILITY IMAP4rev1] Dovecot 2.3.19.1 ready\r\n"),
        _greets(143, b"* OK mail.gemeente.example Cyrus IMAP 3.6.1-Debian server ready\r\n"),
    ],
    unknown=[
        _greets(25, _TELNET),
        _greets(25, b"421 4.3.2 mail.gemeente.example Service not available\r\n", end="closed"),
        _greets(25, b"554 5.7.1 You are not allowed to connect.\r\n"),
        _greets(143, b"* BYE Too many connections\r\n", end="closed"),
    ],
    notapplicable=_greets(22, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
)
examples(
    ftp_tells_no_version,
    passes=_greets(21, b"220 Welcome\r\n", b"234 Proceed with negotiation.\r\n"),
    fails=_greets(21, b"220 (vsFTPd 3.0.3)\r\n", b"530 Please login with USER and PASS.\r\n"),
    unknown=[
        _greets(21, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        _greets(21, b"421 There are too many connected users, please try later.\r\n", end="closed"),
    ],
    notapplicable={"swept": _open(443)},
)
examples(
    ftp_offers_tls,
    passes=_greets(21, b"220 Welcome\r\n", b"234 Proceed with negotiation.\r\n"),
    fails=_greets(21, b"220 (vsFTPd 3.0.3)\r\n", b"530 Please login with USER and PASS.\r\n"),
    unknown=[_greets(21, b"220 Welcome\r\n", end="closed"), _greets(21, b"220 Welcome\r\n", b"abc\r\n")],
    notapplicable=_greets(22, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
)
_HANDSHAKE: Final = b"\x31\0\0\0\x0a%b\0\x08\0\0\0`7Hx&+}v\0\xfe\xf7-\x02\0\xff\x81\x15" + bytes(18)
examples(
    database_tells_no_version,
    passes=[
        _greets(3306, _HANDSHAKE % b"5.5.5-10-db"),
        _greets(
            3306, b"\x48\0\0\0\xff\x6a\x04Host '192.0.2.9' is not allowed to connect to this MariaDB server"
        ),
    ],
    fails=[
        _greets(3306, _HANDSHAKE % b"5.5.5-10.11.14-MariaDB-0+deb12u2"),
        _greets(3306, _HANDSHAKE % b"8.0.40"),
    ],
    unknown=[
        _greets(3306, _TELNET),
        _greets(3306, end="closed"),
        _greets(3306, b"\x17\0\0\0\xff\x10\x04Too many connections"),
    ],
    notapplicable={"swept": _open(443)},
)
