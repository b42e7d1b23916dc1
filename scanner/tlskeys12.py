"""Keys enough to finish a handshake of TLS 1.2 and ask for another one inside it: does the server let a client do so?

As in `tlskeys`, our private key is made from the random in the ClientHello, so that the evidence can be read again.
Suites with ECDHE and AEAD only (RFC 5246 section 8.1, RFC 5288, RFC 7905, RFC 8422).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from scanner import tlskeys
from scanner.tlswire import (
    ALERT,
    CHANGE,
    CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    HANDSHAKE,
    RENEGOTIATION_INFO,
    ClientHello,
    message,
    read_client_hello,
    record,
    vector,
)

TLS12: Final = 0x0303
_AES128: Final = (hashes.SHA256(), AESGCM, 16, 4)
_AES256: Final = (hashes.SHA384(), AESGCM, 32, 4)
_CHACHA: Final = (hashes.SHA256(), ChaCha20Poly1305, 32, 12)
#: Suite -> hash, cipher, bytes of key, bytes of fixed nonce.
_CIPHERS: Final[dict[int, tuple[Any, Any, int, int]]] = {
    0xC02F: _AES128, 0xC02B: _AES128, 0xC030: _AES256, 0xC02C: _AES256, 0xCCA8: _CHACHA, 0xCCA9: _CHACHA,
}  # fmt: skip
SUITES: Final = tuple(_CIPHERS)


def _prf(secret: bytes, label: str, seed: bytes, size: int, digest: Any) -> bytes:
    """RFC 5246 section 5."""

    def mac(data: bytes) -> bytes:
        one = hmac.HMAC(secret, digest)
        one.update(data)
        return one.finalize()

    seed, out = label.encode() + seed, b""
    chained = seed
    while len(out) < size:
        chained = mac(chained)
        out += mac(chained + seed)
    return out[:size]


class Direction:
    """One side's records, counting."""

    def __init__(self, suite: int, key: bytes, iv: bytes) -> None:
        self._cipher, self._iv, self._count = _CIPHERS[suite][1](key), iv, 0

    def _next(self, kind: int, size: int) -> tuple[bytes, bytes, bytes]:
        """The nonce, what of it goes along, and what is authenticated besides."""
        count = self._count.to_bytes(8)
        self._count += 1
        besides = count + bytes([kind]) + TLS12.to_bytes(2) + size.to_bytes(2)
        if len(self._iv) == 4:
            return self._iv + count, count, besides
        return (int.from_bytes(self._iv) ^ (self._count - 1)).to_bytes(12), b"", besides

    def seal(self, kind: int, content: bytes) -> bytes:
        """One record."""
        nonce, along, besides = self._next(kind, len(content))
        return record(kind, TLS12, along + self._cipher.encrypt(nonce, content, besides))

    def open(self, sealed: bytes) -> tuple[int, bytes]:
        """Kind and content of one record. Raises ValueError when it is not under this key."""
        kind, body = sealed[0], sealed[5:]
        explicit = 8 if len(self._iv) == 4 else 0
        nonce, _, besides = self._next(kind, len(body) - explicit - 16)
        if explicit:
            nonce = self._iv + body[:8]
        try:
            return kind, self._cipher.decrypt(nonce, body[explicit:], besides)
        except InvalidTag:
            raise ValueError("a TLS 1.2 record that does not open") from None


@dataclass(frozen=True)
class Finish:
    """What finishes the handshake on our side, and what is needed to go on inside it."""

    records: bytes
    proof: bytes
    master: bytes
    said: bytes
    ours: Direction
    theirs: Direction


def finish(
    suite: int, group: int, theirs: bytes, randoms: tuple[bytes, bytes], said: bytes, *, asked: bool
) -> Finish:
    """ClientKeyExchange, ChangeCipherSpec and Finished.

    ``theirs`` is the server's public key, ``randoms`` ours and theirs, ``said`` all handshake messages so far.
    ``asked``: the server asked for a certificate, and gets none. Raises ValueError when the suite is none of ours.
    """
    if suite not in _CIPHERS:
        raise ValueError(f"no cipher for suite 0x{suite:04X}")
    digest, _, size, fixed = _CIPHERS[suite]
    client, server = randoms
    shared = tlskeys.shared(group, client, theirs)
    master = _prf(shared, "master secret", client + server, 48, digest)
    block = _prf(master, "key expansion", server + client, 2 * (size + fixed), digest)
    keys = (block[:size], block[size : 2 * size])
    ivs = (block[2 * size : 2 * size + fixed], block[2 * size + fixed :])
    ours, other = (Direction(suite, key, iv) for key, iv in zip(keys, ivs, strict=True))
    nothing = message(11, bytes(3)) if asked else b""
    exchange = message(CLIENT_KEY_EXCHANGE, vector(tlskeys.key_share(group, client), 1))
    said += nothing + exchange
    proof = _prf(master, "client finished", tlskeys.hashed(said, digest), 12, digest)
    finished = message(FINISHED, proof)
    records = b"".join(record(HANDSHAKE, TLS12, one) for one in (nothing, exchange) if one)
    records += record(CHANGE, TLS12, b"\1") + ours.seal(HANDSHAKE, finished)
    return Finish(records, proof, master, said + finished, ours, other)


def again(finished: Finish, hello: bytes) -> bytes:
    """Another ClientHello inside the connection, as RFC 5746 wants it, and close_notify behind it.

    A server that ignores the hello closes then, so that nobody has to wait for an answer that never comes.
    """
    old = read_client_hello(hello)
    extensions = dict(old.extensions) | {RENEGOTIATION_INFO: vector(finished.proof, 1)}
    new = ClientHello(old.version, old.suites, sha256(old.random).digest(), b"", (0,), extensions)
    return finished.ours.seal(HANDSHAKE, message(CLIENT_HELLO, new.body)) + finished.ours.seal(ALERT, b"\1\0")
