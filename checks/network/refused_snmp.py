"""What an SNMP agent refuses a stranger: to answer to the passwords that everybody knows, or to none at all.

An agent answers to a wrong community with silence, which a lost datagram or a firewall gives as well. So before and
after the communities the question is asked that every agent of version 3 answers to anybody: what its engine is called
(RFC 3414 section 4). Only between two such answers silence is a refusal.
"""

from __future__ import annotations

from typing import Final

from checks.network._ber import INTEGER, NULL, OBJECT, OCTETS, SEQUENCE, elements, integer, number, tlv
from checks.network._port import OnUdp
from checks.network.asking import heard
from checks.network.example_talks import talk
from checks.network.udp_services import UdpService
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
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

_GET, _RESPONSE, _REPORT = 0xA0, 0xA2, 0xA8
#: sysUpTime.0: how long it has been up, the least telling of what everybody asks (RFC 3418).
_UPTIME: Final = bytes.fromhex("2b06010201010300")
#: usmStats of RFC 3414 section 5: why a message of version 3 is not answered.
_USM: Final = bytes.fromhex("2b060106030f0101")
#: Those that are about the user: not with so little security, not known. Any other comes before he is looked at.
_REASONS: Final = {1: "unsupported security level", 3: "unknown user"}
#: What access control says of a user who may see nothing (RFC 3416 section 3, RFC 3415 section 3.2).
_AUTHORIZATION_ERROR: Final = 16
_V1, _V2C, _V3 = 0, 1, 3
#: What is tried: number of the request, version, community.
_COMMUNITIES: Final = {
    11: (_V1, "public"),
    12: (_V2C, "public"),
    13: (_V1, "private"),
    14: (_V2C, "private"),
}
_BEFORE, _AFTER = 1, 2
#: The user that the standard itself describes for a first set-up (RFC 3414 appendix A.1).
_WELL_KNOWN: Final = b"initial"


@fact
class Communities(OnUdp):
    """What came back to the well-known communities, and whether the agent answered before and after them."""

    port: int
    answered: tuple[str, ...]
    there: bool


@fact
class SnmpEngine(OnUdp):
    """The name of an agent's engine, by which it must be called (in hexadecimal)."""

    port: int
    engine: str


@fact
class UserWithoutPassword(OnUdp):
    """What the well-known user gets without a password: an answer, or the reason of the refusal."""

    port: int
    answered: bool
    reason: str


# --- what is asked --------------------------------------------------------------------------------------------


def _get(
    id_: int, tag: int = _GET, value: bytes = tlv(NULL), status: int = 0, name: bytes = _UPTIME
) -> bytes:
    bound = tlv(SEQUENCE, tlv(SEQUENCE, tlv(OBJECT, name), value))
    return tlv(tag, integer(id_), integer(status), integer(0), bound)


def _by_community(id_: int, version: int, community: str) -> bytes:
    return tlv(SEQUENCE, integer(version), tlv(OCTETS, community.encode()), _get(id_))


def _by_user(
    id_: int, engine: bytes, user: bytes, content: bytes | None = None, flags: bytes = b"\x04"
) -> bytes:
    """A message of version 3 without authentication or encryption, RFC 3412 section 6 and RFC 3414 section 2.4."""
    header = tlv(SEQUENCE, integer(id_), integer(65507), tlv(OCTETS, flags), integer(3))
    security = tlv(
        SEQUENCE, tlv(OCTETS, engine), integer(0), integer(0), tlv(OCTETS, user), tlv(OCTETS), tlv(OCTETS)
    )
    scoped = tlv(SEQUENCE, tlv(OCTETS, engine), tlv(OCTETS), content or _get(id_))
    return tlv(SEQUENCE, integer(_V3), header, tlv(OCTETS, security), scoped)


def _say(message: bytes, quiet: float = 0.0) -> Say:
    return Say(message.decode("latin-1"), quiet=quiet)


def _is_snmp(service: UdpService) -> bool:
    return service.service == "snmp"


def _try_communities(service: UdpService) -> Dialogue:
    return Dialogue(
        purpose="SNMP with the communities public and private",
        port=service.number,
        protocol="udp",
        impact=Impact.TRY,
        timeout=20,
        silence=True,
        turns=(
            _say(_by_user(_BEFORE, b"", b""), quiet=3),
            *(_say(_by_community(id_, *what), quiet=1.5) for id_, what in _COMMUNITIES.items()),
            _say(_by_user(_AFTER, b"", b""), quiet=3),
        ),
    )


# --- what is answered -----------------------------------------------------------------------------------------


def _datagrams(raw: Raw) -> list[bytes]:
    exchange = heard(raw)
    return [turn.received for turn in exchange.turns if turn.received]


def _message(datagram: bytes) -> tuple[int, list[tuple[int, bytes]]]:
    """The version, and the parts behind it."""
    (tag, content), *more = elements(datagram)
    parts = list(elements(content))
    if tag != SEQUENCE or more or len(parts) < 3 or parts[0][0] != INTEGER:
        raise NotUnderstood("no SNMP message")
    return number(parts[0][1]), parts[1:]


def _third(parts: list[tuple[int, bytes]]) -> tuple[int, bytes, int, list[tuple[int, bytes]]]:
    """Of a message of version 3: its number, the engine's name, and the kind and the parts of what it holds."""
    id_ = number(next(elements(parts[0][1]))[1])
    security = list(elements(next(elements(parts[1][1]))[1]))
    scoped = list(elements(parts[2][1]))
    kind, content = scoped[2]
    return id_, security[0][1], kind, list(elements(content))


@probe("outside", tries=Each(UdpService, _try_communities, when=_is_snmp))
def communities(tries: Raw, service: UdpService) -> Communities:
    """An answer is known by its number; it may come late."""
    answered: list[str] = []
    there: set[int] = set()
    for datagram in _datagrams(tries):
        version, parts = _message(datagram)
        if version == _V3:
            there.add(_third(parts)[0])
        elif parts[1][0] == _RESPONSE:
            said = _COMMUNITIES.get(number(next(elements(parts[1][1]))[1]))
            if said is None or parts[0][1] != said[1].encode():
                raise NotUnderstood("an answer to something that was not asked")
            answered.append(f"{'v1' if said[0] == _V1 else 'v2c'} {said[1]}")
    return Communities(service.number, tuple(dict.fromkeys(answered)), there >= {_BEFORE, _AFTER})


@probe(
    "outside",
    name=Each(
        UdpService,
        lambda service: Dialogue(
            purpose="SNMP engine",
            port=service.number,
            protocol="udp",
            timeout=5,
            turns=(_say(_by_user(_BEFORE, b"", b"")),),
        ),
        when=_is_snmp,
    ),
)
def snmp_engine(name: Raw, service: UdpService) -> SnmpEngine:
    """The report on a message to no engine, RFC 3414 section 4."""
    (datagram,) = _datagrams(name)
    version, parts = _message(datagram)
    _, engine, _, _ = _third(parts)
    if version != _V3 or not 5 <= len(engine) <= 32:
        raise NotUnderstood("no engine of version 3")
    return SnmpEngine(service.number, engine.hex())


@probe(
    "outside",
    question=Each(
        SnmpEngine,
        lambda agent: Dialogue(
            purpose="SNMP user initial, without a password",
            port=agent.port,
            protocol="udp",
            impact=Impact.TRY,
            timeout=5,
            turns=(_say(_by_user(21, bytes.fromhex(agent.engine), _WELL_KNOWN)),),
        ),
    ),
)
def user_without_password(question: Raw, agent: SnmpEngine) -> UserWithoutPassword:
    """A response with a value, or a report that says why not, or an error."""
    (datagram,) = _datagrams(question)
    _, parts = _message(datagram)
    _, _, kind, content = _third(parts)
    (name_tag, name), (value_tag, _) = elements(next(elements(content[3][1]))[1])
    if kind == _REPORT and name_tag == OBJECT and name[:-2] == _USM:
        if name[-2] not in _REASONS:
            raise NotUnderstood(f"a report that says nothing of the user: usmStats {name[-2]}")
        return UserWithoutPassword(agent.port, False, _REASONS[name[-2]])
    if kind != _RESPONSE or name != _UPTIME:
        raise NotUnderstood("neither an answer nor a report")
    status = number(content[1][1])
    if status == 0 and value_tag == 0x43:
        return UserWithoutPassword(agent.port, True, "")
    if status != _AUTHORIZATION_ERROR:
        raise NotUnderstood(f"an answer without the value: error {status}, {value_tag:#x}")
    return UserWithoutPassword(agent.port, False, "authorization error")


@check(
    "snmp.default-communities-refused",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    title_nl="De SNMP-agent antwoordt niet op de bekende wachtwoorden public en private",
    why_nl="Met 'public' leest iedereen de inrichting van het systeem; met 'private' wijzigt hij die.",
    fix="sed -Ei 's/^(rocommunity|rwcommunity|com2sec)/#\\1/' /etc/snmp/snmpd.conf\nsystemctl restart snmpd",
    verify="snmpget -v2c -c public -t 2 -r 0 HOST 1.3.6.1.2.1.1.3.0",
    references=("RFC 3414 section 4", "snmpd.conf(5) rocommunity", "CVE-1999-0517"),
    advice="Then make users of version 3 with authentication and encryption (createUser, rouser ... priv).",
    advice_nl="Maak daarna gebruikers van versie 3, met authenticatie en versleuteling (createUser, rouser ... priv).",
)
def default_communities_refused(seen: Communities) -> Verdict:
    """The SNMP agent does not answer to the well-known passwords public and private.

    With "public" everybody reads how the system is set up; with "private" he changes it.
    """
    if not seen.answered and not seen.there:
        raise NotUnderstood("nothing answered, not even to what an agent of version 3 tells everybody")
    return holds(not seen.answered, ", ".join(seen.answered) or "no answer to either", "no answer")


@check(
    "snmp.no-password-refused",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    title_nl="De SNMP-agent antwoordt niet aan de bekende gebruiker 'initial' zonder wachtwoord",
    why_nl="SNMP versie 3 beschermt alleen als de agent authenticatie en versleuteling ook eist.",
    fix="sed -Ei 's/^(rouser|rwuser) +(\\S+) +noauth/\\1 \\2 priv/' /etc/snmp/snmpd.conf\nsystemctl restart snmpd",
    verify="snmpget -v3 -l noAuthNoPriv -u initial -t 2 -r 0 HOST 1.3.6.1.2.1.1.3.0",
    references=("RFC 3414 appendix A.1", "snmpd.conf(5) rouser"),
)
def no_password_refused(user: UserWithoutPassword) -> Verdict:
    """The SNMP agent does not answer the well-known user "initial" without a password.

    SNMP version 3 protects only when the agent demands authentication and encryption too.
    """
    return holds(not user.answered, "answered" if user.answered else user.reason, "no answer")


# --- examples: net-snmp 5.9 -----------------------------------------------------------------------------------

_HERE: Final = {"target": {"services": [{"port": 161, "protocol": "udp", "name": "snmp"}]}}
_NAME: Final = bytes.fromhex("80001f8880e1b2c3d4")


def _report(id_: int, reason: int = 4) -> bytes:
    content = _get(0, _REPORT, tlv(0x41, b"\1"), name=_USM + bytes([reason, 0]))
    return _by_user(id_, _NAME, b"", content, b"\0")


def _uptime(id_: int, version: int, community: str) -> bytes:
    content = _get(id_, _RESPONSE, tlv(0x43, b"\1\2"))
    return tlv(SEQUENCE, integer(version), tlv(OCTETS, community.encode()), content)


def _tried(*datagrams: bytes) -> dict[str, object]:
    return {**_HERE, "tries": talk(*datagrams)}


def _as_user(answer: bytes) -> dict[str, object]:
    return {**_HERE, "name": talk(_report(_BEFORE)), "question": talk(answer)}


examples(
    default_communities_refused,
    passes=_tried(_report(_BEFORE), b"", b"", b"", b"", _report(_AFTER)),
    fails=[
        _tried(_report(_BEFORE), b"", _uptime(12, _V2C, "public"), b"", b"", _report(_AFTER)),
        _tried(b"", _uptime(11, _V1, "public")),
    ],
    unknown=[
        _tried(_report(_BEFORE), b"", b"", b"", b"", b""),
        _tried(),
        _tried(_uptime(99, _V2C, "public")),
    ],
    notapplicable=[{"tries": ""}, {**_HERE, "tries": talk(end="refused")}],
)
examples(
    no_password_refused,
    passes=[
        _as_user(_report(21, 3)),
        _as_user(_by_user(21, _NAME, _WELL_KNOWN, _get(21, _RESPONSE, status=16), b"\0")),
    ],
    fails=_as_user(_by_user(21, _NAME, _WELL_KNOWN, _get(21, _RESPONSE, tlv(0x43, b"\1\2")), b"\0")),
    unknown=[
        _as_user(_by_user(21, _NAME, _WELL_KNOWN, _get(21), b"\0")),
        _as_user(_report(21, 4)),
        _as_user(_by_user(21, _NAME, _WELL_KNOWN, _get(21, _RESPONSE, tlv(0x80)), b"\0")),
    ],
    notapplicable={"name": "", "question": ""},
)
