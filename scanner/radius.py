"""The bytes of RADIUS and of the EAP in it, built and read: pure (RFC 2865, RFC 3579, RFC 3748, RFC 5216).

TLS goes in EAP, EAP in RADIUS, RADIUS in datagrams, each in pieces of its own size; `within` puts the TLS together
again, so that the same reading goes for it as for a connection. What is read is hostile: what does not add up raises
ValueError.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5
from typing import Final, NamedTuple

from scanner.transcript import Exchange, Turn

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11
USER_NAME, FRAMED_MTU, REPLY_MESSAGE, STATE, NAS_IDENTIFIER, NAS_PORT_TYPE = 1, 12, 18, 24, 32, 61
EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 79, 80
#: Attributes that are kept as evidence. Message-Authenticator, and what may be hidden with the shared secret (keys,
#: passwords, whatever a vendor made), would let who reads the evidence guess at that secret.
KEPT: Final = frozenset(
    {USER_NAME, FRAMED_MTU, REPLY_MESSAGE, STATE, NAS_IDENTIFIER, NAS_PORT_TYPE, EAP_MESSAGE}
)
#: Bytes of one attribute's value, and of TLS that we put in one EAP message (RFC 5216 section 3.1: 1020 always fits).
_VALUE: Final = 253
PIECE: Final = 1000

# Codes and types of EAP.
REQUEST, RESPONSE, SUCCESS, FAILURE = 1, 2, 3, 4
IDENTITY, NOTIFICATION, NAK = 1, 2, 3
#: Methods that begin with TLS and share its flags, by type: those we ask for, the commonest first.
METHODS: Final = {25: "PEAP", 21: "EAP-TTLS", 13: "EAP-TLS"}
# Flags: the whole length comes first, more pieces follow, this begins.
_LENGTH, _MORE, _START = 0x80, 0x40, 0x20


class Eap(NamedTuple):
    """One EAP message. ``kind`` is 0 for success and failure, which have none."""

    code: int
    id: int
    kind: int
    data: bytes

    @property
    def begins(self) -> bool:
        """Whether a method with TLS begins here: the server waits for the hello."""
        return self.kind in METHODS and bool(self.data[:1]) and bool(self.data[0] & _START)

    @property
    def more(self) -> bool:
        """Whether more pieces of what is being said follow."""
        return self.kind in METHODS and bool(self.data[:1]) and bool(self.data[0] & _MORE)

    @property
    def tls(self) -> bytes:
        """The piece of TLS in it."""
        if self.kind not in METHODS or self.begins or not self.data:
            return b""
        return self.data[5:] if self.data[0] & _LENGTH else self.data[1:]


@dataclass(frozen=True, slots=True)
class Packet:
    """One RADIUS packet."""

    code: int
    id: int
    authenticator: bytes
    attributes: tuple[tuple[int, bytes], ...]

    def value(self, kind: int) -> bytes:
        """The attributes of this kind in one piece, as long values are meant."""
        return b"".join(value for one, value in self.attributes if one == kind)

    @property
    def eap(self) -> Eap | None:
        """The EAP message in it, or None."""
        data = self.value(EAP_MESSAGE)
        if not data:
            return None
        if len(data) < 4 or int.from_bytes(data[2:4]) != len(data):
            raise ValueError("an EAP message of another length than it says")
        return Eap(data[0], data[1], data[4] if len(data) > 4 else 0, data[5:])


def packet(data: bytes) -> Packet:
    """A packet from its bytes; what is behind its length is padding (RFC 2865 section 3)."""
    size = int.from_bytes(data[2:4])
    if not 20 <= size <= min(len(data), 4096):
        raise ValueError("a RADIUS packet of another length than it says")
    attributes, at = [], 20
    while at < size:
        length = data[at + 1] if at + 1 < size else 0
        if length < 2 or at + length > size:
            raise ValueError("a RADIUS attribute that does not fit")
        attributes.append((data[at], data[at + 2 : at + length]))
        at += length
    return Packet(data[0], data[1], data[4:20], tuple(attributes))


def written(code: int, id_: int, authenticator: bytes, attributes: Iterable[tuple[int, bytes]]) -> bytes:
    """A packet from its parts."""
    body = b"".join(bytes([kind, len(value) + 2]) + value for kind, value in attributes)
    return bytes([code, id_]) + (len(body) + 20).to_bytes(2) + authenticator + body


def _signed(data: bytes, secret: bytes) -> bytes:
    """Message-Authenticator over a packet in which it is zero (RFC 3579 section 3.2)."""
    return hmac.new(secret, data, "md5").digest()


def access_request(
    id_: int, authenticator: bytes, eap: bytes, secret: bytes, user: str, state: bytes
) -> bytes:
    """An Access-Request with this EAP message, signed; Message-Authenticator comes first, as CVE-2024-3596 taught."""
    pieces = [(EAP_MESSAGE, eap[at : at + _VALUE]) for at in range(0, len(eap), _VALUE)]
    attributes = [
        (USER_NAME, user.encode()),
        (NAS_IDENTIFIER, b"keurmeester"),
        (NAS_PORT_TYPE, (19).to_bytes(4)),  # wireless, IEEE 802.11
        (FRAMED_MTU, (1400).to_bytes(4)),
        *([(STATE, state)] if state else []),
        *pieces,
    ]
    unsigned = written(ACCESS_REQUEST, id_, authenticator, [(MESSAGE_AUTHENTICATOR, bytes(16)), *attributes])
    signature = _signed(unsigned, secret)
    return written(ACCESS_REQUEST, id_, authenticator, [(MESSAGE_AUTHENTICATOR, signature), *attributes])


def is_genuine(data: bytes, request: bytes, secret: bytes) -> bool:
    """Whether an answer is of who knows the secret, and to this request.

    RFC 2865 section 3 (Response Authenticator), RFC 3579 section 3.2 (Message-Authenticator, which must be there when
    EAP is). Raises ValueError when it is no packet.
    """
    answer, asked = packet(data), request[4:20]
    body = data[20 : int.from_bytes(data[2:4])]
    expected = md5(data[:4] + asked + body + secret, usedforsecurity=False).digest()
    if answer.id != request[1] or not hmac.compare_digest(answer.authenticator, expected):
        return False
    signature = answer.value(MESSAGE_AUTHENTICATOR)
    if not signature:
        return answer.eap is None
    unsigned = written(
        answer.code,
        answer.id,
        asked,
        [
            (kind, bytes(len(value)) if kind == MESSAGE_AUTHENTICATOR else value)
            for kind, value in answer.attributes
        ],
    )
    return hmac.compare_digest(signature, _signed(unsigned, secret))


def redacted(data: bytes) -> bytes:
    """The packet as it may be kept: zeros for what is made with the secret. A request's own random stays."""
    seen = packet(data)
    return written(
        seen.code,
        seen.id,
        seen.authenticator if seen.code == ACCESS_REQUEST else bytes(16),
        [(kind, value if kind in KEPT else bytes(len(value))) for kind, value in seen.attributes],
    )


def response(id_: int, kind: int, data: bytes) -> bytes:
    """An EAP response of this type."""
    return bytes([RESPONSE, id_]) + (len(data) + 5).to_bytes(2) + bytes([kind]) + data


def pieces(tls: bytes) -> list[bytes]:
    """What is to be said in a method with TLS, as the data of one EAP response after the other."""
    parts = [tls[at : at + PIECE] for at in range(0, len(tls), PIECE)]
    if len(parts) < 2:
        return [b"\0" + tls]
    first = bytes([_LENGTH | _MORE]) + len(tls).to_bytes(4) + parts[0]
    return [first, *(bytes([_MORE]) + part for part in parts[1:-1]), b"\0" + parts[-1]]


#: Says that a piece has come (RFC 5216 section 2.1.5).
ACKNOWLEDGED: Final = b"\0"


def eap_in(data: bytes) -> Eap | None:
    """The EAP message in a packet; None for no packet at all, or one without."""
    return packet(data).eap if data else None


def within(exchange: Exchange, ask: str) -> Exchange:
    """The TLS in a RADIUS exchange, as an exchange of its own; without turns when it never came to a hello."""
    turns: list[Turn] = []
    for turn in exchange.turns:
        said, heard = (found.tls if found else b"" for found in (eap_in(turn.sent), eap_in(turn.received)))
        if not said and not turns:
            continue
        if turns and (not said or not turns[-1].received):
            last = turns.pop()
            said, heard = last.sent + said, last.received + heard
        turns.append(Turn(said, heard))
    return Exchange(ask, tuple(turns), exchange.end)
