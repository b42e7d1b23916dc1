"""Whether the certificate of a TLS port was revoked, and whether anyone could find out: OCSP, CRL and stapling.

Soft and hard: what could not be fetched is an error here, never good. One good answer is enough when the other could
not be had; then the finding says so. The CAs above the certificate are asked about as it is itself, up to the anchor:
that one is trusted because the organisation says so, and nobody above it could revoke it.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Annotated, Any, Final

from cryptography import x509

from checks.network import example_served as more
from checks.network.example_shown import given, seen, trusted
from checks.network.served import ServedCertificate, followed, issued, lifetime, value
from checks.network.x509.names import shown
from checks.network.x509.paths import LONGEST, read_anchors
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
from scanner.names import name_key

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
class Told:
    """What the places that one certificate names say of it; None where it names none."""

    who: str
    ocsp: Heard | None
    crl: Heard | None

    def __str__(self) -> str:
        return f"{self.who}: {'; '.join(map(str, self.heard)) or 'names neither CRL nor OCSP server'}"

    @property
    def heard(self) -> list[Heard]:
        """What was heard, or why it was not, from each place."""
        return [one for one in (self.ocsp, self.crl) if one is not None]

    @property
    def words(self) -> set[str]:
        """What the places said that could be asked."""
        return {one.word for one in self.heard if one.cause is None}


@fact
class RevocationStatus:
    """What is said of the certificate that a port shows as its own."""

    served: ServedCertificate
    told: Told

    def __str__(self) -> str:
        return str(self.served)


@fact
class CaRevocationStatus:
    """What is said of the CAs between the certificate that a port shows and the anchor its path ends in."""

    served: ServedCertificate
    told: tuple[Told, ...]

    def __str__(self) -> str:
        return str(self.served)


def _places(one: x509.Certificate) -> dict[str, list[str]]:
    """All places that a certificate names, by what is there."""
    return {"ocsp": ocsp_places(one), "crl": crl_places(one)}


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _wanted(served: ServedCertificate, one: x509.Certificate) -> dict[str, tuple[str, str]]:
    """What to fetch: of the first OCSP server and the first CRL over HTTP. When the issuer was not shown no OCSP."""
    web = {kind: list(filter(_is_web, urls)) for kind, urls in _places(one).items()}
    issuer, found = served.issuer_of(one), {}
    if web["ocsp"] and issuer is not None:
        found["ocsp"] = web["ocsp"][0], base64.b64encode(question(one, issuer)).decode()
    if web["crl"]:
        found["crl"] = web["crl"][0], ""
    return found


def _cas(served: ServedCertificate) -> list[x509.Certificate]:
    """The CAs shown that a path can lead over and that name a place. Raises NotUnderstood when they are too many."""
    below = {name_key(one.issuer) for one in (served.leaf, *served.others)}
    found = [
        one
        for one in dict.fromkeys(served.others)
        if name_key(one.subject) in below and any(_places(one).values()) and not issued(one, one)
    ]
    if len(found) > LONGEST:
        raise NotUnderstood(f"more than {LONGEST} CAs are shown")
    return found


def _asked(served: ServedCertificate, *about: x509.Certificate) -> tuple[tuple[str, str], ...]:
    """What to fetch about these certificates, each thing once."""
    return tuple(dict.fromkeys(place for one in about for place in _wanted(served, one).values()))


def _told(
    served: ServedCertificate,
    one: x509.Certificate,
    issuer: x509.Certificate | None,
    answers: dict[tuple[str, str], Any],
    now: ScanTime,
) -> Told:
    """What was answered about a certificate, judged with the key of its issuer."""
    heard = {kind: _not_asked(urls[0]) for kind, urls in _places(one).items() if urls}
    for kind, asked in _wanted(served, one).items():
        url, answer = asked[0], answers[asked]
        if "body" not in answer:
            heard[kind] = Heard(url, "", answer["detail"], Cause(answer["cause"]))
            continue
        if issuer is None:
            raise NotUnderstood(
                "the issuer was not shown and is no approved root: nobody can tell who may revoke"
            )
        judge = by_ocsp if kind == "ocsp" else by_crl
        status = judge(base64.b64decode(answer["body"], validate=True), one, issuer, now)
        heard[kind] = Heard(url, str(status.word), status.detail)
    return Told(shown(one.subject), heard.get("ocsp"), heard.get("crl"))


def _answers(asked: tuple[tuple[str, str], ...], fetched: Raw) -> dict[tuple[str, str], Any]:
    """What `Fetch` brought, by what was asked."""
    answers = json.loads(fetched.text)
    if [url for url, _ in asked] != [answer["url"] for answer in answers]:
        raise NotUnderstood("what was fetched is not what was asked for")
    return dict(zip(asked, answers, strict=True))


@probe(
    "tls",
    fetched=Each(
        ServedCertificate,
        lambda served: Fetch(wanted=_asked(served, served.leaf)),
        when=lambda served: any(_places(served.leaf).values()),
    ),
    anchors=Each(ServedCertificate, lambda served: TrustAnchors(served.anchors)),
)
def revocation(fetched: Raw, anchors: Raw, served: ServedCertificate, now: ScanTime) -> RevocationStatus:
    """What `Fetch` brought, judged with the key of the issuer that was shown, or else of the anchor that signed it."""
    roots = read_anchors(anchors.out).named(served.leaf.issuer)
    issuer = served.issuer or next((one for one in roots if issued(served.leaf, one)), None)
    answers = _answers(_asked(served, served.leaf), fetched)
    return RevocationStatus(served, _told(served, served.leaf, issuer, answers, now))


@probe(
    "tls",
    fetched=Each(
        ServedCertificate,
        lambda served: Fetch(wanted=_asked(served, *_cas(served))),
        when=lambda served: not issued(served.leaf, served.leaf),
    ),
    anchors=Each(ServedCertificate, lambda served: TrustAnchors(served.anchors)),
)
def ca_revocation(fetched: Raw, anchors: Raw, served: ServedCertificate, now: ScanTime) -> CaRevocationStatus:
    """What `Fetch` brought of the CAs shown; told is of those in the path that holds, judged with the key above."""
    best = followed(served, read_anchors(anchors.out), now).trusted
    if best is None:
        raise NotUnderstood("no path to an approved root, so it is not known which CAs count")
    answers = _answers(_asked(served, *_cas(served)), fetched)
    pairs = zip(best.certificates[1:-1], best.certificates[2:], strict=True)
    told = tuple(_told(served, ca, above, answers, now) for ca, above in pairs)
    if not any(one.heard for one in told):
        raise Absent("no CA of the path names a CRL or an OCSP server")
    return CaRevocationStatus(served, told)


def _not_asked(url: str) -> Heard:
    why = "not asked: the issuer was not shown" if _is_web(url) else "is not fetched over HTTP"
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
    places = [url for urls in _places(served.leaf).values() for url in urls]
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
    return _none_revoked(revocation.told)


def _none_revoked(*told: Told) -> Verdict:
    def said(some: list[Told]) -> str:
        return "; ".join(map(str, some))[:600]

    revoked = [one for one in told if Word.REVOKED in one.words]
    if revoked:
        return holds(False, said(revoked), "good")
    doubtful = [one for one in told if Word.GOOD not in one.words or Word.UNKNOWN in one.words]
    if not doubtful:
        return holds(True, said([*told]), "good")
    blind = next((place.cause for one in doubtful if not one.words for place in one.heard), None)
    if blind is not None:
        raise Blind(said(doubtful), blind)
    raise NotUnderstood(said(doubtful))


@check(
    "revocation.cas-not-revoked",
    principle=(FAIL_SECURE, SECURE_DEPLOYMENT),
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="Geen tussenliggende CA boven het certificaat is ingetrokken",
    why_nl=(
        "Wordt een tussenliggende CA ingetrokken, dan is niets meer te vertrouwen wat die heeft uitgegeven."
        " Strenge programma's weigeren dan elke dienst eronder; andere merken niet dat er wordt nagemaakt."
    ),
    fix=(
        "cat server.crt intermediate.crt > fullchain.crt    # both new: from your CA, under another intermediate"
        "\nsystemctl reload nginx"
    ),
    verify="curl -s URL | openssl crl -inform DER -noout -text    # is the serial number of intermediate.crt listed?",
    references=(
        "RFC 5280 sections 6.1.3 and 6.3",
        f"{_CABF}, section 4.9.7",
    ),
)
def cas_not_revoked(ca_revocation: CaRevocationStatus) -> Verdict:
    """No intermediate CA above the certificate is revoked.

    When an intermediate CA is revoked, nothing that it gave out can be trusted any more. Strict programs then refuse
    every service below it; others do not notice that it is imitated. Asked about are the CAs of the path that holds,
    but for the root: whom the organisation trusts itself, nobody else revokes.
    """
    return _none_revoked(*ca_revocation.told)


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
    return _current(revocation.told.crl, "CRL")


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
    return _current(revocation.told.ocsp, "OCSP server")


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
_ROOT_URL: Final = "http://crl.example.nl/root.crl"
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


def _above(crl: str | Gap, *chain: str, root: str = more.PUBLISHED_ROOT) -> dict[str, Any]:
    """An example: a chain over a CA that names a CRL, and what stood there."""
    fetched = crl if isinstance(crl, Gap) else json.dumps([{"url": _ROOT_URL, "body": crl}])
    return seen(*(chain or (more.BY_PUBLISHED,)), more.PUBLISHED_CA, anchors=trusted(root), fetched=fetched)


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
    cas_not_revoked,
    passes=_above(more.CA_CRL_EMPTY),
    fails=[_above(more.CA_CRL_REVOKED), _above(more.CA_CRL_REVOKED, more.BY_QUIET, more.QUIET_CA)],
    unknown=[
        _above(more.CA_CRL_STALE),
        _above("AAAA"),
        _above(more.CA_CRL_EMPTY, more.BY_QUIET, more.QUIET_CA),
        _above(more.CA_CRL_EMPTY, root=more.ROOT),
        seen(more.GOOD, fetched="[]"),
    ],
    error=_above(
        Gap(
            State.ERROR,
            Cause.POLICY,
            f"{_ROOT_URL}: the inventory does not allow this host; write 'revocation_hosts: [crl.example.nl]'",
        )
    ),
    notapplicable=[
        given(more.GOOD, fetched="[]"),
        seen(more.BY_ROOT, fetched="[]"),
        seen(more.SELF_SIGNED),
    ],
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
