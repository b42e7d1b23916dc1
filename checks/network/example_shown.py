"""TLS ports on paper, for the examples of certificate checks: what is shown, and the roots the scanner trusts.

Bytes are made when an example is looked at, not when the checks are loaded.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from checks.network import example_certificates as made
from checks.network import example_served as more
from scanner import Exchange, Raw, Turn, exchanges, radius
from scanner.transcript import write

LISTENS: Final = 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n'


def trusted(*roots: str, own: str = "") -> str:
    """What the scanner says of its own store: these roots (base64 of DER), and one of the inventory."""
    head = f"{len(roots) + bool(own)} of 140 trust anchors, sha256 of all {'0' * 64}\n"
    return head + "".join(map(_pem, roots)) + (f"# of the inventory\n{_pem(own)}" if own else "")


def _pem(der: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"


def plain() -> bytes:
    """A port that answers in something else than TLS."""
    from checks.network import example_tls

    return example_tls.plain()


def _shown(chain: Sequence[bytes], staple: bytes) -> bytes:
    from checks.network import example_tls

    return example_tls.chain("TLSv1.3", chain, staple)


def seen(*chain: str, name: str = "www.example.nl", staple: str = "", **others: Any) -> dict[str, Any]:
    """An example: one port, the chain it shows, and the roots the scanner trusts."""
    ders = [base64.b64decode(one) for one in chain]
    return {
        "sockets": LISTENS,
        "walk": partial(_shown, ders, base64.b64decode(staple)),
        "anchors": trusted(made.ROOT, more.ROOT),
        "target": {"services": [{"port": 443, "tls": True, "server_name": name}], **others.pop("about", {})},
        **others,
    }


def on_wifi(
    *chain: str, ends: int = 0, at_hello: bool = False, version: str = "TLSv1.2", **others: Any
) -> dict[str, Any]:
    """An example: a RADIUS server and the chain it shows in EAP; or it ``ends`` with this code, at once or later."""
    ders = [base64.b64decode(one) for one in chain]
    service = {"port": 1812, "protocol": "udp", "name": "radius", "server_name": "www.example.nl"}
    return {
        **seen(),
        "sockets": LISTENS.replace(":443 ", ":80 "),
        "walk": partial(_in_eap, ders, version, ends, at_hello),
        "target": {"services": [service]},
        **others,
    }


def _in_eap(chain: Sequence[bytes], version: str, ends: int, at_hello: bool) -> bytes:
    """The conversation as a channel keeps it: a name, the beginning of PEAP, the hello, the answer piece by piece."""
    from checks.network import example_tls

    (tls,) = exchanges(Raw(out=example_tls.chain(version, chain)))
    hello, answer = radius.pieces(tls.sent), radius.pieces(tls.received)
    said = [b"keurmeester-test", *hello, *[radius.ACKNOWLEDGED] * (len(answer) - 1)]
    heard = [b"\x20", *[radius.ACKNOWLEDGED] * (len(hello) - 1), *answer]
    turns = [_turn(at, *both) for at, both in enumerate(zip(said, heard, strict=True))]
    if ends:
        last = len(hello) if at_hello else 0
        turns[last:] = [Turn(turns[last].sent, radius.written(ends, last, bytes(16), []))]
    return write([Exchange("EAP", tuple(turns), "done")])


def _turn(at: int, said: bytes, heard: bytes) -> Turn:
    ours = radius.response(at, 25 if at else radius.IDENTITY, said)
    asked = radius.redacted(radius.access_request(at, bytes(16), ours, b"-", "", b""))
    eap = bytes([radius.REQUEST, at]) + (len(heard) + 5).to_bytes(2) + b"\x19" + heard
    pieces = [(radius.EAP_MESSAGE, eap[to : to + 253]) for to in range(0, len(eap), 253)]
    return Turn(asked, radius.written(radius.ACCESS_CHALLENGE, at, bytes(16), pieces))


def given(der: str, **others: Any) -> dict[str, Any]:
    """An example of a certificate under the issuing CA, which is shown behind it."""
    return seen(der, more.ISSUING, **others)
