"""TLS servers on paper, for the examples of checks: real hellos of ours, and answers as a server gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scanner import tlskeys, tlswire, transcript
from scanner.tlsnames import TLS12, TLS13, VERSIONS
from scanner.tlswalk import Question, Survey, Visit
from scanner.transcript import Exchange, Turn

_RANDOM: Final = bytes(range(32))
_VISIT: Final = Visit("www.example.nl", lambda size: _RANDOM[:size])


def _question(parts: str) -> Question:
    asked = next(next(iter(next(iter(Survey(_VISIT, parts).stages())))))
    assert isinstance(asked, Question)
    return asked


#: A port that answers a hello in HTTP.
PLAIN: Final = transcript.write(
    [Exchange("chain", (Turn(_question("chain").hello, b"HTTP/1.1 400 Bad Request\r\n\r\n"),), "done")]
)


def chain(version: str, certificates: Sequence[bytes]) -> bytes:
    """The walk "chain" to a server that chooses this version and shows these certificates."""
    question = _question("chain")
    number = VERSIONS[version]
    flight = _new(question.hello, certificates) if number == TLS13 else _old(number, certificates)
    return transcript.write([Exchange("chain", (Turn(question.hello, flight),), "done")])


def _old(number: int, certificates: Sequence[bytes]) -> bytes:
    hello = number.to_bytes(2) + _RANDOM + b"\0" + b"\0\x2f" + b"\0"
    said = [
        (tlswire.SERVER_HELLO, hello),
        (tlswire.CERTIFICATE, tlswire.vector(b"".join(tlswire.vector(one, 3) for one in certificates), 3)),
        (tlswire.SERVER_HELLO_DONE, b""),
    ]
    return b"".join(tlswire.record(tlswire.HANDSHAKE, number, tlswire.message(*one)) for one in said)


def _new(sent: bytes, certificates: Sequence[bytes]) -> bytes:
    suite, group = 0x1302, tlskeys.X25519
    asked = tlswire.flight(sent).messages[0]
    share = group.to_bytes(2) + tlswire.vector(tlskeys.key_share(group, b"server"))
    session = tlswire.read_client_hello(asked[1]).session
    more = b"".join(
        kind.to_bytes(2) + tlswire.vector(data)
        for kind, data in ((tlswire.SUPPORTED_VERSIONS, TLS13.to_bytes(2)), (tlswire.KEY_SHARE, share))
    )
    hello = (
        TLS12.to_bytes(2)
        + _RANDOM
        + tlswire.vector(session, 1)
        + suite.to_bytes(2)
        + b"\0"
        + tlswire.vector(more)
    )
    seal = tlskeys.server_side([asked, (tlswire.SERVER_HELLO, hello)], suite, group, b"server")
    listed = b"".join(tlswire.vector(one, 3) + b"\0\0" for one in certificates)
    hidden = [
        (tlswire.ENCRYPTED_EXTENSIONS, b"\0\0"),
        (tlswire.CERTIFICATE, b"\0" + tlswire.vector(listed, 3)),
        (tlswire.CERTIFICATE_VERIFY, b"\4\3\0\0"),
        (tlswire.FINISHED, bytes(48)),
    ]
    clear = tlswire.record(tlswire.HANDSHAKE, TLS12, tlswire.message(tlswire.SERVER_HELLO, hello))
    return clear + seal.seal(tlswire.HANDSHAKE, b"".join(tlswire.message(*one) for one in hidden))
