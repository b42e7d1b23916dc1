"""Whether TLS ports refuse who shows no certificate where one is demanded, and plain HTTP (seen from outside)."""

from __future__ import annotations

import re
from typing import Final

from checks.network.asking import (
    BRIEF,
    Answered,
    heard,
    request,
    response,
    said,
    speaks_http,
    wants_certificate,
)
from checks.network.example_talks import SILENCE, at, http, talk
from checks.network.ports import TLS_PORTS, OpenPort
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    Absent,
    Blind,
    Cause,
    Dialogue,
    Each,
    Exchange,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

#: Alerts about our certificate or the want of it (RFC 5246 section 7.2.2, RFC 8446 section 6.2), in OpenSSL's words.
_ABOUT_CERTIFICATE: Final = re.compile(
    r"ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)"
)
#: What TLS 1.2 says of a missing certificate, and of much else.
_ANY_FAILURE: Final = "ALERT_HANDSHAKE_FAILURE"
#: HTTP answers that may refuse for want of a certificate; 495 and 496 are nginx's own. The text has to say so.
_REFUSALS: Final = frozenset({400, 403, 495, 496})
#: Bad request, forbidden, misdirected, upgrade required: no content, and no password asked for in the clear.
_WITHOUT_CONTENT: Final = frozenset({400, 403, 421, 426})


@fact
class MutualPort:
    """An open port of which the inventory says that only clients with a certificate may come in."""

    number: int
    server_name: str
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.number}/tcp"


@fact
class MutualTls:
    """What such a port does with nobody's certificate and with a stranger's; None is neither yes nor no."""

    port: int
    nobody_refused: bool | None
    nobody: str
    stranger_refused: bool | None
    stranger: str

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@fact
class PlainHttp(Answered):
    """What a TLS port does with HTTP in the clear; ``refused`` is: without content."""


@probe("outside")
def mutual_ports(ports: list[OpenPort], target: Target) -> list[MutualPort]:
    """Those that the inventory marks with ``client_certificate``, as far as they are open."""
    marked = {one.port for one in target.services or () if one.client_certificate and one.protocol == "tcp"}
    return [
        MutualPort(one.number, one.server_name, one.further_address) for one in ports if one.number in marked
    ]


def _visit(stranger: bool) -> Each:
    """A visit over TLS; first we listen, since TLS 1.3 refuses only after the handshake."""
    return Each(
        MutualPort,
        lambda port: Dialogue(
            purpose=f"TLS: a visit with {'a certificate that nobody issued' if stranger else 'no certificate'}",
            port=port.number,
            turns=(Say(quiet=0.5), Say(request("/", host=port.server_name))),
            secure=True, server_name=port.server_name, stranger=stranger, impact=Impact.KNOCK,
        ),
    )  # fmt: skip


@probe("outside", nobody=_visit(stranger=False), stranger=_visit(stranger=True))
def mutual_tls(nobody: Raw, stranger: Raw, port: MutualPort) -> MutualTls:
    """An alert, or an HTTP answer that says it is about the certificate, refuses; content does not."""
    visits = heard(nobody), heard(stranger)
    clear = [_refused(visit) for visit in visits]
    if any(outcome is not None for outcome in clear):
        # That TLS works here is known from the other visit: then this failure is about the certificate.
        clear = [
            True if _ANY_FAILURE in visit.note else one for visit, one in zip(visits, clear, strict=True)
        ]
    first, second = (_told(visit) for visit in visits)
    return MutualTls(port.number, clear[0], first, clear[1], second)


def _refused(visit: Exchange) -> bool | None:
    if _ABOUT_CERTIFICATE.search(visit.note):
        return True
    if not speaks_http(visit):
        return None
    answer = response(visit)
    if answer.status in _REFUSALS and b"certificate" in answer.body.lower():
        return True
    return False if answer.status < 400 or answer.status == 404 else None


def _told(visit: Exchange) -> str:
    return said(visit, 30) if visit.received else visit.note or said(visit)


def _expects_tls(port: OpenPort) -> bool:
    return port.tls or (not port.declared and port.number in TLS_PORTS)


def _plainly(secure: bool) -> Each:
    return Each(
        OpenPort,
        lambda port: Dialogue(
            purpose=f"TLS: HTTP {'as it should be' if secure else 'in the clear'}",
            port=port.number,
            turns=(Say(request("/", host=port.server_name, method="HEAD" if secure else "GET")),),
            secure=secure, server_name=port.server_name, silence=True, timeout=BRIEF,
        ),
        when=_expects_tls,
    )  # fmt: skip


@probe("outside", clear=_plainly(secure=False), secured=_plainly(secure=True))
def plain_http(clear: Raw, secured: Raw, port: OpenPort) -> PlainHttp:
    """That the port speaks TLS is known from the second visit: its handshake, whatever was said after it."""
    plain, over_tls = heard(clear), heard(secured)
    speaks_tls = over_tls.note.startswith("TLSv") or bool(over_tls.received) or wants_certificate(over_tls)
    if not speaks_tls and not port.tls:
        raise Absent("this port does not speak TLS")
    if not plain.received and plain.end in ("closed", "reset"):
        return _closed(port, plain, speaks_tls)
    if not plain.received:
        raise Blind(f"no answer within {BRIEF} seconds", Cause.TIMEOUT)
    if plain.received[:2] == b"\x15\x03":
        return PlainHttp(port.number, True, "a TLS alert")
    if not plain.received.startswith(b"HTTP/"):
        raise NotUnderstood(f"it answers in the clear, and not in HTTP: {said(plain)}")
    answer = response(plain)
    if 300 <= answer.status < 400:
        return PlainHttp(
            port.number, answer.fields.get("location", "").startswith("https://"),
            f"HTTP {answer.status} to {answer.fields.get('location', 'nowhere')[:80]}",
        )  # fmt: skip
    if answer.status < 300 or answer.status in (401, 404):
        return PlainHttp(port.number, False, str(answer), True)
    if not speaks_tls or answer.status not in _WITHOUT_CONTENT:
        raise NotUnderstood(f"neither content nor a refusal: {answer}")
    return PlainHttp(port.number, True, str(answer))


def _closed(port: OpenPort, plain: Exchange, speaks_tls: bool) -> PlainHttp:
    if not speaks_tls:
        raise NotUnderstood("it ends the connection in the clear, and over TLS too")
    return PlainHttp(port.number, True, said(plain))


@check(
    "refused-tls.without-certificate",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="tls",
    title_nl="Een dienst met tweezijdig TLS weigert wie geen certificaat toont",
    why_nl="Bij een koppeling met ketenpartners is het certificaat de sleutel: zonder sleutel geen antwoord.",
    fix="sed -i 's/ssl_verify_client .*/ssl_verify_client on;/' /etc/nginx/sites-enabled/*\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -servername NAME </dev/null",
    references=("RFC 8446 section 4.4.2.4", "Digikoppeling, Beveiligingsstandaarden: tweezijdig TLS"),
)
def nobody_refused(answer: MutualTls) -> Verdict:
    """A service with mutual TLS refuses who shows no certificate.

    On a link with chain partners the certificate is the key of the door: no key, no answer.
    """
    if answer.nobody_refused is None:
        raise NotUnderstood(f"neither refused nor answered: {answer.nobody}")
    return holds(answer.nobody_refused, f"without a certificate: {answer.nobody}", "refused")


@check(
    "refused-tls.strange-certificate",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="tls",
    title_nl="Een dienst met tweezijdig TLS weigert een certificaat dat niemand heeft uitgegeven",
    why_nl="Wie elk certificaat aanneemt, kijkt niet wie er voor de deur staat: iedereen maakt er zelf een.",
    fix="sed -i 's/ssl_verify_client .*/ssl_verify_client on;/' /etc/nginx/sites-enabled/*\nsystemctl reload nginx",
    verify="openssl req -x509 -newkey rsa:3072 -nodes -subj /CN=stranger -keyout k.pem -out c.pem\n"
    "openssl s_client -connect HOST:PORT -servername NAME -cert c.pem -key k.pem </dev/null",
    references=("RFC 5280 section 6", "Digikoppeling, Beveiligingsstandaarden: tweezijdig TLS"),
)
def stranger_refused(answer: MutualTls) -> Verdict:
    """A service with mutual TLS refuses a certificate that nobody has issued.

    Who takes any certificate does not look who is at the door: everyone can make one.
    """
    if answer.stranger_refused is None:
        raise NotUnderstood(f"neither refused nor answered: {answer.stranger}")
    return holds(answer.stranger_refused, f"with a stranger's certificate: {answer.stranger}", "refused")


@check(
    "refused-tls.plain-http",
    principle=(FAIL_SECURE, DATA_FIRST, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="tls",
    title_nl="Een TLS-poort geeft geen inhoud aan wie zonder TLS vraagt",
    why_nl="Een poort die beide spreekt, geeft ook zonder versleuteling antwoord als er iets misgaat.",
    fix="sed -Ei 's/listen ([0-9.:]*443);/listen \\1 ssl;/' /etc/nginx/sites-enabled/*\nsystemctl reload nginx",
    verify="curl -i http://HOST:443/",
    references=("RFC 9110 section 4.2.2", "BIO2 1.3, 8.21.04"),
)
def plain_http_refused(answer: PlainHttp) -> Verdict:
    """A TLS port gives no content to who asks without TLS.

    A port that speaks both answers without encryption too when something goes wrong.
    """
    return holds(answer.refused, f"HTTP in the clear: {answer.said}", "no content")


# --- examples -------------------------------------------------------------------------------------------------


def _alert(reason: str) -> str:
    return talk(end="reset", note=f"TLS: {reason}")


def _visited(nobody: str, stranger: str) -> dict[str, object]:
    return at("https", tls=True, client_certificate=True, nobody=nobody, stranger=stranger)


_REQUIRED: Final = _alert("TLSV13_ALERT_CERTIFICATE_REQUIRED")
_UNKNOWN_CA: Final = _alert("TLSV1_ALERT_UNKNOWN_CA")
_FAILURE: Final = _alert("SSLV3_ALERT_HANDSHAKE_FAILURE")
_NOT_SENT: Final = http("400 Bad Request", body="<title>400 No required SSL certificate was sent</title>")
_ERROR: Final = http("400 Bad Request", body="<title>400 The SSL certificate error</title>")
_WELCOME: Final = http("200 OK", body="welcome")
_FORBIDDEN: Final = http("403 Forbidden", body="<h1>Forbidden</h1>")
_ENDED: Final = talk(end="closed", note="TLSv1.3")

examples(
    nobody_refused,
    passes=[
        _visited(_REQUIRED, _UNKNOWN_CA),
        _visited(_NOT_SENT, _ERROR),
        _visited(_FAILURE, _UNKNOWN_CA),
        _visited(_NOT_SENT, _WELCOME),
    ],
    fails=[_visited(_WELCOME, _WELCOME), _visited(http("302 Found", "Location: /login"), _UNKNOWN_CA)],
    unknown=[_visited(_FAILURE, _FAILURE), _visited(_ENDED, _ENDED), _visited(_FORBIDDEN, _FORBIDDEN)],
    notapplicable=at("https", tls=True),
)
examples(
    stranger_refused,
    passes=[_visited(_REQUIRED, _UNKNOWN_CA), _visited(_NOT_SENT, _ERROR), _visited(_REQUIRED, _FAILURE)],
    fails=[_visited(_NOT_SENT, _WELCOME), _visited(_REQUIRED, http("404 Not Found"))],
    unknown=[_visited(_FAILURE, _FAILURE), _visited(_REQUIRED, _ENDED)],
)


def _plain(clear: str, secured: str = _ENDED, tls: bool = True) -> dict[str, object]:
    return at("https", tls=tls, clear=clear, secured=secured)


_NO_TLS: Final = _alert("WRONG_VERSION_NUMBER")
examples(
    plain_http_refused,
    passes=[
        _plain(http("400 Bad Request", body="The plain HTTP request was sent to HTTPS port")),
        _plain(talk((b"GET", b"\x15\x03\x01\0\x02\x02\x46"), end="closed")),
        _plain(talk(end="closed"), _REQUIRED),
        _plain(http("301 Moved Permanently", "Location: https://www.example.nl/")),
    ],
    fails=[
        _plain(http("401 Unauthorized", "WWW-Authenticate: Basic")),
        _plain(_WELCOME),
        _plain(_WELCOME, _NO_TLS),
        _plain(http("302 Found", "Location: /login")),
    ],
    unknown=[
        _plain(talk(end="closed"), _NO_TLS),
        _plain(talk((b"GET", b"220 mail ESMTP\r\n"), end="closed"), _NO_TLS),
        _plain(http("403 Forbidden"), _NO_TLS),
        _plain(http("502 Bad Gateway")),
    ],
    error=_plain(SILENCE),
    notapplicable=at("http"),
)
