"""Which UDP services answer: a harmless question each, for UDP has no connection that could be tried.

Only a few matter enough to ask everywhere; a port that the inventory declares under the name of one of them is asked
too. The questions are what any client says first: none changes anything, and none names an account.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from checks.network.ports import must_be_outside
from scanner import Dialogue, Each, NotUnderstood, Raw, Say, Target, exchanges, fact, probe


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of one kind of service, where, and what an answer of it looks like.

    ``always`` when each service of the kind answers it, so that silence says that none is within reach.
    """

    port: int
    data: bytes
    answer: bytes
    what: str
    always: bool = True


def _discovery_of_ike() -> bytes:
    """IKE_SA_INIT, RFC 7296 sections 1.2 and 3: AES-CBC-256, HMAC-SHA2-256, P-256 with its base point as our value."""
    transforms = (
        bytes.fromhex("0300000c0100000c800e0100") + bytes.fromhex("0300000802000005")
        + bytes.fromhex("030000080300000c") + bytes.fromhex("0000000804000013")
    )  # fmt: skip
    proposal = b"\0\0" + (8 + len(transforms)).to_bytes(2) + b"\1\1\0\4" + transforms
    point = bytes.fromhex(
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    payloads = (
        b"\x22\0" + (4 + len(proposal)).to_bytes(2) + proposal
        + b"\x28\0" + (8 + len(point)).to_bytes(2) + b"\0\x13\0\0" + point
        + b"\0\0" + (4 + 32).to_bytes(2) + b"keurmeester looks, nothing more."
    )  # fmt: skip
    header = b"keurmees" + bytes(8) + b"\x21\x20\x22\x08" + bytes(4) + (28 + len(payloads)).to_bytes(4)
    return header + payloads


#: Service -> the question: names as in the inventory; ports of IANA.
QUESTIONS: Final = {
    # RFC 1035 section 4.1: the name servers of the root, without recursion.
    "dns": Question(53, b"KM\0\0\0\1\0\0\0\0\0\0\0\0\2\0\1", rb"KM[\x80-\xff]", "name servers of the root"),
    # RFC 5531 section 9 and RFC 1833 section 3: the list of programs (PMAPPROC_DUMP).
    "rpcbind": Question(
        111, b"keur" + bytes.fromhex("00000000000000020001 86a00000000200000004") + bytes(16),
        rb"keur\0\0\0\x01", "list of programs",
    ),
    # RFC 5905 section 7.3: version 4, mode 3 (client).
    "ntp": Question(123, b"\x23" + bytes(39) + b"keurmees", rb"[\x24\x1c\xe4\xdc\x64\xa4\x5c\x9c]", "the time"),
    # RFC 1002 section 4.2.17: node status of any name.
    "netbios": Question(
        137, b"KM\0\0\0\1\0\0\0\0\0\0 CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0!\0\1", rb"KM[\x80-\xff]", "node status",
    ),
    # RFC 3414 section 4: which engine is there, without a user and without a community. An agent of version 1 or 2c
    # alone has no such question, and is silent to all who do not know its community.
    "snmp": Question(
        161,
        bytes.fromhex(
            "303e020103301102046b65757202030 0ffe3040104020103041030 0e0400020100020100040004000400"
            "30140400 0400a00e02046b6575720201000201003000".replace(" ", "")
        ),
        rb"0.{1,4}?\x02\x01\x03", "engine discovery", always=False,
    ),
    # RFC 4511 section 4.5.1 over UDP: the root entry of the directory.
    "cldap": Question(
        389, bytes.fromhex("3025020101632004000a01000a0100020100020100010100870b") + b"objectClass0\0",
        rb"0.{1,5}?\x02\x01\x01[\x64\x65]", "root entry",
    ),
    "ike": Question(500, _discovery_of_ike(), rb"keurmees.{9}[\x20\x10]", "IKE_SA_INIT"),
    # ASF 2.0 section 3.2.4.2: presence ping; what every server management controller answers.
    "ipmi": Question(623, bytes.fromhex("0600ff06000011be80000000"), rb"\x06\0.\x06\0\0\x11\xbe\x40", "presence ping"),
    # MC-SQLR section 2.2.2: which instances there are.
    "mssql-browser": Question(1434, b"\x02", rb"\x05", "list of instances"),
    # UPnP Device Architecture 2.0 section 1.3.2, to this one host.
    "ssdp": Question(
        1900,
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n'
        b"MX: 1\r\nST: upnp:rootdevice\r\n\r\n",
        rb"HTTP/1\.1 200", "search for devices",
    ),
    # RFC 6762 section 5.4 and RFC 6763 section 9: which kinds of services; the answer may come to us alone.
    "mdns": Question(
        5353, b"\0\0\0\0\0\1\0\0\0\0\0\0\x09_services\x07_dns-sd\x04_udp\x05local\0\0\x0c\x80\1", rb"\0\0[\x80-\xff]",
        "kinds of services",
    ),
    # memcached doc/protocol.txt, UDP protocol: which version.
    "memcached": Question(11211, b"KM\0\0\0\1\0\0version\r\n", rb"KM\0\0..\0\0", "version"),
}  # fmt: skip


@fact
class Asked:
    """A UDP port to ask: as which service, and of which address; the target's own when empty."""

    service: str
    number: int
    address: str = ""

    def __str__(self) -> str:
        return f"{self.number}/udp" + (f" of {self.address}" if self.address else "")


@fact
class Datagram:
    """What came back from a UDP port: it answers, as the service that was asked or as something else; it is refused
    (the host says that nothing is there), or silent.

    ``sent`` and ``received`` are bytes, without the headers of IP and UDP.
    """

    asked: Asked
    state: Literal["answers", "refused", "silent"]
    understood: bool
    sent: int
    received: int

    def __str__(self) -> str:
        return str(self.asked)

    @property
    def answers(self) -> bool:
        """Whether there is something for sure."""
        return self.state == "answers"

    @property
    def tells_nothing(self) -> bool:
        """Whether the service may be there all the same, and be silent."""
        return self.state == "silent" and not QUESTIONS[self.asked.service].always

    @property
    def service(self) -> str:
        """What answers there, as far as is known."""
        return self.asked.service if self.understood else f"something else than {self.asked.service}"


@probe("outside")
def asked(target: Target) -> list[Asked]:
    """The usual ports, and those that the inventory declares under one of these names; on every address."""
    must_be_outside(target)
    pairs = {question.port: service for service, question in QUESTIONS.items()}
    pairs |= {
        one.port: one.name for one in target.services or () if one.protocol == "udp" and one.name in QUESTIONS
    }
    return [
        Asked(service, number, address)
        for address in ("", *target.addresses)
        for number, service in sorted(pairs.items())
    ]


def _dialogue(one: Asked) -> Dialogue:
    question = QUESTIONS[one.service]
    return Dialogue(
        purpose=f"{one.service}: {question.what}",
        port=one.number,
        address=one.address,
        protocol="udp",
        turns=(Say(question.data.decode("latin-1")),),
        silence=True,
        timeout=2,
    )


@probe("outside", said=Each(Asked, _dialogue))
def datagram(said: Raw, one: Asked) -> Datagram:
    """A transcript of one question and at most one answer."""
    found = exchanges(said)
    if len(found) != 1 or found[0].end not in {"done", "timeout", "refused"}:
        raise NotUnderstood("a datagram is answered, refused, or neither")
    back = found[0].received
    answer = re.compile(QUESTIONS[one.service].answer, re.DOTALL)
    state: Literal["answers", "refused", "silent"]
    match found[0].end:
        case "done":
            state = "answers"
        case "refused":
            state = "refused"
        case _:
            state = "silent"
    return Datagram(one, state, answer.match(back) is not None, len(found[0].sent), len(back))
