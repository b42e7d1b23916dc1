"""What a name server refuses a stranger: a copy of a whole zone, questions about others' names, its own version.

Asked over TCP, on open ports: one question each. A transfer is broken off after its first message. RFC 1035, RFC 5936.
"""

from __future__ import annotations

from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort, Sweep
from scanner import (
    DEFAULT_DENY,
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

_SERVICE: Final = "dns"
_A, _SOA, _TXT, _AXFR = 1, 6, 16, 252
_INTERNET, _CHAOS = 1, 3
_RECURSE: Final = 0x0100
#: A name that is nobody's secret, and not of the server that is asked (RFC 2606 section 3).
_FOREIGN: Final = "example.com"


@fact
class ServedZone:
    """A zone that the inventory says this target serves, and a port on which it may be asked for it."""

    port: int
    zone: str
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.zone} on {self.port}/tcp"


@fact
class Transfer:
    """How a server that has a zone answers to the request for all of it: an error, or so many records to begin with."""

    port: int
    zone: str
    code: str
    records: int

    def __str__(self) -> str:
        return f"{self.zone} on {self.port}/tcp"


@fact
class Recursion(OnTcp):
    """How a name server answers a question about a name that is not its own.

    ``available`` is what it says of itself, ``answered`` that records came, ``denied`` that it says there are none
    (RFC 2308 section 2), ``authoritative`` that it calls them its own. ``meant`` says that the inventory lets the zone
    in which the scanner stands use this server.
    """

    port: int
    code: str
    available: bool
    answered: bool
    denied: bool
    authoritative: bool
    meant: bool


@fact
class ServerVersion(OnTcp):
    """What a name server says to the question for its version."""

    port: int
    code: str
    text: str


# --- what is asked --------------------------------------------------------------------------------------------


def _question(name: str, kind: int, family: int = _INTERNET, flags: int = 0) -> Say:
    labels = (
        b"".join(bytes([len(label)]) + label.encode("idna") for label in name.split(".") if label) + b"\0"
    )
    header = b"".join(number.to_bytes(2, "big") for number in (0x4B4D, flags, 1, 0, 0, 0))
    message = header + labels + kind.to_bytes(2, "big") + family.to_bytes(2, "big")
    return Say((len(message).to_bytes(2, "big") + message).decode("latin-1"), frame=(0, 2, 2))


def _ask(purpose: str, port: int, *turns: Say, impact: Impact = Impact.KNOCK) -> Dialogue:
    return Dialogue(purpose=purpose, port=port, turns=turns, impact=impact, limit=1 << 18)


def _is_dns(port: OpenPort) -> bool:
    return port.service == _SERVICE


@probe("outside")
def served_zones(ports: list[OpenPort], target: Target) -> list[ServedZone]:
    """The domains in the inventory, on every port with a name server."""
    return [
        ServedZone(port.number, zone, port.further_address)
        for port in ports
        if _is_dns(port)
        for zone in dict.fromkeys(one.rstrip(".").lower() for one in target.domains)
    ]


# --- what is answered -----------------------------------------------------------------------------------------


def _messages(raw: Raw) -> list[dns.message.Message]:
    """The answers, turn by turn."""
    said = [turn.received for turn in heard(raw).turns if len(turn.received) > 2]
    messages = [dns.message.from_wire(one[2:], ignore_trailing=True) for one in said]
    if not all(one.flags & dns.flags.QR for one in messages):
        raise NotUnderstood("what came back is a question, not an answer")
    return messages


def _only(raw: Raw) -> dns.message.Message:
    messages = _messages(raw)
    if not messages:
        raise NotUnderstood("the server did not answer")
    return messages[0]


def _code(message: dns.message.Message) -> str:
    return dns.rcode.to_text(message.rcode())


@probe(
    "outside",
    copy=Each(
        ServedZone,
        lambda zone: _ask(
            f"DNS transfer of {zone.zone}", zone.port, _question(zone.zone, _SOA), _question(zone.zone, _AXFR)
        ),
    ),
)
def transfer(copy: Raw, zone: ServedZone) -> Transfer:
    """First who answers for the zone, then the transfer: what a server does not have it need not refuse."""
    messages = _messages(copy)
    if not messages:
        raise NotUnderstood("the server did not answer")
    owner = messages[0]
    if owner.rcode() in {dns.rcode.REFUSED, dns.rcode.NOTAUTH} or (
        owner.rcode() == dns.rcode.NOERROR and not owner.flags & dns.flags.AA
    ):
        raise Absent("this server does not have the zone")
    _must_be_zone(owner, zone.zone)
    if len(messages) < 2:
        raise NotUnderstood("the server did not answer to the request for a transfer")
    return Transfer(zone.port, zone.zone, _code(messages[1]), sum(len(one) for one in messages[1].answer))


def _must_be_zone(message: dns.message.Message, name: str) -> None:
    """Raises Absent when the server says with authority that this is a name within a zone, NotUnderstood when it does
    not say what it is.
    """
    asked = dns.name.from_text(name)
    starts = {one.name for one in (*message.answer, *message.authority) if one.rdtype == dns.rdatatype.SOA}
    if not message.flags & dns.flags.AA or message.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise NotUnderstood(f"whether the server has the zone is not said ({_code(message)})")
    if any(one.name == asked and one.rdtype == dns.rdatatype.SOA for one in message.answer):
        return
    if any(one.name == asked and one.rdtype == dns.rdatatype.CNAME for one in message.answer):
        raise Absent(f"{name} is an alias here, no zone: a transfer is tried of zones that 'domains' names")
    above = [one for one in starts if asked != one and asked.is_subdomain(one)]
    if not above:
        raise NotUnderstood("the server does not say which zone the name is in")
    zone = max(above, key=len).to_text(omit_final_dot=True)
    raise Absent(f"{name} is no zone here but a name in {zone}: name that under 'domains' to have it tried")


@probe(
    "outside",
    foreign=Each(
        OpenPort,
        lambda port: _ask(
            "DNS question about another's name", port.number, _question(_FOREIGN, _A, flags=_RECURSE)
        ),
        when=_is_dns,
    ),
)
def recursion(foreign: Raw, port: OpenPort, sweep: list[Sweep], target: Target) -> Recursion:
    """The answer's code and records, and what its flags say of them (RFC 1035 section 4.1.1)."""
    message = _only(foreign)
    vantages = {at.vantage for one in sweep for at in one.addresses} - {""}
    users = {name for one in target.services or () if one.port == port.number for name in one.from_}
    return Recursion(
        port.number,
        _code(message),
        available=bool(message.flags & dns.flags.RA),
        answered=bool(message.answer),
        denied=message.rcode() == dns.rcode.NXDOMAIN
        or any(one.rdtype == dns.rdatatype.SOA for one in message.authority),
        authoritative=bool(message.flags & dns.flags.AA),
        meant=bool(vantages & users),
    )


@probe(
    "outside",
    version=Each(
        OpenPort,
        lambda port: _ask(
            "DNS version", port.number, _question("version.bind", _TXT, _CHAOS), impact=Impact.LOOK
        ),
        when=_is_dns,
    ),
)
def server_version(version: Raw, port: OpenPort) -> ServerVersion:
    """The text record, or the code of the refusal."""
    message = _only(version)
    said = [
        b" ".join(record.strings) for one in message.answer for record in one if hasattr(record, "strings")
    ]
    return ServerVersion(port.number, _code(message), b" ".join(said).decode("ascii", "replace"))


@check(
    "dns.transfer-refused",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="dns",
    title_nl="De nameserver geeft een vreemde geen kopie van de hele zone",
    why_nl="Een hele zone is een plattegrond: ook namen van test- en beheersystemen staan erin.",
    fix="sed -i 's/allow-transfer.*/allow-transfer { key secondaries; };/' /etc/bind/named.conf.options\nrndc reload",
    verify="dig @HOST ZONE AXFR +short | head -3",
    references=("RFC 5936 section 5", "named.conf(5) allow-transfer", "nsd.conf(5) provide-xfr"),
)
def transfer_refused(transfer: Transfer) -> Verdict:
    """The name server gives a stranger no copy of the whole zone.

    A whole zone is a map: names of test and management systems stand in it as well.
    """
    if transfer.code == "NOERROR" and transfer.records:
        return holds(False, f"the transfer begins: {transfer.records} records", "REFUSED")
    if transfer.code not in {"REFUSED", "NOTAUTH"}:
        raise NotUnderstood(f"the transfer ended as {transfer.code} with {transfer.records} records")
    return holds(True, transfer.code, "REFUSED")


@check(
    "dns.recursion-refused",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="dns",
    title_nl="De nameserver zoekt geen namen op voor vreemden",
    why_nl="Een open resolver wordt misbruikt om anderen plat te leggen, en is makkelijker te vergiftigen.",
    fix=(
        "sed -i 's/allow-recursion.*/allow-recursion { localnets; };/' /etc/bind/named.conf.options\nrndc reload"
    ),
    verify="dig @HOST example.com A +recurse | grep -E 'status|flags'",
    references=("RFC 5358", "RFC 8932 section 5", "named.conf(5) allow-recursion"),
    advice="Where the scanner's own zone is meant to use this server, name that zone under 'from' in the inventory.",
    advice_nl="Is de server bedoeld voor de zone van de scanner zelf? Noem die dan bij 'from' in de inventaris.",
)
def recursion_refused(recursion: Recursion) -> Verdict:
    """The name server looks up no names for strangers.

    An open resolver is abused to bring others down, and is easier to poison.
    """
    if recursion.meant:
        raise Absent("the inventory lets the scanner's own zone use this server")
    observed = (
        f"{recursion.code}, recursion {'' if recursion.available else 'not '}available,"
        f" {'an answer' if recursion.answered else 'no answer'}"
    )
    silent = recursion.code == "NOERROR" and not recursion.available and not recursion.answered
    if recursion.code == "REFUSED" or silent:
        return holds(True, observed, "REFUSED")
    # What it knows of another's name it has looked up, whatever its flags say; its own zone tells nothing. Recursion
    # that is offered, and gives neither records nor a denial, was none.
    told = recursion.answered or recursion.denied
    looked_up = (recursion.available and told) or (recursion.answered and not recursion.authoritative)
    if recursion.code not in {"NOERROR", "NXDOMAIN"} or not looked_up:
        raise NotUnderstood(f"neither an answer of another's name nor a refusal: {observed}")
    return holds(False, observed, "REFUSED")


@check(
    "dns.version-hidden",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="dns",
    title_nl="De nameserver verklapt zijn versie niet",
    why_nl="Met de versie kiest een aanvaller meteen het lek dat past.",
    fix="sed -i '/^options {/a version none;' /etc/bind/named.conf.options\nrndc reload",
    verify="dig @HOST version.bind TXT CH +short",
    references=("named.conf(5) version", "nsd.conf(5) hide-version", "unbound.conf(5) hide-version"),
)
def version_hidden(version: ServerVersion) -> Verdict:
    """The name server does not give its version away.

    With the version an attacker picks the matching hole at once.
    """
    if version.code not in {"NOERROR", "REFUSED", "NXDOMAIN", "NOTIMP", "NOTAUTH"}:
        raise NotUnderstood(f"the question ended as {version.code}")
    numbered = any(letter.isdigit() for letter in version.text)
    return holds(not numbered, version.text or version.code, "no version")


# --- examples -------------------------------------------------------------------------------------------------


def _answer(
    code: str = "NOERROR",
    flags: str = "QR",
    records: str = "",
    name: str = "lab.test.",
    kind: str = "SOA",
    authority: str = "",
) -> bytes:
    family = "CH" if kind == "TXT" else "IN"
    text = f"id 19277\nopcode QUERY\nrcode {code}\nflags {flags}\n;QUESTION\n{name} {family} {kind}\n;ANSWER\n{records}"
    if authority:
        text = f"{text.strip()}\n;AUTHORITY\n{authority}"
    wire = dns.message.from_text(text).to_wire()
    return len(wire).to_bytes(2, "big") + wire


_SOA_RECORD: Final = "lab.test. 300 IN SOA ns1.lab.test. host.lab.test. 1 3600 600 86400 300"
_HAS_IT: Final = _answer(flags="QR AA", records=_SOA_RECORD)
_SERVES: Final = {"domains": ["lab.test"]}


def _copied(*answers: bytes, of: str = "lab.test") -> dict[str, object]:
    return {**open_port(53, copy=talk(*answers)), "target": {"domains": [of]}}


def _within(records: str = "", authority: str = "", code: str = "NOERROR") -> dict[str, object]:
    """A name below the zone, asked as if it were one."""
    said = _answer(code, "QR AA", records, "www.lab.test.", authority=authority)
    return _copied(said, _answer("NOTAUTH", "QR", name="www.lab.test."), of="www.lab.test")


def _foreign(
    code: str = "NOERROR",
    flags: str = "QR RA",
    records: str = "example.com. 60 IN A 192.0.2.1",
    authority: str = "",
) -> dict[str, object]:
    return open_port(53, foreign=talk(_answer(code, flags, records, "example.com.", "A", authority)))


def _version(code: str = "NOERROR", text: str = "") -> dict[str, object]:
    records = f'version.bind. 0 CH TXT "{text}"' if text else ""
    return open_port(53, version=talk(_answer(code, records=records, name="version.bind.", kind="TXT")))


_USED: Final = {"services": [{"port": 53, "name": "dns", "from": ["office"]}]}

examples(
    transfer_refused,
    passes=[_copied(_HAS_IT, _answer("REFUSED")), _copied(_HAS_IT, _answer("NOTAUTH"))],
    fails=_copied(_HAS_IT, _HAS_IT),
    unknown=[
        _copied(_HAS_IT),
        _copied(_HAS_IT, _answer("SERVFAIL")),
        _copied(_answer("SERVFAIL")),
        _within(),
    ],
    notapplicable=[
        _within(f"www.lab.test. 300 IN CNAME lab.test.\n{_SOA_RECORD}"),
        _within(authority=_SOA_RECORD),
        _within(authority=_SOA_RECORD, code="NXDOMAIN"),
        _copied(_answer("REFUSED")),
        _copied(_answer()),
        open_port(53, copy=""),
        {**open_port(80, copy=""), "target": _SERVES},
    ],
)
examples(
    recursion_refused,
    passes=[_foreign("REFUSED", records=""), _foreign(flags="QR", records="")],
    fails=[
        _foreign(),
        _foreign("NXDOMAIN", records=""),
        _foreign(records="", authority=_SOA_RECORD.replace("lab.test", "example.com")),
        _foreign(flags="QR"),
    ],
    unknown=[
        _foreign("SERVFAIL", records=""),
        _foreign(records=""),
        _foreign(records="", authority="example.com. 60 IN NS ns.example.com."),
        _foreign(flags="QR AA"),
        _foreign(flags="RD", records=""),
        open_port(53, foreign=talk(end="closed")),
    ],
    notapplicable=[
        open_port(80),
        {
            **_foreign(),
            "target": _USED,
            "swept": '{"from":"office","addresses":{"127.0.0.1":{"open":[53],"refused":[],"silent":[],"failed":{}}}}',
        },
    ],
)
examples(
    version_hidden,
    passes=[_version("REFUSED"), _version(text="none"), _version()],
    fails=_version(text="9.18.28-1~deb12u2-Debian"),
    unknown=[_version("SERVFAIL"), open_port(53, version=talk(b"\x00\x05hello"))],
    notapplicable=open_port(80),
)
