"""What a telephone exchange (SIP) refuses a stranger: to register without a password; and what it tells of itself.

Asked is which telephones a number that nobody has is registered on: a REGISTER without Contact changes nothing (RFC
3261 section 10.2.3). Nothing rings.
"""

from __future__ import annotations

import re
from typing import Final

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
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_CLEAR: Final = "sip"
_SECURE: Final = "sips"
#: A whole answer that is not provisional.
_FINAL: Final = r"(?:^|\n)SIP/2\.0 [2-6]\d\d [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n"


@fact
class SipPort:
    """A port of an exchange, and the domain to ask it about."""

    number: int
    protocol: str
    secure: bool
    domain: str
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@fact
class Registration:
    """The answer to a registration without a password."""

    port: str
    code: int
    reason: str

    def __str__(self) -> str:
        return self.port


@fact
class SipProgram:
    """What an exchange calls itself in its answer to OPTIONS."""

    port: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return self.port


@probe("outside")
def sip_ports(ports: list[OpenPort], target: Target) -> list[SipPort]:
    """The open TCP ports of SIP, and the UDP ports that the inventory declares."""
    found = [
        SipPort(
            number=one.number,
            protocol="tcp",
            secure=one.service == _SECURE or one.tls,
            domain=one.server_name or target.address,
            further_address=one.further_address,
        )
        for one in ports
        if one.service in {_CLEAR, _SECURE}
    ]
    return found + [
        SipPort(one.port, "udp", False, target.address)
        for one in target.services or ()
        if one.protocol == "udp" and one.name == _CLEAR
    ]


def _ask(method: str, purpose: str, impact: Impact) -> Each:
    return Each(SipPort, lambda port: _dialogue(port, method, purpose, impact))


def _dialogue(port: SipPort, method: str, purpose: str, impact: Impact) -> Dialogue:
    domain = f"[{port.domain}]" if ":" in port.domain else port.domain
    via = "TLS" if port.secure else port.protocol.upper()
    lines = (
        f"{method} sip:{domain} SIP/2.0",
        f"Via: SIP/2.0/{via} keurmeester.invalid;branch=z9hG4bK-keurmeester-{method.lower()};rport",
        "Max-Forwards: 1",
        f"From: <sip:keurmeester-test@{domain}>;tag=keurmeester",
        f"To: <sip:keurmeester-test@{domain}>",
        f"Call-ID: keurmeester-{method.lower()}",
        f"CSeq: 1 {method}",
        "Content-Length: 0",
    )
    return Dialogue(
        purpose=purpose,
        port=port.number,
        protocol=port.protocol,
        secure=port.secure,
        server_name=port.domain if port.secure and re.search("[a-z]", port.domain) else "",
        impact=impact,
        turns=(Say("\r\n".join((*lines, "", "")), until=_FINAL),),
    )


def _answer(raw: Raw) -> str:
    """The last answer: those before it only say that another follows."""
    exchange = heard(raw)
    said = re.search(_FINAL, exchange.received.decode("utf-8", "replace"))
    if said is None:
        raise NotUnderstood("no answer of SIP")
    return said[0].lstrip("\n")


@probe("outside", query=_ask("REGISTER", "SIP registration, asked about", Impact.TRY))
def registration(query: Raw, port: SipPort) -> Registration:
    """The status line of the answer."""
    _, code, reason = _answer(query).split("\r\n", 1)[0].split(" ", 2)
    return Registration(str(port), int(code), reason)


@probe("outside", options=_ask("OPTIONS", "SIP options", Impact.LOOK))
def sip_program(options: Raw, port: SipPort) -> SipProgram:
    """The headers Server and User-Agent, RFC 3261 sections 20.35 and 20.41."""
    lines = _answer(options).split("\r\n")[1:]
    named = (line.partition(":") for line in lines)
    names = [value.strip() for name, _, value in named if name.strip().lower() in {"server", "user-agent"}]
    return SipProgram(str(port), tuple(names))


@check(
    "sip.register-refused",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="De telefooncentrale laat een onbekend toestel zich niet zonder wachtwoord aanmelden",
    why_nl="Wie een toestel aanmeldt, neemt gesprekken over en belt op kosten van de organisatie.",
    fix=(
        "printf '#!define WITH_MYSQL\\n#!define WITH_AUTH\\n' >> /etc/kamailio/kamailio-local.cfg\n"
        "systemctl restart kamailio"
    ),
    verify="sipsak -U -s sip:keurmeester-test@HOST",
    references=("RFC 3261 section 10.3", "RFC 3261 section 22"),
    advice="Asterisk: auth= in every endpoint of pjsip.conf, and no guests (anonymous endpoint).",
    advice_nl="Asterisk: auth= bij elk endpoint in pjsip.conf, en geen gasten (endpoint anonymous).",
)
def register_refused(registration: Registration) -> Verdict:
    """The telephone exchange lets no unknown telephone register without a password.

    Whoever registers a telephone takes over calls, and calls at the organisation's expense.
    """
    observed = f"{registration.code} {registration.reason}"
    if registration.code in {405, 501}:
        raise Absent("no telephones are registered here")
    if registration.code not in {200, 401, 403, 407}:
        raise NotUnderstood(f"neither accepted nor refused: {observed}")
    return holds(registration.code != 200, observed, "401 Unauthorized")


@check(
    "sip.version-hidden",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    title_nl="De telefooncentrale verklapt haar versie niet",
    why_nl="Met de versie kiest een aanvaller meteen het lek dat past.",
    fix="sed -i '1a server_signature=no' /etc/kamailio/kamailio.cfg\nsystemctl restart kamailio",
    verify="sipsak -v -s sip:HOST | grep -i '^server:'",
    references=("RFC 3261 section 20.35",),
    advice="Asterisk: user_agent=pbx in the section [global] of pjsip.conf.",
    advice_nl="Asterisk: user_agent=pbx in de sectie [global] van pjsip.conf.",
)
def version_hidden(program: SipProgram) -> Verdict:
    """The telephone exchange does not give its version away.

    With the version an attacker picks the matching hole at once.
    """
    numbered = [name for name in program.names if re.search(r"\d+\.\d+", name)]
    return holds(not numbered, ", ".join(program.names) or "no name", "no version")


# --- examples: Kamailio 5.6 -----------------------------------------------------------------------------------


def _said(status: str, *lines: str) -> bytes:
    return "\r\n".join(
        (f"SIP/2.0 {status}", "CSeq: 1 REGISTER", *lines, "Content-Length: 0", "", "")
    ).encode()


def _registers(status: str) -> dict[str, object]:
    return open_port(5060, query=talk(_said(status)))


def _calls_itself(*lines: str) -> dict[str, object]:
    return open_port(5060, options=talk(_said("200 OK", *lines)))


examples(
    register_refused,
    passes=[
        _registers("401 Unauthorized"),
        open_port(5061, query=talk(_said("100 Trying") + _said("403 Forbidden"))),
    ],
    fails=_registers("200 OK"),
    unknown=[_registers("404 Not Found"), open_port(5060, query=talk(b"HTTP/1.1 400 Bad Request\r\n\r\n"))],
    notapplicable=[_registers("405 Method Not Allowed"), open_port(80, query="")],
)
examples(
    version_hidden,
    passes=[_calls_itself(), _calls_itself("Server: pbx")],
    fails=_calls_itself("Server: kamailio (5.6.3 (x86_64/linux))"),
    unknown=open_port(5060, options=talk(end="closed")),
    notapplicable=open_port(80, options=""),
)
