"""Whether the certificate of a TLS port was revoked, and whether anyone could find out: OCSP, CRL and stapling.

Soft and hard: what could not be fetched is an error here, never good. One good answer is enough when the other could
not be had; then the finding says so. Judged is the server's own certificate; its CAs are not asked about.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Annotated, Any, Final

from cryptography import x509

from checks.network import example_served as more
from checks.network.example_shown import given, seen
from checks.network.served import ServedCertificate, issued, lifetime, value
from checks.network.x509.paths import read_anchors
from checks.network.x509.status import Status, Word, by_crl, by_ocsp, crl_places, ocsp_places, question
from scanner import (
    FAIL_SECURE,
    IN_DEPTH,
    SECURE_DEPLOYMENT,
    Absent,
    Blind,
    Cause,
    Each,
    Fetch,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    ScanTime,
    Severity,
    State,
    TrustAnchors,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_CABF: Final = "CA/Browser Forum Baseline Requirements 2.2.6"
_SHOW: Final = "openssl s_client -connect HOST:PORT -servername NAME -status </dev/null"
_STAPLING: Final = (
    "# nginx: ssl_stapling on; ssl_stapling_verify on;    Apache: SSLUseStapling on\nsystemctl reload nginx"
)


@fact
class Heard:
    """What one place says of a certificate: the word and the circumstances, or the cause why it could not be asked."""

    url: str
    word: str
    detail: str
    cause: Cause | None = None

    def __str__(self) -> str:
        return f"{self.word} ({self.detail})" if self.cause is None else self.detail


@fact
class RevocationStatus:
    """What the places that a certificate names say of it; None where it names none."""

    served: ServedCertificate
    ocsp: Heard | None
    crl: Heard | None

    def __str__(self) -> str:
        return str(self.served)


def _places(served: ServedCertificate) -> dict[str, list[str]]:
    """All places that a certificate names, by what is there."""
    return {"ocsp": ocsp_places(served.leaf), "crl": crl_places(served.leaf)}


def _wanted(served: ServedCertificate) -> dict[str, tuple[str, str]]:
    """What to fetch: of the first OCSP server and the first CRL over HTTP. Of a certificate without issuer no OCSP."""
    found = {}
    web = {
        kind: [url for url in urls if url.startswith(("http://", "https://"))]
        for kind, urls in _places(served).items()
    }
    if web["ocsp"] and served.issuer is not None:
        asked = question(served.leaf, served.issuer)
        found["ocsp"] = web["ocsp"][0], base64.b64encode(asked).decode()
    if web["crl"]:
        found["crl"] = web["crl"][0], ""
    return found


@probe(
    "tls",
    fetched=Each(
        ServedCertificate,
        lambda served: Fetch(wanted=tuple(_wanted(served).values())),
        when=lambda served: any(_places(served).values()),
    ),
    anchors=Each(ServedCertificate, lambda served: TrustAnchors(served.anchors)),
)
def revocation(fetched: Raw, anchors: Raw, served: ServedCertificate, now: ScanTime) -> RevocationStatus:
    """What `Fetch` brought, judged with the key of the issuer that was shown, or else of the anchor that signed it."""
    roots = read_anchors(anchors.out).named(served.leaf.issuer)
    issuer = served.issuer or next((one for one in roots if issued(served.leaf, one)), None)
    heard = {kind: _not_asked(urls[0]) for kind, urls in _places(served).items() if urls}
    for (kind, (url, _)), answer in zip(_wanted(served).items(), json.loads(fetched.text), strict=True):
        if answer["url"] != url:
            raise NotUnderstood("what was fetched is not what was asked for")
        if "body" not in answer:
            heard[kind] = Heard(url, "", answer["detail"], Cause(answer["cause"]))
            continue
        if issuer is None:
            raise NotUnderstood(
                "the issuer was not shown and is no approved root: nobody can tell who may revoke"
            )
        judge = by_ocsp if kind == "ocsp" else by_crl
        status = judge(base64.b64decode(answer["body"], validate=True), served.leaf, issuer, now)
        heard[kind] = Heard(url, str(status.word), status.detail)
    return RevocationStatus(served, heard.get("ocsp"), heard.get("crl"))


def _not_asked(url: str) -> Heard:
    why = "is not fetched over HTTP" if not url.startswith("http") else "not asked: the issuer was not shown"
    return Heard(url, "", f"{url[:200]}: {why}", Cause.POLICY)


def _stapled(served: ServedCertificate, now: ScanTime) -> Status | None:
    """What the stapled answer is worth; None when there is none. Raises NotUnderstood when that cannot be told."""
    if not served.staple:
        return None
    if served.issuer is None:
        raise NotUnderstood("the issuer was not shown: nobody can tell whether the stapled answer is of it")
    status = by_ocsp(served.staple, served.leaf, served.issuer, now)
    if status.word is Word.NOT_UNDERSTOOD:
        raise NotUnderstood(str(status))
    return status


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "revocation.possible",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Of het certificaat is ingetrokken, is na te gaan",
    why_nl=(
        "Wordt de sleutel gestolen, dan is intrekken het enige middel. Zonder adres van een CRL of"
        " OCSP-server hoort niemand daarvan."
    ),
    fix="openssl x509 -in server.crt -noout -ext authorityInfoAccess,crlDistributionPoints    # ask your CA",
    verify=_SHOW,
    references=(
        "RFC 5280 sections 4.2.1.13 and 4.2.2.1",
        f"{_CABF}, sections 1.6.1 (short-lived: 7 days), 4.9.9 and 7.1.2.11.2",
    ),
)
def possible(
    served: ServedCertificate,
    *,
    days: Annotated[int, "certificates that live no longer than this need no revocation"] = 7,
) -> Verdict:
    """Whether the certificate was revoked can be found out.

    When the key is stolen, revoking is the only remedy. Without the address of a CRL or OCSP server nobody
    hears of it.
    """
    starts, ends = lifetime(served.leaf)
    if ends - starts <= timedelta(days=days):
        raise Absent("the certificate lives so shortly that it is never revoked")
    if issued(served.leaf, served.leaf):
        raise Absent("a certificate that signs itself has nobody to revoke it")
    places = [url for urls in _places(served).values() for url in urls]
    return holds(bool(places), f"named: {', '.join(places)[:300] or 'nothing'}", "a CRL or an OCSP server")


@check(
    "revocation.not-revoked",
    principle=(FAIL_SECURE, SECURE_DEPLOYMENT),
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="Het certificaat is niet ingetrokken",
    why_nl=(
        "Een CA trekt een certificaat in als de sleutel is uitgelekt of de houder niet meer bestaat. Wie"
        " het blijft tonen, wordt geweigerd of is na te doen."
    ),
    fix="certbot renew --force-renewal    # with a new key; or ask your own CA\nsystemctl reload nginx",
    verify=_SHOW,
    references=(
        "RFC 6960",
        "RFC 5280 section 6.3",
    ),
)
def not_revoked(revocation: RevocationStatus) -> Verdict:
    """The certificate is not revoked.

    A CA revokes a certificate when its key leaked or its holder is no more. Who goes on showing it is refused,
    or can be imitated. Good is only what the CA says is good; what could not be asked is an error, and what the
    CA does not know is not good.
    """
    said = [one for one in (revocation.ocsp, revocation.crl) if one is not None]
    observed = f"{revocation.served.shown}: {'; '.join(map(str, said))}"[:600]
    words = {one.word for one in said if one.cause is None}
    if Word.REVOKED in words:
        return holds(False, observed, "good")
    if Word.GOOD in words and Word.UNKNOWN not in words:
        return holds(True, observed, "good")
    blind = next((one.cause for one in said if one.cause is not None), None)
    if blind is not None and not words:
        raise Blind(observed, blind)
    raise NotUnderstood(observed)


def _current(heard: Heard | None, what: str) -> Verdict:
    if heard is None:
        raise Absent(f"the certificate names no {what}")
    if heard.cause is not None:
        raise Blind(str(heard), heard.cause)
    if heard.word == Word.NOT_UNDERSTOOD:
        raise NotUnderstood(str(heard))
    good = heard.word in {Word.GOOD, Word.REVOKED}
    return holds(good, f"{heard.url[:200]}: {heard}", "an answer of the CA that counts now")


@check(
    "revocation.crl-current",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De CRL van de CA is op te halen en actueel",
    why_nl=(
        "Wie op de CRL rekent en een oude krijgt, merkt een intrekking te laat. Strenge programma's"
        " weigeren dan iedereen."
    ),
    fix="openssl crl -in issuing.crl -noout -lastupdate -nextupdate    # and have the CA publish a new one",
    verify="curl -s URL | openssl crl -inform DER -noout -nextupdate",
    references=(
        "RFC 5280 section 5.1.2.5",
        f"{_CABF}, section 4.9.7",
    ),
)
def crl_current(revocation: RevocationStatus) -> Verdict:
    """The CRL of the CA can be fetched and is current.

    Who counts on the CRL and gets an old one learns of a revocation too late. Strict programs then refuse
    everyone.
    """
    return _current(revocation.crl, "CRL")


@check(
    "revocation.ocsp-answers",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De OCSP-server van de CA geeft een geldig antwoord",
    why_nl=(
        "Een antwoord dat verlopen is of niet van de CA komt, is geen antwoord. Strenge programma's"
        " weigeren dan iedereen, andere controleren niets meer."
    ),
    fix="openssl ocsp -issuer issuing.crt -cert server.crt -url URL    # and have the CA repair its responder",
    verify="openssl ocsp -issuer issuing.crt -cert server.crt -url URL",
    references=(
        "RFC 6960 section 3.2",
        f"{_CABF}, section 4.9.10",
    ),
)
def ocsp_answers(revocation: RevocationStatus) -> Verdict:
    """The OCSP server of the CA gives a valid answer.

    An answer that is out of date or not of the CA is no answer. Strict programs then refuse everyone, others no
    longer verify. A certificate that its own CA does not know counts as no answer too.
    """
    return _current(revocation.ocsp, "OCSP server")


@check(
    "revocation.staple-valid",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Het OCSP-antwoord dat de server meestuurt is geldig",
    why_nl=(
        "Met een meegestuurd antwoord hoeft niemand de CA te vragen. Een oud of vreemd antwoord laat"
        " strenge browsers afbreken."
    ),
    fix=_STAPLING,
    verify=_SHOW,
    references=(
        "RFC 6066 section 8",
        "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05, section 3.4.5",
    ),
)
def staple_valid(served: ServedCertificate, now: ScanTime) -> Verdict:
    """The OCSP answer that the server sends along is valid.

    With an answer sent along nobody needs to ask the CA. An old or foreign answer makes strict browsers break
    off. Sending none is allowed.
    """
    status = _stapled(served, now)
    if status is None:
        raise Absent("the server sends no answer along, and need not")
    return holds(status.word is Word.GOOD, f"{served.shown}: {status}"[:400], "good, of the CA, and current")


@check(
    "revocation.must-staple-kept",
    principle=(FAIL_SECURE, SECURE_DEPLOYMENT),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De server stuurt een OCSP-antwoord mee als het certificaat dat belooft",
    why_nl=(
        "Het certificaat zegt dat er altijd een antwoord bij hoort (must-staple). Ontbreekt het, dan"
        " weigeren browsers de verbinding."
    ),
    fix=_STAPLING,
    verify=_SHOW,
    references=("RFC 7633 section 4.2.3",),
)
def must_staple_kept(served: ServedCertificate, now: ScanTime) -> Verdict:
    """The server sends an OCSP answer along when the certificate promises so.

    The certificate says that an answer always comes with it (must-staple). Without it browsers refuse the
    connection.
    """
    features = value(served.leaf, x509.TLSFeature)
    if features is None or x509.TLSFeatureType.status_request not in features:
        raise Absent("the certificate does not promise a stapled answer")
    status = _stapled(served, now)
    if status is None:
        return holds(False, f"{served.shown}: must staple, and nothing is sent along", "a good answer")
    return holds(status.word is Word.GOOD, f"{served.shown}: {status}"[:400], "a good answer")


# --- examples -------------------------------------------------------------------------------------------------

_OCSP_URL: Final = "http://ocsp.example.nl/"
_CRL_URL: Final = "http://crl.example.nl/issuing.crl"
_GONE: Final = {"cause": "timeout", "detail": "ocsp.example.nl port 80: no answer"}
_NOT_ALLOWED: Final = Gap(
    State.ERROR,
    Cause.POLICY,
    f"{_OCSP_URL}: the inventory does not allow this host; write 'revocation_hosts: [ocsp.example.nl]'",
)


def _said(ocsp: str | dict[str, str], crl: str | dict[str, str]) -> dict[str, Any]:
    """An example: what came from the OCSP server and what from the CRL's place."""
    answers = [
        {"url": url, **({"body": one} if isinstance(one, str) else one)}
        for url, one in ((_OCSP_URL, ocsp), (_CRL_URL, crl))
    ]
    return given(more.GOOD, fetched=json.dumps(answers))


examples(
    possible,
    passes=given(more.GOOD),
    fails=given(more.PLAIN),
    notapplicable=[given(more.SHORT_LIVED), seen(more.SELF_SIGNED)],
)
examples(
    not_revoked,
    passes=[
        _said(more.OCSP_GOOD, more.CRL_EMPTY),
        _said(_GONE, more.CRL_EMPTY),
        _said(more.OCSP_STALE, more.CRL_EMPTY),
        seen(more.BY_ROOT, fetched=json.dumps([{"url": _CRL_URL, "body": more.ROOT_CRL_EMPTY}])),
    ],
    fails=[
        _said(more.OCSP_REVOKED, more.CRL_EMPTY),
        _said(more.OCSP_GOOD, more.CRL_REVOKED),
        _said(_GONE, more.CRL_REVOKED),
    ],
    unknown=[
        _said(more.OCSP_UNKNOWN, more.CRL_EMPTY),
        _said(more.OCSP_STALE, more.CRL_STALE),
        _said(more.OCSP_STRANGER, _GONE),
        _said("AAAA", more.CRL_STRANGER),
    ],
    error=[given(more.GOOD, fetched=_NOT_ALLOWED), given(more.IN_A_DIRECTORY, fetched="[]")],
    notapplicable=given(more.PLAIN),
)
examples(
    crl_current,
    passes=[_said(_GONE, more.CRL_EMPTY), _said(_GONE, more.CRL_REVOKED)],
    fails=[_said(_GONE, more.CRL_STALE), _said(_GONE, more.CRL_STRANGER)],
    error=[_said(more.OCSP_GOOD, _GONE), given(more.IN_A_DIRECTORY, fetched="[]")],
    notapplicable=given(more.PLAIN),
)
examples(
    ocsp_answers,
    passes=[_said(more.OCSP_GOOD, _GONE), _said(more.OCSP_REVOKED, _GONE)],
    fails=[
        _said(more.OCSP_STALE, _GONE),
        _said(more.OCSP_STRANGER, _GONE),
        _said(more.OCSP_UNKNOWN, _GONE),
    ],
    error=[
        _said(_GONE, more.CRL_EMPTY),
        seen(more.BY_ROOT, fetched=json.dumps([{"url": _CRL_URL, "body": more.ROOT_CRL_EMPTY}])),
    ],
)
examples(
    staple_valid,
    passes=given(more.GOOD, staple=more.OCSP_GOOD),
    fails=[given(more.GOOD, staple=more.OCSP_STALE), given(more.GOOD, staple=more.OCSP_STRANGER)],
    unknown=seen(more.GOOD, staple=more.OCSP_GOOD),
    notapplicable=given(more.GOOD),
)
examples(
    must_staple_kept,
    passes=given(more.MUST_STAPLE, staple=more.STAPLE_GOOD),
    fails=[given(more.MUST_STAPLE), given(more.MUST_STAPLE, staple=more.STAPLE_STALE)],
    unknown=seen(more.MUST_STAPLE, staple=more.STAPLE_GOOD),
    notapplicable=given(more.GOOD),
)
