"""Whether a mailbox server (IMAP, POP3) takes a password over an open line: what it says itself to offer before TLS."""

from __future__ import annotations

import re
from typing import Final

from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort
from scanner import (
    FAIL_SECURE,
    Dialogue,
    Each,
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

#: The greeting, and what to ask: RFC 9051 section 6.1.1 and RFC 2449 section 5.
_ASKED: Final = {
    "imap": (
        Say(until=r"^\* [^\n]*\n"),
        Say("a1 CAPABILITY\r\n", until=r"(?:^|\n)a1 [^\n]*\n"),
        Say("a2 LOGOUT\r\n", until=r"(?:^|\n)a2 [^\n]*\n"),
    ),
    "pop3": (
        Say(until=r"^[+-][^\n]*\n"),
        Say("CAPA\r\n", until=r"^-ERR[^\n]*\n|\n\.\r?\n"),
        Say("QUIT\r\n", until=r"^[+-][^\n]*\n"),
    ),
}
#: SASL mechanisms that hand over the password itself.
_PLAIN: Final = frozenset({"PLAIN", "LOGIN"})


@fact
class MailboxDoor(OnTcp):
    """The ways in with a readable password that a mailbox server offers before TLS."""

    port: int
    readable: tuple[str, ...]


@probe(
    "outside",
    talk=Each(
        OpenPort,
        lambda port: Dialogue(purpose=f"{port.service} offer", port=port.number, turns=_ASKED[port.service]),
        when=lambda port: port.service in _ASKED and not port.tls,
    ),
)
def mailbox_door(talk: Raw, port: OpenPort) -> MailboxDoor:
    """The capabilities; a server that names none cannot be judged."""
    exchange = heard(talk)
    if len(exchange.turns) < 2:
        raise NotUnderstood("the server ended the conversation too early")
    said = exchange.turns[1].received.decode("ascii").upper()
    return MailboxDoor(port.number, _of_imap(said) if port.service == "imap" else _of_pop3(said))


def _of_imap(said: str) -> tuple[str, ...]:
    """LOGIN may be used unless LOGINDISABLED says otherwise (RFC 9051 section 6.2.3)."""
    listed = re.search(r"(?:^|\n)\* CAPABILITY ([^\r\n]*)", said)
    if listed is None or not re.search(r"(?:^|\n)A1 OK", said):
        raise NotUnderstood("no capabilities of an IMAP server")
    words = listed[1].split()
    mechanisms = [word for word in words if word.removeprefix("AUTH=") in _PLAIN and word.startswith("AUTH=")]
    return (*(() if "LOGINDISABLED" in words else ("LOGIN",)), *mechanisms)


def _of_pop3(said: str) -> tuple[str, ...]:
    """USER says that the command of that name may be used; SASL lists mechanisms (RFC 2449 sections 6.3 and 6.4)."""
    if not said.startswith("+OK") or not re.search(r"\n\.\r?\n\Z", said):
        raise NotUnderstood("the POP3 server does not say what it offers")
    words = [line.split() for line in said.splitlines()[1:] if line.strip()]
    mechanisms = [f"SASL {one}" for line in words if line[0] == "SASL" for one in line[1:] if one in _PLAIN]
    return (*("USER" for line in words if line == ["USER"]), *mechanisms)


@check(
    "mailbox.login-after-tls",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="mail",
    title_nl="De mailboxserver vraagt pas om een wachtwoord als de verbinding versleuteld is",
    why_nl="Wie op het netwerk meeleest, heeft anders het wachtwoord van de postbus.",
    fix="# Dovecot 2.4 and later: auth_allow_cleartext = no in the place of disable_plaintext_auth = yes\n"
    "printf 'ssl = required\\ndisable_plaintext_auth = yes\\n' > /etc/dovecot/conf.d/99-tls.conf\ndoveadm reload",
    verify="printf 'a1 CAPABILITY\\r\\na2 LOGOUT\\r\\n' | nc -q 3 HOST 143 | grep LOGINDISABLED",
    references=("RFC 8314 section 4.1", "RFC 9051 section 11.1", "Dovecot: disable_plaintext_auth"),
    advice="Or close ports 110 and 143, and let all use 993 and 995.",
    advice_nl="Of sluit poort 110 en 143, en laat iedereen 993 en 995 gebruiken.",
)
def login_after_tls(door: MailboxDoor) -> Verdict:
    """The mailbox server asks for a password only when the connection is encrypted.

    Whoever reads along on the network otherwise has the password of the mailbox.
    """
    observed = f"before TLS: {', '.join(door.readable)}" if door.readable else "no login before TLS"
    return holds(not door.readable, observed, "no login before TLS")


# --- examples: Dovecot 2.3 ------------------------------------------------------------------------------------


def _imap(words: bytes) -> dict[str, object]:
    said = b"* CAPABILITY IMAP4rev1 " + words + b"\r\na1 OK Pre-login capabilities listed.\r\n"
    return open_port(143, talk=talk(b"* OK Dovecot ready.\r\n", said, b"* BYE\r\na2 OK\r\n"))


def _pop3(said: bytes) -> dict[str, object]:
    return open_port(110, talk=talk(b"+OK Dovecot ready.\r\n", said, b"+OK\r\n"))


examples(
    login_after_tls,
    passes=[
        _imap(b"STARTTLS LOGINDISABLED"),
        _imap(b"STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256"),
        _pop3(b"+OK\r\nCAPA\r\nSTLS\r\nSASL\r\n.\r\n"),
    ],
    fails=[
        _imap(b"STARTTLS AUTH=PLAIN"),
        _imap(b"STARTTLS LOGINDISABLED AUTH=LOGIN"),
        _pop3(b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
    ],
    unknown=[
        _pop3(b"-ERR unknown command\r\n"),
        open_port(110, talk=talk(b"+OK ready.\r\n", b"+OK\r\nTOP\r\nUIDL\r\n", end="closed")),
        open_port(143, talk=talk(b"* OK ready\r\n", b"a1 BAD no\r\n")),
        open_port(143, talk=talk(b"* BYE too many\r\n", end="closed")),
    ],
    notapplicable=[open_port(993), open_port(143, talk=talk(end="refused"))],
)
