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


def given(der: str, **others: Any) -> dict[str, Any]:
    """An example of a certificate under the issuing CA, which is shown behind it."""
    return seen(der, more.ISSUING, **others)
