"""The protocol that the host's own TLS ports speak with a modern visitor.

Asked is one handshake per port where TLS is to be expected (checks/network/ports.py).
"""

from __future__ import annotations

import base64
from typing import Final

from checks.network import example_certificates as made
from checks.network import example_tls
from checks.network.ports import TlsPort
from checks.network.tls_endpoint import shown_to, spoken
from scanner import (
    DATA_FIRST,
    SECURE_DESIGN,
    Blind,
    Cause,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    TlsWalk,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_NCSC: Final = "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05"
_VERSIONS: Final = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@fact
class Spoken:
    """What a port and the scanner agreed to speak in one handshake."""

    port: int
    version: str
    cipher: str

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@probe(
    "tls",
    walk=Each(
        TlsPort, lambda port: TlsWalk(port.number, port.server_name, port.address, port.starttls, "chain", 10)
    ),
)
def agreed(walk: Raw, port: TlsPort) -> Spoken:
    """One hello as `TlsWalk` documents it."""
    shown = shown_to(spoken(walk, declared=port.declared), "right").whole
    if shown.alert:
        raise Blind(f"the server ends the handshake: {shown.alert}", Cause.TLS)
    if shown.version not in _VERSIONS:
        raise NotUnderstood("an unknown version of TLS")
    return Spoken(port.number, shown.version, shown.suite)


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "tls.protocol",
    principle=(SECURE_DESIGN, DATA_FIRST),
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="De dienst spreekt TLS 1.2 of nieuwer",
    why_nl="Oudere versies zijn gebroken. Wie met een moderne scanner niet hoger komt, biedt niets beters aan.",
    fix="# nginx: ssl_protocols TLSv1.2 TLSv1.3;    Apache: SSLProtocol -all +TLSv1.2 +TLSv1.3\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -tls1_2 </dev/null",
    references=(f"{_NCSC}, section 3.3.1", "RFC 8996"),
)
def protocol(agreed: Spoken) -> Verdict:
    """The service speaks TLS 1.2 or newer.

    Older versions are broken. A server that gets no higher with a modern scanner offers nothing better.
    """
    return holds(agreed.version in _VERSIONS[-2:], f"{agreed.version} {agreed.cipher}", "TLSv1.2 or TLSv1.3")


@check(
    "tls.newest-protocol",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De dienst spreekt TLS 1.3",
    why_nl="TLS 1.3 is volgens het NCSC 'goed', TLS 1.2 'voldoende': er kan minder verkeerd worden ingesteld.",
    fix="# nginx: ssl_protocols TLSv1.2 TLSv1.3;    Apache: SSLProtocol -all +TLSv1.2 +TLSv1.3\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -tls1_3 </dev/null",
    references=(f"{_NCSC}, section 3.3.1", "RFC 8446"),
)
def newest_protocol(agreed: Spoken) -> Verdict:
    """The service speaks TLS 1.3.

    TLS 1.3 is "good" according to the NCSC, TLS 1.2 "sufficient": less can be set wrong in it.
    """
    return holds(agreed.version == "TLSv1.3", f"{agreed.version} {agreed.cipher}", "TLSv1.3")


# --- examples -------------------------------------------------------------------------------------------------

_LISTENS: Final = 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n'


def _seen(version: str = "TLSv1.3") -> dict[str, object]:
    """An example: one port and what it speaks."""
    return {
        "sockets": _LISTENS,
        "walk": example_tls.chain(version, [base64.b64decode(made.GOOD)]),
        "target": {"services": [{"port": 443, "tls": True, "server_name": "www.example.nl"}]},
    }


examples(
    protocol,
    passes=[_seen(), _seen("TLSv1.2")],
    fails=_seen("TLSv1"),
    unknown={**_seen(), "walk": example_tls.PLAIN},
    notapplicable={**_seen(), "walk": example_tls.PLAIN, "target": {}},
)
examples(newest_protocol, passes=_seen(), fails=_seen("TLSv1.2"))
