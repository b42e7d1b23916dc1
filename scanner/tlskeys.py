"""Keys enough to read what a TLS 1.3 server encrypts in its first flight: its certificates and what goes with them.

The private keys of our side are made from the random in the ClientHello. Such a conversation hides nothing: nothing
of ours is sent in it. And so anyone can read it again from the evidence, which is the bytes alone (RFC 8446 section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256, sha512
from typing import Any, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scanner.tlswire import (
    ALERT,
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    FINISHED,
    HANDSHAKE,
    KEY_SHARE,
    Alert,
    Reader,
    ServerHello,
    message,
    messages,
    read_client_hello,
    vector,
)

X25519, X448 = 0x001D, 0x001E
_CURVES: Final[dict[int, Any]] = {0x0017: ec.SECP256R1(), 0x0018: ec.SECP384R1(), 0x0019: ec.SECP521R1()}
#: The groups we can answer in, the commonest first.
GROUPS: Final = (X25519, 0x0017, 0x0018, 0x0019, X448, 0x11EC, 0x11EB, 0x11ED)
#: Hybrid -> its elliptic part, whether that comes first, the class of its lattice key and the size of what comes back
#: (draft-ietf-tls-ecdhe-mlkem section 3).
_HYBRIDS: Final[dict[int, tuple[int, bool, Any, int]]] = {
    0x11EC: (X25519, False, mlkem.MLKEM768PrivateKey, 1088),
    0x11EB: (0x0017, True, mlkem.MLKEM768PrivateKey, 1088),
    0x11ED: (0x0018, True, mlkem.MLKEM1024PrivateKey, 1568),
}
#: TLS 1.3 suite -> hash, cipher, bytes of key.
_CIPHERS: Final[dict[int, tuple[Any, Any, int]]] = {
    0x1301: (hashes.SHA256(), AESGCM, 16),
    0x1302: (hashes.SHA384(), AESGCM, 32),
    0x1303: (hashes.SHA256(), ChaCha20Poly1305, 32),
    0x1304: (hashes.SHA256(), AESCCM, 16),
    0x1305: (hashes.SHA256(), lambda key: AESCCM(key, tag_length=8), 16),
}
SUITES: Final = tuple(_CIPHERS)


def _private(group: int, random: bytes) -> Any:
    seed = sha256(b"keurmeester: a conversation that hides nothing" + group.to_bytes(2) + random).digest()
    if group == X25519:
        return x25519.X25519PrivateKey.from_private_bytes(seed)
    if group == X448:
        return x448.X448PrivateKey.from_private_bytes(seed + seed[:24])
    if group in _CURVES:
        return ec.derive_private_key(int.from_bytes(seed) >> 1, _CURVES[group])
    raise ValueError(f"no key for group 0x{group:04X}")


def _lattice(group: int, random: bytes) -> Any:
    return _HYBRIDS[group][2].from_seed_bytes(sha512(group.to_bytes(2) + random).digest())


def key_share(group: int, random: bytes) -> bytes:
    """Our public key for this group in the hello with this random. Raises ValueError for a group we have no key in."""
    if group in _HYBRIDS:
        elliptic, first, _, _ = _HYBRIDS[group]
        halves = key_share(elliptic, random), bytes(_lattice(group, random).public_key().public_bytes_raw())
        return b"".join(halves if first else halves[::-1])
    public = _private(group, random).public_key()
    if group in _CURVES:
        return bytes(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    return bytes(public.public_bytes_raw())


def shared(group: int, random: bytes, theirs: bytes) -> bytes:
    """What both sides come to know, from our random and their public key. Raises ValueError."""
    if group in _HYBRIDS:
        elliptic, first, _, size = _HYBRIDS[group]
        cut = len(theirs) - size if first else size
        share, sealed = (theirs[:cut], theirs[cut:]) if first else (theirs[cut:], theirs[:cut])
        secrets = shared(elliptic, random, share), bytes(_lattice(group, random).decapsulate(sealed))
        return b"".join(secrets if first else secrets[::-1])
    ours = _private(group, random)
    if group == X25519:
        return bytes(ours.exchange(x25519.X25519PublicKey.from_public_bytes(theirs)))
    if group == X448:
        return bytes(ours.exchange(x448.X448PublicKey.from_public_bytes(theirs)))
    point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[group], theirs)
    return bytes(ours.exchange(ec.ECDH(), point))


def _expand(secret: bytes, label: str, context: bytes, size: int, digest: Any) -> bytes:
    info = size.to_bytes(2) + vector(b"tls13 " + label.encode(), 1) + vector(context, 1)
    return HKDFExpand(digest, size, info).derive(secret)


def _extract(salt: bytes, secret: bytes, digest: Any) -> bytes:
    one = hmac.HMAC(salt, digest)
    one.update(secret)
    return one.finalize()


def hashed(data: bytes, digest: Any) -> bytes:
    """The digest of the data."""
    one = hashes.Hash(digest)
    one.update(data)
    return one.finalize()


def handshake_secrets(transcript: bytes, suite: int, shared: bytes) -> tuple[bytes, bytes, bytes]:
    """The client's and the server's handshake traffic secret, and the master secret (RFC 8446 section 7.1)."""
    digest = _CIPHERS[suite][0]
    zero, nothing = bytes(digest.digest_size), hashed(b"", digest)
    early = _extract(zero, zero, digest)
    secret = _extract(_expand(early, "derived", nothing, digest.digest_size, digest), shared, digest)
    seen = hashed(transcript, digest)
    client, server = (
        _expand(secret, f"{side} hs traffic", seen, digest.digest_size, digest) for side in ("c", "s")
    )
    master = _extract(_expand(secret, "derived", nothing, digest.digest_size, digest), zero, digest)
    return client, server, master


class Direction:
    """One side's records under one traffic secret: opens and seals them, counting."""

    def __init__(self, secret: bytes, suite: int) -> None:
        digest, cipher, size = _CIPHERS[suite]
        self._cipher = cipher(_expand(secret, "key", b"", size, digest))
        self._iv = int.from_bytes(_expand(secret, "iv", b"", 12, digest))
        self._count = 0

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._count).to_bytes(12)
        self._count += 1
        return nonce

    def open(self, record: bytes) -> tuple[int, bytes]:
        """Kind and content of one record. Raises ValueError when it is not under this key."""
        try:
            plain = self._cipher.decrypt(self._nonce(), record[5:], record[:5]).rstrip(b"\0")
        except InvalidTag:
            raise ValueError("a TLS 1.3 record that does not open") from None
        if not plain:
            raise ValueError("a TLS 1.3 record without a kind")
        return plain[-1], plain[:-1]

    def seal(self, kind: int, content: bytes) -> bytes:
        """One record."""
        plain = content + bytes([kind])
        header = b"\x17\x03\x03" + (len(plain) + 16).to_bytes(2)
        return bytes(header + self._cipher.encrypt(self._nonce(), plain, header))


def conversation(hellos: Sequence[tuple[int, bytes]], suite: int) -> bytes:
    """The hellos as they are hashed: after a HelloRetryRequest the first one is a hash (RFC 8446 section 4.4.1)."""
    said = [message(kind, body) for kind, body in hellos]
    if len(said) > 2:
        said[0] = message(254, hashed(said[0], _CIPHERS[suite][0]))
    return b"".join(said)


Hellos: TypeAlias = Sequence[tuple[int, bytes]]


def _secrets(hellos: Hellos, chosen: ServerHello, random: bytes) -> tuple[bytes, bytes, bytes]:
    """The handshake secrets of both sides, and the one that comes after (RFC 8446 section 7.1)."""
    if chosen.suite not in _CIPHERS:
        raise ValueError(f"no cipher for suite 0x{chosen.suite:04X}")
    reader = Reader(chosen.extensions.get(KEY_SHARE, b""))
    group, theirs = reader.number(2), reader.vector(2)
    return handshake_secrets(conversation(hellos, chosen.suite), chosen.suite, shared(group, random, theirs))


def open_flight(
    hellos: Hellos, chosen: ServerHello, random: bytes, sealed: Sequence[bytes]
) -> tuple[list[tuple[int, bytes]], Alert | None]:
    """The handshake messages in the server's encrypted records, as far as they are complete, and the alert if any.

    ``hellos`` are all so far, ours and theirs; ``chosen`` is the last of theirs; ``random`` that of ours. What comes
    after its Finished is under other keys. Raises ValueError when it does not open.
    """
    _, theirs, after = _secrets(hellos, chosen, random)
    direction, handshake, finished = Direction(theirs, chosen.suite), b"", False
    for one in sealed:
        kind, content = direction.open(one)
        if kind == ALERT and len(content) == 2:
            return messages(handshake), Alert(*content)
        if kind != HANDSHAKE:
            break
        handshake += content
        if not finished and any(kind == FINISHED for kind, _ in messages(handshake)):
            said = conversation(hellos, chosen.suite) + handshake
            finished, direction = (
                True,
                Direction(_traffic(after, "s ap traffic", said, chosen.suite), chosen.suite),
            )
    return messages(handshake), None


def _traffic(secret: bytes, label: str, said: bytes, suite: int) -> bytes:
    digest = _CIPHERS[suite][0]
    return _expand(secret, label, hashed(said, digest), digest.digest_size, digest)


def farewell(hellos: Hellos, chosen: ServerHello, random: bytes, sealed: Sequence[bytes]) -> bytes:
    """Our side's end of the handshake, with no certificate if one was asked for, and close_notify behind it."""
    ours, _, after = _secrets(hellos, chosen, random)
    suite, digest = chosen.suite, _CIPHERS[chosen.suite][0]
    opened, _ = open_flight(hellos, chosen, random, sealed)
    said = conversation(hellos, suite) + b"".join(message(*one) for one in opened)
    keys, records = Direction(ours, suite), b""
    application = Direction(_traffic(after, "c ap traffic", said, suite), suite)
    for kind, body in opened:
        if kind == CERTIFICATE_REQUEST:
            nothing = message(CERTIFICATE, vector(Reader(body).vector(1), 1) + bytes(3))
            said, records = said + nothing, records + keys.seal(HANDSHAKE, nothing)
    key = _expand(ours, "finished", b"", digest.digest_size, digest)
    proof = message(FINISHED, _extract(key, hashed(said, digest), digest))
    return records + keys.seal(HANDSHAKE, proof) + application.seal(ALERT, b"\1\0")


def server_application(said: Hellos, chosen: ServerHello, random: bytes) -> Direction:
    """The direction in which a server seals what comes after its Finished; ``said``: its messages, behind our hello."""
    theirs = read_client_hello(said[0][1]).key_shares[Reader(chosen.extensions[KEY_SHARE]).number(2)]
    group = Reader(chosen.extensions[KEY_SHARE]).number(2)
    secrets = handshake_secrets(
        conversation(said[:2], chosen.suite), chosen.suite, shared(group, random, theirs)
    )
    whole = b"".join(message(*one) for one in said)
    return Direction(_traffic(secrets[2], "s ap traffic", whole, chosen.suite), chosen.suite)


def server_side(hellos: Sequence[tuple[int, bytes]], suite: int, group: int, random: bytes) -> Direction:
    """The direction in which a server seals its first flight, when its own key is made from ``random`` as ours are."""
    theirs = read_client_hello(hellos[-2][1]).key_shares[group]
    secrets = handshake_secrets(conversation(hellos, suite), suite, shared(group, random, theirs))
    return Direction(secrets[1], suite)
