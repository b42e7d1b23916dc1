"""What a RADIUS server says to who logs in on the network (wifi): EAP with TLS in it, up to the certificates.

The conversation is the scanner's with the server itself, so what an access point would do with it is not seen. Its
certificates are judged with all others (served.py).
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from checks.network import example_certificates as made
from checks.network.example_shown import on_wifi
from checks.network.ports import RadiusServer
from scanner import (
    DATA_FIRST,
    SECURE_DESIGN,
    Blind,
    Cause,
    Each,
    EapTls,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    exchanges,
    fact,
    holds,
    probe,
    radius,
    tlsanswer,
    visible,
)
from scanner.tlsanswer import Answer

_ENDS: Final = {
    radius.ACCESS_REJECT: "the server rejects a made-up name before it shows a certificate",
    radius.ACCESS_CHALLENGE: "the server offers none of EAP-TLS, EAP-TTLS and PEAP",
}


@fact
class WifiVersions:
    """Of the old versions of TLS those with which a RADIUS server goes on, in EAP."""

    port: int
    accepted: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.port}/udp"


def one_login(server: RadiusServer, version: Literal["", "TLSv1", "TLSv1.1"] = "") -> EapTls:
    """One login that is begun, with this version of TLS alone, or any."""
    return EapTls(port=server.number, realm=server.realm, version=version)


def within_eap(walk: Raw) -> list[Answer]:
    """The one answer in a conversation as `EapTls` documents it. Raises Blind when it never came to a hello."""
    last = _last(walk)
    tls = radius.within(exchanges(walk)[0], "chain")
    if tls.turns:
        return [tlsanswer.read(tls)]
    if last.code not in _ENDS:
        raise NotUnderstood(f"the server answers a made-up name with a packet of code {last.code}")
    why = last.value(radius.REPLY_MESSAGE)[:80].decode(errors="replace")
    raise Blind(_ENDS[last.code] + (f": {visible(why)}" if why else ""), Cause.AUTH)


def _last(walk: Raw) -> radius.Packet:
    """The last that the server said."""
    exchange, *more = exchanges(walk)
    if more or not exchange.turns:
        raise NotUnderstood("a conversation with a RADIUS server is one exchange")
    return radius.packet(exchange.turns[-1].received)


def _goes_on(walk: Raw) -> bool:
    """Whether the server takes up the hello; a rejection right behind it refuses, as an alert does."""
    (answer,) = within_eap(walk)
    rejected = not answer.received and _last(walk).code == radius.ACCESS_REJECT
    if not (answer.accepted or answer.refused or rejected):
        raise NotUnderstood("the server neither takes up the hello nor refuses it")
    return answer.accepted


def _ask(version: Literal["", "TLSv1", "TLSv1.1"] = "") -> Each:
    return Each(RadiusServer, partial(one_login, version=version))


@probe("tls", newest=_ask(), tls10=_ask("TLSv1"), tls11=_ask("TLSv1.1"))
def wifi_versions(newest: Raw, tls10: Raw, tls11: Raw, server: RadiusServer) -> WifiVersions:
    """A refusal counts only of a server that goes on with any other version."""
    asked = {"TLS 1.0": tls10, "TLS 1.1": tls11}
    accepted = tuple(name for name, walk in asked.items() if _goes_on(walk))
    if not accepted and not _goes_on(newest):
        raise NotUnderstood("the server refuses newer versions of TLS too")
    return WifiVersions(server.number, accepted)


@check(
    "eap.old-versions-refused",
    principle=(SECURE_DESIGN, DATA_FIRST),
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="De RADIUS-server weigert TLS 1.0 en 1.1 bij het aanmelden op het netwerk (wifi)",
    why_nl="TLS 1.0 en 1.1 rusten op MD5 en SHA-1 en zijn ingetrokken; ze houden de deur open voor terugval.",
    fix="sed -Ei 's/^([[:space:]]*)#?[[:space:]]*tls_min_version = .*/\\1tls_min_version = \"1.2\"/'"
    " /etc/freeradius/3.0/mods-available/eap\nsystemctl restart freeradius",
    verify="freeradius -XC | grep tls_min_version",
    references=("RFC 8996", "FreeRADIUS: mods-available/eap, tls_min_version"),
    advice="On Windows (NPS): TlsVersion=0xC00 in HKLM\\SYSTEM\\CurrentControlSet\\Services\\RasMan\\PPP\\EAP\\13,"
    " and restart IAS.",
    advice_nl="Op Windows (NPS): TlsVersion=0xC00 in HKLM\\SYSTEM\\CurrentControlSet\\Services\\RasMan\\PPP\\EAP\\13,"
    " en herstart IAS.",
)
def old_versions_refused(versions: WifiVersions) -> Verdict:
    """The RADIUS server refuses TLS 1.0 and 1.1 to who logs in on the network (wifi).

    TLS 1.0 and 1.1 rest on MD5 and SHA-1 and are withdrawn; they keep the door open for downgrades.
    """
    observed = (
        f"it goes on with {' and '.join(versions.accepted)}" if versions.accepted else "both are refused"
    )
    return holds(not versions.accepted, observed, "both are refused")


# --- examples: FreeRADIUS 3.2 ---------------------------------------------------------------------------------


_GOES_ON: Final = on_wifi(made.GOOD)
_OLD: Final = on_wifi(made.GOOD, version="TLSv1")["walk"]
_REJECTED: Final = on_wifi(ends=radius.ACCESS_REJECT)["walk"]
_REFUSED: Final = on_wifi(ends=radius.ACCESS_REJECT, at_hello=True)["walk"]


def _asked(
    newest: object = _GOES_ON["walk"], tls10: object = _REFUSED, tls11: object = _REFUSED
) -> dict[str, object]:
    return _GOES_ON | {"newest": newest, "tls10": tls10, "tls11": tls11}


examples(
    old_versions_refused,
    passes=_asked(),
    fails=[_asked(tls10=_OLD), _asked(tls11=_OLD), _asked(newest=_REFUSED, tls10=_OLD)],
    unknown=[
        _asked(newest=_REFUSED),
        _asked(tls10=on_wifi(ends=radius.ACCESS_ACCEPT, at_hello=True)["walk"]),
    ],
    error=[_asked(newest=_REJECTED), _asked(tls10=_REJECTED)],
    notapplicable={**_asked(), "target": {}},
)
