"""What a mail server refuses a stranger: to pass his mail on, to take a password over an open line, to tell names.

Asked are the greeting and what is offered, as any sending server does; then, over TLS where it is offered, one message
from nobody to an address outside, which is taken back before it has any content. No message is ever sent. RFC 5321.
"""

from __future__ import annotations

import re
from typing import Final

from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    Absent,
    Dialogue,
    Each,
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

_CLEAR: Final = frozenset({"smtp", "submission"})
_SECURE: Final = frozenset({"smtps", "submissions"})
#: Seconds: many servers let a stranger wait before they greet him.
_PATIENCE: Final = 40
#: The last line of a reply, RFC 5321 section 4.2.1.
_REPLY: Final = r"(?:^|\n)\d{3}(?: [^\n]*|\r)?\n"
_GREETING: Final = Say(until=_REPLY)
_HELLO: Final = Say("EHLO keurmeester.invalid\r\n", until=_REPLY)
#: What servers say when it is the passing on that they refuse: Postfix, Exim, Exchange, Sendmail, qmail.
_NO_RELAY: Final = re.compile(
    r"relay|rcpthosts|authenticat|accepted.domain|local domain|5\.7\.54", re.IGNORECASE
)
#: What they say when they refuse for who we are, or how we look: not what was asked.
_OTHER_REASON: Final = re.compile(
    r"block|listed|blacklist|\brbl|dnsbl|spam|\bspf\b|\bptr\b|reverse|client host|fail|STARTTLS",
    re.IGNORECASE,
)
#: Ways to log in that give nothing to read or to guess a password from.
_HARMLESS: Final = frozenset({"AUTH", "GSSAPI", "EXTERNAL"})
_NOT_DONE: Final = re.compile(
    r"prohibit|disabled|not (?:allowed|available|permitted|supported|implemented|recognized)|unrecognized",
    re.IGNORECASE,
)


@fact
class MailServer(OnTcp):
    """What a mail server offers in its answer to EHLO, before TLS unless the port is ``secure`` from the start."""

    port: int
    secure: bool
    offers: tuple[str, ...]

    @property
    def starttls(self) -> bool:
        """Whether TLS may be begun."""
        return "STARTTLS" in self.offers


@fact
class Reply:
    """A reply of a mail server: its code, and its last line."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"[:120]


@fact
class Relay(OnTcp):
    """How a mail server answers a sender (MAIL) and a recipient outside (RCPT)."""

    port: int
    sender: Reply
    recipient: Reply


@fact
class NameTelling(OnTcp):
    """How a mail server answers to VRFY and EXPN of a name that nobody has."""

    port: int
    verify: Reply
    expand: Reply


@fact
class Unintroduced(OnTcp):
    """How a mail server answers a sender who has not said who he is."""

    port: int
    reply: Reply


# --- what is asked --------------------------------------------------------------------------------------------


def _is_mail(port: OpenPort) -> bool:
    return port.service in _CLEAR | _SECURE


def _is_secure(port: OpenPort) -> bool:
    return port.service in _SECURE or port.tls


def _talk(purpose: str, port: int, *turns: Say, secure: bool, impact: Impact = Impact.LOOK) -> Dialogue:
    bye = Say("QUIT\r\n", until=_REPLY)
    return Dialogue(
        purpose=purpose,
        port=port,
        secure=secure,
        impact=impact,
        timeout=_PATIENCE,
        turns=(_GREETING, *turns, bye),
    )


def _introduced(server: MailServer, purpose: str, *lines: str) -> Dialogue:
    """These commands after EHLO, over TLS where it is offered."""
    over_tls = (Say("STARTTLS\r\n", until=_REPLY, secure=True), _HELLO) if server.starttls else ()
    said = [Say(f"{line}\r\n", until=_REPLY) for line in lines]
    return _talk(purpose, server.port, _HELLO, *over_tls, *said, secure=server.secure, impact=Impact.KNOCK)


# --- what is answered -----------------------------------------------------------------------------------------


def _replies(raw: Raw) -> list[tuple[int, list[str]]]:
    """Code and lines of each whole reply, turn by turn; the first is the greeting."""
    exchange = heard(raw)
    found = []
    for turn in exchange.turns:
        said = turn.received.decode("latin-1").replace("\r\n", "\n")
        lines = said.rstrip("\n").split("\n")
        if not said.endswith("\n") or not re.fullmatch(r"[0-9]{3}(?: .*)?", lines[-1]):
            break  # cut off before its last line
        found.append((int(lines[-1][:3]), [line[4:] for line in lines]))
    if not found:
        raise NotUnderstood("no greeting of a mail server")
    if found[0][0] != 220:
        raise NotUnderstood(f"the server turns us away: {found[0][0]} {found[0][1][-1]}"[:120])
    return found


def _reply(replies: list[tuple[int, list[str]]], at: int) -> Reply:
    """The reply to what was said before the QUIT, counted from there."""
    if len(replies) < 2 or at >= len(replies):
        raise NotUnderstood("the server ended the conversation too early")
    code, lines = replies[at]
    return Reply(code, lines[-1])


@probe(
    "outside",
    hello=Each(
        OpenPort,
        lambda port: _talk("SMTP greeting", port.number, _HELLO, secure=_is_secure(port)),
        when=_is_mail,
    ),
)
def mail_server(hello: Raw, port: OpenPort) -> MailServer:
    """The answer to EHLO, RFC 5321 section 4.1.1.1: a word per line behind the first."""
    replies = _replies(hello)
    if len(replies) < 2 or replies[1][0] != 250:
        raise NotUnderstood("the server does not answer to EHLO")
    offers = tuple(line.strip().upper() for line in replies[1][1][1:])
    return MailServer(port.number, _is_secure(port), offers)


@probe(
    "outside",
    message=Each(
        MailServer,
        lambda server: _introduced(
            server, "SMTP relay, taken back", "MAIL FROM:<>", "RCPT TO:<keurmeester-test@example.com>", "RSET"
        ),
    ),
)
def relay(message: Raw, server: MailServer) -> Relay:
    """The replies to MAIL and RCPT, which come after greeting and EHLO, twice when TLS was begun."""
    replies, at = _replies(message), 4 if server.starttls else 2
    return Relay(server.port, _reply(replies, at), _reply(replies, at + 1))


@probe(
    "outside",
    names=Each(
        MailServer,
        lambda server: _introduced(server, "SMTP names", "VRFY keurmeester-test", "EXPN keurmeester-test"),
    ),
)
def name_telling(names: Raw, server: MailServer) -> NameTelling:
    """The replies to VRFY and EXPN."""
    replies, at = _replies(names), 4 if server.starttls else 2
    return NameTelling(server.port, _reply(replies, at), _reply(replies, at + 1))


@probe(
    "outside",
    message=Each(
        OpenPort,
        lambda port: _talk(
            "SMTP without EHLO", port.number, Say("MAIL FROM:<>\r\n", until=_REPLY),
            secure=_is_secure(port), impact=Impact.KNOCK,
        ),
        when=_is_mail,
    ),
)  # fmt: skip
def unintroduced(message: Raw, port: OpenPort) -> Unintroduced:
    """The reply to MAIL as the first command."""
    return Unintroduced(port.number, _reply(_replies(message), 1))


def _postfix(setting: str) -> str:
    return f"postconf -e '{setting}'\npostfix reload"


@check(
    "smtp.relay-refused",
    principle=DEFAULT_DENY,
    severity=Severity.CRITICAL,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="De mailserver bezorgt geen post van vreemden bij anderen",
    why_nl="Wie post doorstuurt voor iedereen, verspreidt spam onder de eigen naam en komt op zwarte lijsten.",
    fix=_postfix(
        "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
    ),
    verify="swaks --server HOST --from '<>' --to keurmeester-test@example.com --quit-after RCPT",
    references=("RFC 5321 section 3.6", "RFC 2505 section 2.1", "postconf(5) smtpd_relay_restrictions"),
    advice="A server that relays for its own network is meant to: scan it from outside that network (mynetworks).",
    advice_nl="Een server die voor het eigen netwerk doorstuurt, hoort dat te doen: scan hem van buiten dat netwerk.",
)
def relay_refused(relay: Relay) -> Verdict:
    """The mail server does not deliver mail of strangers to others.

    Who passes mail on for everybody spreads spam under the own name and ends up on black lists.
    """
    if relay.sender.code == 530 and not _OTHER_REASON.search(relay.sender.text):
        return holds(True, f"MAIL: {relay.sender}", "refused")
    if relay.sender.code != 250:
        raise NotUnderstood(f"the server takes no sender at all: {relay.sender}")
    if relay.recipient.code in {250, 251, 252}:
        return holds(False, f"RCPT: {relay.recipient}", "refused")
    about_relaying = relay.recipient.code == 530 or (
        relay.recipient.code // 100 == 5 and _NO_RELAY.search(relay.recipient.text)
    )
    if not about_relaying or _OTHER_REASON.search(relay.recipient.text):
        raise NotUnderstood(f"whether this is about passing on is not said: {relay.recipient}")
    return holds(True, f"RCPT: {relay.recipient}", "refused")


@check(
    "smtp.login-after-tls",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="mail",
    title_nl="De mailserver vraagt pas om een wachtwoord als de verbinding versleuteld is",
    why_nl="Wie op het netwerk meeleest, leest of raadt anders het wachtwoord van de postbus.",
    fix=_postfix("smtpd_tls_auth_only = yes"),
    verify="printf 'EHLO x\\r\\nQUIT\\r\\n' | nc -q 3 HOST 25 | grep AUTH",
    references=("RFC 4954 section 4", "RFC 8314 section 3", "postconf(5) smtpd_tls_auth_only"),
)
def login_after_tls(server: MailServer) -> Verdict:
    """The mail server asks for a password only when the connection is encrypted.

    Whoever reads along on the network otherwise has the password of the mailbox, or what it can be guessed from (NTLM,
    CRAM). GSSAPI and EXTERNAL show neither.
    """
    if server.secure:
        raise Absent("this port speaks TLS from the start")
    early = [
        line
        for line in server.offers
        if re.match(r"AUTH[ =]", line) and not set(re.split(r"[ =]+", line)) <= _HARMLESS
    ]
    return holds(not early, ", ".join(early) or "no AUTH before TLS", "no AUTH before TLS")


@check(
    "smtp.starttls-offered",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="mail",
    title_nl="De mailserver biedt STARTTLS aan",
    why_nl="Zonder STARTTLS is alle post onderweg te lezen en te wijzigen.",
    fix=_postfix("smtpd_tls_security_level = may"),
    verify="openssl s_client -connect HOST:25 -starttls smtp -brief </dev/null",
    references=("RFC 3207", "Forum Standaardisatie: STARTTLS en DANE", "BIO2 1.3 maatregel 5.14.01"),
)
def starttls_offered(server: MailServer) -> Verdict:
    """The mail server offers STARTTLS.

    Without STARTTLS all mail can be read and changed on its way.
    """
    if server.secure:
        raise Absent("this port speaks TLS from the start")
    return holds(server.starttls, "STARTTLS" if server.starttls else "no STARTTLS", "STARTTLS")


@check(
    "smtp.names-not-told",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="De mailserver verklapt niet welke namen bestaan",
    why_nl="Met VRFY en EXPN zijn geldige adressen te verzamelen, voor spam en voor het raden van wachtwoorden.",
    fix=_postfix("disable_vrfy_command = yes"),
    verify="printf 'EHLO x\\r\\nVRFY root\\r\\nEXPN root\\r\\nQUIT\\r\\n' | nc -q 3 HOST 25",
    references=("RFC 5321 section 7.3", "RFC 2505 section 2.11", "postconf(5) disable_vrfy_command"),
)
def names_not_told(telling: NameTelling) -> Verdict:
    """The mail server does not give away which names exist.

    With VRFY and EXPN valid addresses can be gathered, for spam and for guessing passwords.
    """
    asked = {"VRFY": telling.verify, "EXPN": telling.expand}
    tells = [name for name, reply in asked.items() if _tells(reply)]
    observed = "; ".join(f"{name}: {reply}" for name, reply in asked.items())
    return holds(not tells, observed, "neither is answered")


def _tells(reply: Reply) -> bool:
    """Whether somebody who asks for a name learns whether it exists."""
    if reply.code in {500, 502, 504, 252, 530} or (reply.code // 100 == 5 and _NOT_DONE.search(reply.text)):
        return False
    if reply.code in {250, 251, 550, 551, 553}:
        return True
    raise NotUnderstood(f"an answer that tells nothing: {reply}")


@check(
    "smtp.hello-required",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="De mailserver neemt niets aan van wie niet zegt wie hij is",
    why_nl="Veel spamprogramma's slaan de begroeting over: wie haar eist, weert ze zonder verder werk.",
    fix=_postfix("smtpd_helo_required = yes"),
    verify="printf 'MAIL FROM:<>\\r\\nQUIT\\r\\n' | nc -q 3 HOST 25",
    references=("RFC 5321 section 4.1.4", "postconf(5) smtpd_helo_required"),
)
def hello_required(sender: Unintroduced) -> Verdict:
    """The mail server takes nothing from who does not say who he is.

    Many programs for spam skip the greeting: whoever demands it keeps them out without further work.
    """
    if sender.reply.code not in {250, 503}:
        raise NotUnderstood(f"the server refuses for another reason: {sender.reply}")
    return holds(sender.reply.code == 503, f"MAIL: {sender.reply}", "503")


# --- examples: Postfix 3.7 ------------------------------------------------------------------------------------

_GREETS: Final = b"220 mail.lab.test ESMTP Postfix\r\n"
_BYE: Final = b"221 2.0.0 Bye\r\n"
_OFFER: Final = b"250-mail.lab.test\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n"
_PLAIN: Final = b"250-mail.lab.test\r\n250-AUTH PLAIN LOGIN\r\n250 SMTPUTF8\r\n"
_READY: Final = b"220 2.0.0 Ready to start TLS\r\n"
_OK: Final = b"250 2.1.0 Ok\r\n"


def _offered(offer: bytes) -> dict[str, object]:
    return open_port(25, hello=talk(_GREETS, offer, _BYE))


def _asked(name: str, *said: bytes, offer: bytes = _OFFER) -> dict[str, object]:
    before = (_GREETS, offer, _READY, _PLAIN) if offer == _OFFER else (_GREETS, offer)
    return {**_offered(offer), name: talk(*before, *said, _BYE)}


_DENIED: Final = b"554 5.7.1 <keurmeester-test@example.com>: Relay access denied\r\n"
_NOTHING: Final = open_port(80, hello="", message="", names="")

examples(
    relay_refused,
    passes=[
        _asked("message", _OK, _DENIED, _OK),
        _asked("message", b"530 5.7.0 Authentication required\r\n", b"503 bad sequence\r\n", _OK),
    ],
    fails=_asked("message", _OK, _OK, _OK),
    unknown=[
        _asked("message", _OK, b"450 4.7.1 <keurmeester.invalid>: Helo command rejected\r\n", _OK),
        _asked("message", _OK, b"554 5.7.1 Service unavailable; client blocked\r\n", _OK),
        _asked("message", _OK, b"554 5.7.1 Service unavailable; listed at relays.example.org\r\n", _OK),
        _asked("message", _OK, b"550 5.7.23 SPF: authentication failed\r\n", _OK),
        _asked("message", b"530 5.7.0 Must issue a STARTTLS command first\r\n", b"503 no\r\n", offer=_PLAIN),
        _asked("message", b"451 later\r\n", b"503 bad sequence\r\n", _OK),
        _asked("message"),
        open_port(25, hello=talk(b"554 no service\r\n"), message=""),
    ],
    notapplicable=_NOTHING,
)
examples(
    login_after_tls,
    passes=[_offered(_OFFER), _offered(b"250-mail.lab.test\r\n250-AUTH GSSAPI\r\n250 SMTPUTF8\r\n")],
    fails=[_offered(_PLAIN), _offered(b"250-mail.lab.test\r\n250 AUTH GSSAPI NTLM\r\n")],
    unknown=[
        open_port(25, hello=talk(_GREETS, b"250-mail.lab.test\r\n250-SIZE 10240000\r\n", end="closed")),
        open_port(25, hello=talk(_GREETS, b"250-mail.lab.test\r\n250 SI", end="closed")),
        _offered(b"502 no\r\n"),
        open_port(25, hello=talk(b"SSH-2.0-OpenSSH_9.2\r\n")),
    ],
    notapplicable=[_NOTHING, open_port(465, hello=talk(_GREETS, _PLAIN, _BYE))],
)
examples(starttls_offered, passes=_offered(_OFFER), fails=_offered(_PLAIN), notapplicable=_NOTHING)
examples(
    names_not_told,
    passes=[
        _asked("names", b"502 5.5.1 VRFY command is disabled\r\n", b"502 5.5.2 not recognized\r\n"),
        _asked("names", b"252 2.0.0 keurmeester-test\r\n", b"500 unrecognized\r\n", offer=_PLAIN),
    ],
    fails=_asked("names", b"550 5.1.1 <keurmeester-test>: User unknown\r\n", b"502 5.5.2 not recognized\r\n"),
    unknown=[
        _asked("names", b"454 4.7.0 later\r\n", b"502 5.5.2 not recognized\r\n"),
        _asked("names", b"554 5.7.1 <x>: Relay access denied\r\n", b"502 5.5.2 not recognized\r\n"),
    ],
)
examples(
    hello_required,
    passes=open_port(25, message=talk(_GREETS, b"503 5.5.1 Error: send HELO/EHLO first\r\n", _BYE)),
    fails=open_port(25, message=talk(_GREETS, _OK, _BYE)),
    unknown=open_port(25, message=talk(_GREETS, b"530 5.7.0 Must issue STARTTLS first\r\n", _BYE)),
)
