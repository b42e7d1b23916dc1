"""What a management controller (BMC) refuses a stranger over IPMI: a session without proof, and one without a name.

A session is only begun, never finished, and no name is given. IPMI 2.0 rev. 1.1, sections 13.17 and 22.13.
"""

from __future__ import annotations

import struct
from typing import Final

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

_RMCP: Final = b"\x06\x00\xff\x07"
_ADMINISTRATOR, _USER = 4, 2
_CAPABILITIES: Final = 0x38
_OPEN_SESSION, _SESSION_OPENED = 0x10, 0x11
#: Status codes of RMCP+, table 13-15.
_STATUS: Final = {
    0x04: "invalid authentication algorithm",
    0x05: "invalid integrity algorithm",
    0x0A: "unauthorized role or privilege level",
    0x10: "invalid confidentiality algorithm",
    0x11: "no cipher suite match",
}


@fact
class BmcWelcome(OnUdp):
    """What a controller says of logins before there is one: without authentication, without a name, without either."""

    port: int
    without_authentication: bool
    anonymous: bool
    nameless: bool


@fact
class CipherZero(OnUdp):
    """The answers to sessions in which no password is proved: status per role that was asked for."""

    port: int
    as_administrator: int
    as_user: int


def _sum(data: bytes) -> bytes:
    return bytes([-sum(data) & 0xFF])


def _request(command: int, data: bytes) -> Say:
    """A request outside any session, sections 13.6 and 13.8."""
    head, body = b"\x20\x18", bytes([0x81, 4, command]) + data
    message = head + _sum(head) + body + _sum(body)
    return Say((_RMCP + bytes(9) + bytes([len(message)]) + message).decode("latin-1"))


def _open_session(tag: int, role: int) -> Say:
    """The proposal of cipher suite 0: no authentication, integrity nor confidentiality (section 22.15.2)."""
    nothing = b"".join(bytes([kind, 0, 0, 8, 0, 0, 0, 0]) for kind in (0, 1, 2))
    payload = bytes([tag, role, 0, 0]) + b"keur" + nothing
    header = _RMCP + bytes([6, _OPEN_SESSION]) + bytes(8) + struct.pack("<H", len(payload))
    return Say((header + payload).decode("latin-1"))


def _ask(purpose: str, *turns: Say) -> Each:
    return Each(
        UdpService,
        lambda service: Dialogue(
            purpose=purpose,
            port=service.number,
            protocol="udp",
            impact=Impact.KNOCK,
            timeout=6,
            turns=turns,
        ),
        when=lambda service: service.service == "ipmi",
    )


def _datagrams(raw: Raw) -> list[bytes]:
    said = [turn.received for turn in heard(raw).turns]
    if not all(one.startswith(_RMCP) for one in said):
        raise NotUnderstood("no answer of IPMI")
    return said


@probe(
    "outside",
    welcome=_ask(
        "IPMI authentication capabilities",
        *(_request(_CAPABILITIES, bytes([0x8E, role])) for role in (_ADMINISTRATOR, _USER)),
    ),
)
def bmc_welcome(welcome: Raw, service: UdpService) -> BmcWelcome:
    """Section 22.13: kinds of authentication for the role in the first byte, kinds of login in the second."""
    kinds = logins = 0
    for answer in (said := _datagrams(welcome)):
        message = answer[14:]
        if len(message) < 11 or message[5] != _CAPABILITIES or message[6] != 0:
            raise NotUnderstood("the controller does not say what it can do")
        kinds, logins = kinds | message[8], logins | message[9]
    if len(said) != 2:
        raise NotUnderstood("the controller does not say it of every role")
    return BmcWelcome(service.number, bool(kinds & 1), bool(logins & 1), bool(logins & 2))


@probe(
    "outside", tries=_ask("IPMI cipher suite 0", _open_session(1, _ADMINISTRATOR), _open_session(2, _USER))
)
def cipher_zero(tries: Raw, service: UdpService) -> CipherZero:
    """Table 13-10: behind the tag is the status; a session that is opened names its algorithms, which must be ours."""
    statuses = []
    for tag, answer in enumerate(_datagrams(tries), 1):
        if len(answer) < 18 or answer[5] & 0x3F != _SESSION_OPENED or answer[16] != tag:
            raise NotUnderstood("no answer to the request for a session")
        if answer[17] == 0 and (len(answer) < 52 or answer[32] & 0x3F):
            raise NotUnderstood("a session with other algorithms than were proposed")
        statuses.append(answer[17])
    if len(statuses) != 2:
        raise NotUnderstood("not every request for a session was answered")
    return CipherZero(service.number, *statuses)


@check(
    "ipmi.cipher-zero-refused",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="De beheercontroller (BMC) weigert een sessie zonder wachtwoord (cipher suite 0)",
    why_nl="Met cipher suite 0 is elke geldige naam genoeg om de server uit te zetten of van schijf te wisselen.",
    fix="ipmitool lan set 1 cipher_privs XXXaXXXXXXXXXXX",
    verify="ipmitool -I lanplus -C 0 -H HOST -U ADMIN -P x chassis status",
    references=("CVE-2013-4782", "IPMI 2.0 rev. 1.1 section 22.15.2", "CISA TA13-207A"),
    advice="Keep controllers in a network of their own: IPMI has more holes that cannot be closed.",
    advice_nl="Houd beheercontrollers in een eigen netwerk: IPMI heeft meer gaten, die niet te dichten zijn.",
)
def cipher_zero_refused(answers: CipherZero) -> Verdict:
    """The management controller (BMC) refuses a session without a password (cipher suite 0).

    With cipher suite 0 any valid name is enough to turn the server off or have it start from another disk.
    """
    asked = {"administrator": answers.as_administrator, "user": answers.as_user}
    accepted = [role for role, status in asked.items() if status == 0]
    strange = [status for status in asked.values() if status and status not in _STATUS]
    if strange and not accepted:
        raise NotUnderstood(f"the session was not opened, for another reason ({strange[0]:#x})")
    refusals = dict.fromkeys(_STATUS.get(status, "") for status in asked.values())
    observed = f"accepted for {' and '.join(accepted)}" if accepted else "; ".join(refusals)
    return holds(not accepted, observed, "no cipher suite match")


@check(
    "ipmi.anonymous-refused",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="De beheercontroller (BMC) kent geen aanmelding zonder naam of zonder wachtwoord",
    why_nl="Wie zonder naam binnenkomt, beheert de server zonder dat iemand weet wie het was.",
    fix="ipmitool user disable 1\nipmitool lan set 1 auth ADMIN MD5",
    verify="ipmitool channel authcap 14 4 | grep -iE 'anonymous|null user|none'",
    references=("IPMI 2.0 rev. 1.1 section 22.13", "CISA TA13-207A"),
)
def anonymous_refused(welcome: BmcWelcome) -> Verdict:
    """The management controller (BMC) knows no login without a name or without a password.

    Whoever comes in without a name manages the server without anybody knowing who it was.
    """
    ways = {
        "authentication none": welcome.without_authentication,
        "anonymous login": welcome.anonymous,
        "a login without a name": welcome.nameless,
    }
    offered = [name for name, there in ways.items() if there]
    return holds(not offered, ", ".join(offered) or "neither is offered", "neither is offered")


# --- examples: OpenIPMI 2.0.33 --------------------------------------------------------------------------------

_HERE: Final = {"target": {"services": [{"port": 623, "protocol": "udp", "name": "ipmi"}]}}


def _welcome(kinds: int, logins: int, code: int = 0) -> bytes:
    message = b"\x81\x1c\x63\x20\x04" + bytes(
        [_CAPABILITIES, code, 1, 0x80 | kinds, logins, 2, 0, 0, 0, 0, 0]
    )
    return _RMCP + bytes(9) + bytes([len(message)]) + message


def _welcomes(kinds: int, logins: int, code: int = 0, as_user: int | None = None) -> dict[str, object]:
    said = (_welcome(kinds if role is None else role, logins, code) for role in (None, as_user))
    return {**_HERE, "welcome": talk(*said)}


def _opened(tag: int, status: int, authentication: int = 0) -> bytes:
    payload = bytes([tag, status, 4, 0]) + b"keur" + b"\1\0\0\0"
    if status == 0:
        payload += bytes(
            [0, 0, 0, 8, authentication, 0, 0, 0, 1, 0, 0, 8, 0, 0, 0, 0, 2, 0, 0, 8, 0, 0, 0, 0]
        )
    return _RMCP + bytes([6, _SESSION_OPENED]) + bytes(8) + struct.pack("<H", len(payload)) + payload


def _tried(one: bytes, other: bytes) -> dict[str, object]:
    return {**_HERE, "tries": talk(one, other)}


examples(
    cipher_zero_refused,
    passes=[_tried(_opened(1, 0x11), _opened(2, 0x11)), _tried(_opened(1, 0x0A), _opened(2, 0x04))],
    fails=[_tried(_opened(1, 0), _opened(2, 0)), _tried(_opened(1, 0x0A), _opened(2, 0))],
    unknown=[
        _tried(_opened(1, 0x01), _opened(2, 0x11)),
        _tried(_opened(1, 0, authentication=1), _opened(2, 0x11)),
        {**_HERE, "tries": talk(_opened(1, 0x11))},
    ],
    notapplicable=[{"tries": ""}, {**_HERE, "tries": talk(end="refused")}],
)
examples(
    anonymous_refused,
    passes=_welcomes(0b000100, 0b100),
    fails=[
        _welcomes(0b000101, 0b100),
        _welcomes(0b000100, 0b101),
        _welcomes(0b000100, 0b110),
        _welcomes(0b000100, 0b100, as_user=0b000101),
    ],
    unknown=[
        _welcomes(0, 0, code=0xC1),
        {**_HERE, "welcome": talk(b"nonsense")},
        {**_HERE, "welcome": talk(_welcome(0b000100, 0b100))},
    ],
    notapplicable={"welcome": ""},
)
