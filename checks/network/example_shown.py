"""TLS ports on paper, for the examples of certificate checks: what is shown, and the roots the scanner trusts."""

from __future__ import annotations

import base64
from typing import Any, Final

from checks.network import example_certificates as made
from checks.network import example_served as more
from checks.network import example_tls

LISTENS: Final = 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n'


def pem(*ders: str) -> str:
    """Base64 of DER as PEM."""
    return "".join(f"-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n" for der in ders)


def seen(*chain: str, name: str = "www.example.nl", staple: str = "", **others: Any) -> dict[str, Any]:
    """An example: one port, the chain it shows, and the roots the scanner trusts."""
    ders = [base64.b64decode(one) for one in chain]
    return {
        "sockets": LISTENS,
        "walk": example_tls.chain("TLSv1.3", ders, base64.b64decode(staple)),
        "anchors": pem(made.ROOT, more.ROOT),
        "target": {"services": [{"port": 443, "tls": True, "server_name": name}], **others.pop("about", {})},
        **others,
    }


def given(der: str, **others: Any) -> dict[str, Any]:
    """An example of a certificate under the issuing CA, which is shown behind it."""
    return seen(der, more.ISSUING, **others)
