"""The bytes of SSL 2 to TLS 1.3, built and read: pure, no input or output, no cryptography.

RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 6101 (SSL 3), draft-hickman-netscape-ssl-00 (SSL 2). Whatever is read is
hostile: lengths are strict and capped, and what does not add up raises ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from struct import pack, unpack
from typing import Final, NamedTuple

from scanner.tlsnames import ALERTS, SSL3, SUITES, TLS10, TLS12, TLS13

# Record types.
CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
# Handshake messages.
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS = 1, 2, 4, 8
CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE = 11, 12, 13, 14
CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, FINISHED, CERTIFICATE_STATUS = 15, 16, 20, 22
# Extensions (IANA, TLS ExtensionType Values).
SERVER_NAME, STATUS_REQUEST, SUPPORTED_GROUPS, POINT_FORMATS, SIGNATURE_ALGORITHMS = 0, 5, 10, 11, 13
HEARTBEAT, ALPN, TIMESTAMPS, ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET = 15, 16, 18, 22, 23
SESSION_TICKET, EARLY_DATA, SUPPORTED_VERSIONS, COOKIE, PSK_MODES = 35, 42, 43, 44, 45
CERTIFICATE_AUTHORITIES, KEY_SHARE, RENEGOTIATION_INFO = 47, 51, 0xFF01
#: Signalling values that look like suites: RFC 5746 and RFC 7507.
RENEGOTIATION_SCSV, FALLBACK_SCSV = 0x00FF, 0x5600

#: A HelloRetryRequest is a ServerHello with this random (RFC 8446 section 4.1.3).
RETRY: Final = sha256(b"HelloRetryRequest").digest()
#: Bytes in one record (RFC 5246 section 6.2.3 allows the most), and in one handshake message that we read.
RECORD_LIMIT: Final = (1 << 14) + 2048
MESSAGE_LIMIT: Final = 1 << 18


class Reader:
    """A cursor over bytes that never reads past the end. Raises ValueError when it would."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """So many bytes."""
        end = self._at + size
        if end > len(self._data):
            raise ValueError("a TLS message ends before its length says")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """Bytes behind a length of so many bytes."""
        return self.take(self.number(size))

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def end(self) -> None:
        """Raise ValueError when anything is left."""
        if self.left:
            raise ValueError(f"{self.left} bytes too many in a TLS message")


def vector(data: bytes, size: int = 2) -> bytes:
    """Bytes behind their length."""
    return len(data).to_bytes(size) + data


def numbers(values: Iterable[int], size: int = 2) -> bytes:
    """A list of numbers, without its length."""
    if size == 2:
        listed = tuple(values)
        return pack(f"!{len(listed)}H", *listed)
    return b"".join(value.to_bytes(size) for value in values)


def _split(data: bytes, size: int) -> tuple[int, ...]:
    if len(data) % size:
        raise ValueError("a list in a TLS message has half an item")
    if size == 2:
        return unpack(f"!{len(data) // 2}H", data)
    return tuple(int.from_bytes(data[at : at + size]) for at in range(0, len(data), size))


def record(kind: int, version: int, body: bytes) -> bytes:
    """One record, not encrypted."""
    return bytes([kind]) + version.to_bytes(2) + vector(body)


def message(kind: int, body: bytes) -> bytes:
    """One handshake message."""
    return bytes([kind]) + vector(body, 3)


def _extensions(data: bytes) -> dict[int, bytes]:
    reader, found = Reader(data), {}
    while reader.left:
        kind = reader.number(2)
        if kind in found:
            raise ValueError(f"extension {kind} comes twice")
        found[kind] = reader.vector(2)
    return found


# --- what we say ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What is offered, as it stands in the message. ``version`` is the old field: at most TLS 1.2."""

    version: int
    suites: tuple[int, ...]
    random: bytes
    session: bytes = b""
    compression: tuple[int, ...] = (0,)
    extensions: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The message without its header."""
        more = b"".join(kind.to_bytes(2) + vector(data) for kind, data in self.extensions.items())
        return (
            self.version.to_bytes(2)
            + self.random
            + vector(self.session, 1)
            + vector(numbers(self.suites))
            + vector(bytes(self.compression), 1)
            + (vector(more) if self.extensions else b"")
        )

    @property
    def record(self) -> bytes:
        """The message in a record of its own: what goes over the wire."""
        return record(HANDSHAKE, SSL3 if self.version == SSL3 else TLS10, message(CLIENT_HELLO, self.body))

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions offered, newest first where the extension says so."""
        data = self.extensions.get(SUPPORTED_VERSIONS)
        return _split(Reader(data).vector(1), 2) if data else (self.version,)

    @property
    def groups(self) -> tuple[int, ...]:
        """The groups offered."""
        return self._list(SUPPORTED_GROUPS)

    @property
    def schemes(self) -> tuple[int, ...]:
        """The signature schemes offered."""
        return self._list(SIGNATURE_ALGORITHMS)

    @property
    def server_name(self) -> str:
        """The name asked for, or nothing (RFC 6066 section 3)."""
        data = self.extensions.get(SERVER_NAME)
        if not data:
            return ""
        reader = Reader(Reader(data).vector(2))
        reader.number(1)
        return reader.vector(2).decode("ascii")

    @property
    def key_shares(self) -> dict[int, bytes]:
        """Group -> the public key sent along (RFC 8446 section 4.2.8)."""
        data = self.extensions.get(KEY_SHARE)
        return _key_shares(Reader(data).vector(2)) if data else {}

    def _list(self, kind: int) -> tuple[int, ...]:
        data = self.extensions.get(kind)
        return _split(Reader(data).vector(2), 2) if data else ()


def _key_shares(data: bytes) -> dict[int, bytes]:
    reader, found = Reader(data), {}
    while reader.left:
        group = reader.number(2)
        found[group] = reader.vector(2)
    return found


def client_hello(
    version: int,
    suites: Sequence[int],
    *,
    random: bytes,
    groups: Sequence[int] = (),
    schemes: Sequence[int] = (),
    server_name: str = "",
    key_shares: Mapping[int, bytes] | None = None,
    compression: tuple[int, ...] = (0,),
    more: Mapping[int, bytes] | None = None,
    older: Sequence[int] = (),
) -> ClientHello:
    """A ClientHello for this version, and for ``older`` ones too.

    TLS 1.3 asked with an empty key_share is answered by HelloRetryRequest, which names suite and group in clear. SSL 3
    has no extensions. ``more`` are further extensions, as they stand in the message; they replace ours.
    """
    extensions: dict[int, bytes] = {}
    if version > SSL3:
        if server_name:
            extensions[SERVER_NAME] = vector(b"\0" + vector(server_name.encode("ascii")))
        if groups:
            extensions[SUPPORTED_GROUPS] = vector(numbers(groups))
            extensions[POINT_FORMATS] = vector(b"\0", 1)
        if schemes and version >= TLS12:
            extensions[SIGNATURE_ALGORITHMS] = vector(numbers(schemes))
        if version >= TLS13:
            shares = b"".join(group.to_bytes(2) + vector(key) for group, key in (key_shares or {}).items())
            extensions[SUPPORTED_VERSIONS] = vector(numbers((version, *older)), 1)
            extensions[KEY_SHARE] = vector(shares)
            extensions[PSK_MODES] = vector(b"\1", 1)
        extensions |= more or {}
    session = sha256(random).digest() if version >= TLS13 else b""
    return ClientHello(min(version, TLS12), tuple(suites), random, session, compression, extensions)


def read_client_hello(body: bytes) -> ClientHello:
    """A ClientHello from the body of its message."""
    reader = Reader(body)
    version, random, session = reader.number(2), reader.take(32), reader.vector(1)
    suites, compression = _split(reader.vector(2), 2), tuple(reader.vector(1))
    extensions = _extensions(reader.vector(2)) if reader.left else {}
    reader.end()
    return ClientHello(version, suites, random, session, compression, extensions)


# --- what comes back ------------------------------------------------------------------------------------------


class Alert(NamedTuple):
    """Why the other side gives up (level 2), or a remark (level 1)."""

    level: int
    code: int

    def __str__(self) -> str:
        return ALERTS.get(self.code, f"alert {self.code}")


@dataclass(frozen=True, slots=True)
class Flight:
    """What came back, as far as it is complete: handshake messages, the first alert, encrypted records as they are."""

    messages: tuple[tuple[int, bytes], ...]
    alert: Alert | None
    sealed: tuple[bytes, ...]

    def first(self, kind: int) -> bytes | None:
        """The body of the first message of that kind."""
        return next((body for one, body in self.messages if one == kind), None)


def flight(data: bytes) -> Flight:
    """Read records and the handshake messages in them; what is not complete yet is left out.

    Behind ChangeCipherSpec all is encrypted; but not after a HelloRetryRequest, where it says nothing. That a name is
    not recognized may be a mere remark, behind which the handshake goes on (RFC 6066 section 3).

    Raises ValueError when the bytes are no TLS.
    """
    handshake, alert, changed, at = b"", None, False, 0
    sealed: list[bytes] = []
    while alert is None and at < len(data):
        kind = data[at]
        if not CHANGE <= kind <= DATA or (len(data) > at + 1 and data[at + 1] != 3):
            raise ValueError("this is no TLS record")
        if len(data) < at + 5:
            break
        size = int.from_bytes(data[at + 3 : at + 5])
        if size > RECORD_LIMIT or (size == 0 and kind != DATA):
            raise ValueError(f"a TLS record of {size} bytes")
        body = data[at + 5 : at + 5 + size]
        if len(body) < size:
            break
        changed = changed or kind == CHANGE
        if kind == DATA or (kind != CHANGE and (sealed or (changed and RETRY not in handshake))):
            sealed.append(data[at : at + 5 + size])
        elif kind == HANDSHAKE:
            handshake += body
        elif kind == ALERT:
            if size != 2:
                raise ValueError("an alert has two bytes")
            alert = Alert(body[0], body[1]) if body != b"\1\x70" else None
        at += 5 + size
    return Flight(tuple(messages(handshake)), alert, tuple(sealed))


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """The complete handshake messages in these bytes: kind and body."""
    found, at = [], 0
    while len(data) - at >= 4:
        size = int.from_bytes(data[at + 1 : at + 4])
        if size > MESSAGE_LIMIT:
            raise ValueError(f"a TLS message of {size} bytes")
        if len(data) - at - 4 < size:
            break
        found.append((data[at], data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What the server chose. ``retry``: it is a HelloRetryRequest. ``group`` is named in TLS 1.3 only."""

    version: int
    suite: int
    random: bytes
    session: bytes
    compression: int
    extensions: Mapping[int, bytes]
    retry: bool
    group: int | None


def server_hello(body: bytes) -> ServerHello:
    """A ServerHello or HelloRetryRequest from the body of its message."""
    reader = Reader(body)
    version, random, session = reader.number(2), reader.take(32), reader.vector(1)
    suite, compression = reader.number(2), reader.number(1)
    extensions = _extensions(reader.vector(2)) if reader.left else {}
    reader.end()
    if chosen := extensions.get(SUPPORTED_VERSIONS):
        version = int.from_bytes(chosen)
    if not SSL3 <= version <= TLS13:
        raise ValueError(f"a ServerHello of version 0x{version:04X}")
    share = extensions.get(KEY_SHARE)
    group = Reader(share).number(2) if share else None
    return ServerHello(version, suite, random, session, compression, extensions, random == RETRY, group)


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """What a ServerKeyExchange says of the key exchange.

    ``group`` is the curve by its number, or None. ``prime`` and ``generator`` are those of Diffie-Hellman, ``modulus``
    that of a temporary (export) RSA key. ``scheme`` is how it is signed: TLS 1.2 only.
    """

    group: int | None = None
    prime: bytes = b""
    generator: bytes = b""
    modulus: bytes = b""
    public: bytes = b""
    scheme: int | None = None

    @property
    def bits(self) -> int:
        """The size of the prime or modulus; 0 when there is none."""
        return int.from_bytes(self.prime or self.modulus).bit_length()


def key_exchange(body: bytes, suite: int, version: int) -> KeyExchange:
    """A ServerKeyExchange from the body of its message (RFC 5246 section 7.4.3, RFC 8422 section 5.4, RFC 4279)."""
    known = SUITES.get(suite)
    if known is None:
        raise ValueError(f"a ServerKeyExchange for suite 0x{suite:04X}")
    reader = Reader(body)
    group: int | None = None
    prime = generator = modulus = public = b""
    if "PSK" in known.authentication:
        reader.vector(2)
    if known.exchange == "ECDHE":
        if reader.number(1) != 3:
            return KeyExchange()  # a curve of its own making, spelled out
        group, public = reader.number(2), reader.vector(1)
    elif known.exchange == "DHE":
        prime, generator, public = (reader.vector(2) for _ in range(3))
    elif known.exchange == "RSA" and known.export:
        modulus, _ = reader.vector(2), reader.vector(2)
    elif known.exchange == "SRP":
        prime, generator, _ = reader.vector(2), reader.vector(2), reader.vector(1)
        public = reader.vector(2)
    elif "PSK" not in known.authentication:
        raise ValueError(f"a ServerKeyExchange for {known.name}")
    scheme = None
    if known.authentication in {"RSA", "DSS", "ECDSA"}:
        scheme = reader.number(2) if version >= TLS12 else None
        reader.vector(2)
    reader.end()
    return KeyExchange(group, prime, generator, modulus, public, scheme)


def certificates(body: bytes) -> list[bytes]:
    """The certificates (DER) of a Certificate message up to TLS 1.2."""
    reader = Reader(body)
    listed, found = Reader(reader.vector(3)), []
    reader.end()
    while listed.left:
        found.append(listed.vector(3))
    return found


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a Certificate message of TLS 1.3 holds: the certificates (DER), and the first one's OCSP answer."""

    chain: tuple[bytes, ...]
    staple: bytes = b""


def certificates13(body: bytes) -> Certificates:
    """A Certificate message of TLS 1.3 (RFC 8446 section 4.4.2)."""
    reader = Reader(body)
    reader.vector(1)
    listed, chain, staple = Reader(reader.vector(3)), [], b""
    reader.end()
    while listed.left:
        chain.append(listed.vector(3))
        extensions = _extensions(listed.vector(2))
        if len(chain) == 1 and STATUS_REQUEST in extensions:
            staple = certificate_status(extensions[STATUS_REQUEST])
    return Certificates(tuple(chain), staple)


def certificate_status(body: bytes) -> bytes:
    """The OCSP answer (DER) in a CertificateStatus message (RFC 6066 section 8)."""
    reader = Reader(body)
    if reader.number(1) != 1:
        raise ValueError("a certificate status of another kind than OCSP")
    answer = reader.vector(3)
    reader.end()
    return answer


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """Which certificates of a client the server would take: names of CAs (DER) and signature schemes."""

    authorities: tuple[bytes, ...]
    schemes: tuple[int, ...]


def certificate_request(body: bytes, version: int) -> CertificateRequest:
    """A CertificateRequest from the body of its message (RFC 5246 section 7.4.4, RFC 8446 section 4.3.2)."""
    reader = Reader(body)
    reader.vector(1)
    if version >= TLS13:
        extensions = _extensions(reader.vector(2))
        names = extensions.get(CERTIFICATE_AUTHORITIES)
        listed = Reader(Reader(names).vector(2) if names else b"")
        schemes = _split(Reader(extensions.get(SIGNATURE_ALGORITHMS, b"\0\0")).vector(2), 2)
    else:
        schemes = _split(reader.vector(2), 2) if version == TLS12 else ()
        listed = Reader(reader.vector(2))
    reader.end()
    authorities = []
    while listed.left:
        authorities.append(listed.vector(2))
    return CertificateRequest(tuple(authorities), schemes)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A NewSessionTicket of TLS 1.3: seconds it lives, and how many bytes of 0-RTT data it allows (0: none)."""

    lifetime: int
    early_data: int


def session_ticket(body: bytes) -> Ticket:
    """A NewSessionTicket of TLS 1.3 (RFC 8446 section 4.6.1)."""
    reader = Reader(body)
    lifetime, _ = reader.number(4), reader.number(4)
    reader.vector(1)
    reader.vector(2)
    extensions = _extensions(reader.vector(2))
    reader.end()
    return Ticket(lifetime, int.from_bytes(extensions.get(EARLY_DATA, b"")))


def encrypted_extensions(body: bytes) -> dict[int, bytes]:
    """The extensions in an EncryptedExtensions message (RFC 8446 section 4.3.1)."""
    reader = Reader(body)
    found = _extensions(reader.vector(2))
    reader.end()
    return found


def protocol_name(data: bytes) -> str:
    """The one protocol in a server's ALPN extension (RFC 7301 section 3.1)."""
    reader = Reader(Reader(data).vector(2))
    name = reader.vector(1)
    reader.end()
    return name.decode("ascii", "backslashreplace")


# --- SSL 2 ----------------------------------------------------------------------------------------------------


def ssl2_client_hello(suites: Sequence[int], challenge: bytes) -> bytes:
    """An SSL 2 CLIENT-HELLO, in its record of two bytes header."""
    ciphers = numbers(suites, 3)
    body = b"\1\0\2" + numbers((len(ciphers), 0, len(challenge))) + ciphers + challenge
    return (0x8000 | len(body)).to_bytes(2) + body


def read_ssl2_client_hello(data: bytes) -> tuple[int, ...]:
    """The suites offered in what `ssl2_client_hello` made."""
    reader = Reader(data)
    if reader.number(2) & 0x7FFF != reader.left or reader.take(3) != b"\1\0\2":
        raise ValueError("this is no SSL 2 CLIENT-HELLO")
    ciphers, session, challenge = (reader.number(2) for _ in range(3))
    found = _split(reader.take(ciphers), 3)
    reader.take(session + challenge)
    reader.end()
    return found


@dataclass(frozen=True, slots=True)
class Ssl2ServerHello:
    """What an SSL 2 server offers: its certificate (DER) and the suites it shares with us."""

    certificate: bytes
    suites: tuple[int, ...]


def ssl2_server_hello(data: bytes) -> Ssl2ServerHello | None:
    """An SSL 2 SERVER-HELLO; None when it is not complete yet. Raises ValueError when it is something else."""
    if len(data) < 3:
        return None
    header, size = (
        (2, int.from_bytes(data[:2]) & 0x7FFF) if data[0] & 0x80 else (3, int.from_bytes(data[:2]) & 0x3FFF)
    )
    if len(data) > header and data[header] != 4:
        raise ValueError("this is no SSL 2 SERVER-HELLO")
    if len(data) < header + size:
        return None
    reader = Reader(data[header : header + size])
    reader.take(3)
    if reader.number(2) != 2:
        raise ValueError("a SERVER-HELLO of another version than SSL 2")
    certificate, ciphers, connection = (reader.number(2) for _ in range(3))
    found = Ssl2ServerHello(reader.take(certificate), _split(reader.take(ciphers), 3))
    reader.take(connection)
    return found
