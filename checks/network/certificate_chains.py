"""Whom the certificate of a TLS port comes from: the chain that is shown, up to an approved root."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from cryptography import x509

from checks.network import example_certificates as made
from checks.network import example_served as more
from checks.network.example_shown import given, seen, trusted
from checks.network.served import CertificatePath, ServedCertificate, certificate, issued
from checks.network.x509.names import shown
from scanner import (
    SECURE_DEPLOYMENT,
    Absent,
    Layer,
    NotUnderstood,
    ScanTime,
    Severity,
    Verdict,
    check,
    examples,
    holds,
)

_SHOW: Final = "openssl s_client -connect HOST:PORT -servername NAME -showcerts </dev/null"
_FULL: Final = (
    "cat server.crt intermediate.crt > fullchain.crt    # the server's own first, no root"
    "\nsystemctl reload nginx"
)


@check(
    "tls.chain-trusted",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat komt van een CA die de organisatie vertrouwt",
    why_nl=(
        "Zonder keten naar een goedgekeurde root kan iedereen zo'n certificaat maken, en ziet niemand"
        " het verschil."
    ),
    fix="cat server.crt intermediate.crt > fullchain.crt    # send the intermediates too\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -servername NAME -verify_return_error </dev/null",
    advice="Add the root of your own CA to 'trust_anchors' in the inventory.",
    advice_nl="Zet de root van uw eigen CA bij 'trust_anchors' in de inventaris.",
    references=("RFC 5280 section 6", "BIO2 1.3, control 8.24"),
)
def chain_trusted(anchored: CertificatePath) -> Verdict:
    """The certificate comes from a CA that the organisation trusts.

    Without a chain to an approved root anyone can make such a certificate, and nobody sees the difference. Judged is
    what the server sends, with the roots of the scanner's system and of the inventory.
    """
    if anchored.gave_up:
        raise NotUnderstood(anchored.gave_up)
    observed = anchored.distrust or "the chain builds to an approved root"
    return holds(
        bool(anchored.path), f"{anchored.served.shown}: {observed}"[:400], "a chain to an approved root"
    )


@check(
    "certificate-chains.not-self-signed",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat van de server is niet door hemzelf ondertekend",
    why_nl=(
        "Een certificaat dat zichzelf ondertekent bewijst niets: iedereen kan het namaken, en intrekken"
        " kan niemand het."
    ),
    fix="openssl req -new -key server.key -subj / -addext 'subjectAltName=DNS:NAME' -out server.csr",
    verify=_SHOW,
    references=("RFC 5280 section 3.2",),
)
def not_self_signed(served: ServedCertificate) -> Verdict:
    """The certificate of the server is not signed by itself.

    A certificate that signs itself proves nothing: anyone can make another like it, and nobody can revoke it.
    """
    alone = issued(served.leaf, served.leaf)
    return holds(not alone, f"{served.shown}: issued by {shown(served.leaf.issuer)}", "issued by a CA")


@check(
    "certificate-chains.complete",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De server toont alle tussenliggende certificaten",
    why_nl=(
        "Wie een tussenliggend certificaat mist, kan de keten niet volgen. Browsers vullen dat soms zelf"
        " aan; andere programma's breken af, of zijn daarom op 'niet controleren' gezet."
    ),
    fix=_FULL,
    verify=_SHOW,
    references=(
        "RFC 8446 section 4.4.2",
        "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05, section 4.4",
    ),
)
def complete(anchored: CertificatePath) -> Verdict:
    """The server shows all intermediate certificates.

    Who lacks an intermediate cannot follow the chain. Browsers sometimes fill it in; other programs break off,
    or were told not to verify because of it.
    """
    if anchored.gave_up:
        raise NotUnderstood(anchored.gave_up)
    observed = (
        f"not shown, and no approved root: {anchored.missing}"
        if anchored.missing
        else "every issuer is shown"
    )
    return holds(not anchored.missing, observed, "every issuer up to a root")


def _belongs(one: x509.Certificate, served: ServedCertificate) -> bool:
    """Whether it signed something that was shown, other than itself."""
    return any(one != other and issued(other, one) for other in (served.leaf, *served.others))


def _follows(above: x509.Certificate, before: list[x509.Certificate]) -> bool:
    """Whether it signed one of those before it; cross-signed CAs make several chains in one."""
    return any(issued(one, above) for one in before)


@check(
    "certificate-chains.in-order",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De certificaten staan op volgorde",
    why_nl=(
        "Vóór TLS 1.3 moest elk certificaat dat ervoor ondertekenen; oude en eenvoudige programma's"
        " verwachten dat nog steeds."
    ),
    fix=_FULL,
    verify=_SHOW,
    references=(
        "RFC 5246 section 7.4.2",
        "RFC 8446 section 4.4.2",
    ),
)
def in_order(served: ServedCertificate) -> Verdict:
    """The certificates are in order.

    Before TLS 1.3 each certificate had to sign the one before it; old and simple programs still expect that.
    What belongs to no chain is another check.
    """
    belonging = [one for one in served.others if _belongs(one, served)]
    if not belonging:
        raise Absent("the server shows its own certificate alone")
    order = [served.leaf, *belonging]
    good = all(_follows(above, order[:at]) for at, above in enumerate(order) if at)
    return holds(good, " <- ".join(shown(one.subject) for one in order)[:400], "each signs one before it")


@check(
    "certificate-chains.nothing-superfluous",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De server toont geen certificaten die nergens bij horen",
    why_nl=(
        "Wat niet bij de keten hoort maakt elke verbinding trager, en is vaak een rest van een vorig"
        " certificaat."
    ),
    fix=_FULL,
    verify=_SHOW,
    references=("RFC 8446 section 4.4.2",),
)
def nothing_superfluous(served: ServedCertificate) -> Verdict:
    """The server shows no certificates that belong to nothing.

    What does not belong to the chain slows down every connection, and is often left from a certificate before.
    """
    if not served.others:
        raise Absent("the server shows its own certificate alone")
    twice = [one for at, one in enumerate(served.others) if one in [served.leaf, *served.others[:at]]]
    extra = [shown(one.subject) for one in served.others if one in twice or not _belongs(one, served)]
    return holds(not extra, f"belongs to nothing: {'; '.join(dict.fromkeys(extra))[:400] or 'none'}", "none")


@check(
    "certificate-chains.no-root",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.INFO,
    layer=Layer.DATA,
    title_nl="De server stuurt de root niet mee",
    why_nl=(
        "Wie de root vertrouwt heeft hem al; wie hem niet heeft, gelooft hem niet omdat u hem stuurt."
        " Het kost alleen tijd."
    ),
    fix=_FULL,
    verify=_SHOW,
    references=("RFC 8446 section 4.4.2",),
)
def no_root(served: ServedCertificate) -> Verdict:
    """The server does not send the root along.

    Who trusts the root has it already; who has it not does not believe it because you send it. It only costs
    time.
    """
    if not served.others:
        raise Absent("the server shows its own certificate alone")
    roots = [shown(one.subject) for one in served.others if issued(one, one)]
    return holds(not roots, f"roots: {'; '.join(roots)[:400] or 'none'}", "none")


@check(
    "certificate-chains.cas-outlast",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De CA's boven het certificaat zijn nog lang genoeg geldig",
    why_nl=(
        "Verloopt een tussenliggende CA of root, dan vallen alle diensten eronder op één dag stil. Een"
        " nieuwe uitrollen duurt maanden."
    ),
    fix="openssl x509 -in intermediate.crt -noout -subject -enddate    # ask your CA for its successor",
    verify=_SHOW,
    references=(
        "RFC 5280 section 6.1.3",
        "RFC 4210 section 4.4",
    ),
)
def cas_outlast(
    anchored: CertificatePath,
    now: ScanTime,
    *,
    days: Annotated[int, "days that every CA of the path must be valid still"] = 90,
) -> Verdict:
    """The CAs above the certificate are valid for long enough.

    When an intermediate CA or root expires, all services below it stop on one day. Rolling out another takes
    months.
    """
    if not anchored.path:
        raise NotUnderstood("no path to an approved root, so it is not known which CAs count")
    cas = [certificate(one) for one in anchored.path[1:]]
    if not cas:
        raise Absent("the certificate is an approved root itself")
    ends = sorted((one.not_valid_after_utc, shown(one.subject)) for one in cas)
    soon = [f"{who} until {when:%Y-%m-%d}" for when, who in ends if when <= now + timedelta(days=days)]
    observed = "; ".join(soon) or f"the first to end is {ends[0][1]}, on {ends[0][0]:%Y-%m-%d}"
    return holds(not soon, observed, f"{days} days or more")


# --- examples -------------------------------------------------------------------------------------------------

_TOO_LATE: Final = ScanTime.fromisoformat("2027-06-02T12:00:00+00:00")

examples(
    chain_trusted,
    passes=[
        seen(made.GOOD),
        seen(made.BY_ISSUING, made.ISSUING),
        seen(made.GOOD, made.ROOT),
        seen(more.BY_DEEPER, more.ISSUING, more.DEEPER),
    ],
    fails=[
        seen(made.BY_ISSUING),
        seen(made.SELF_SIGNED),
        seen(made.GOOD, now=_TOO_LATE),
        given(more.PLAIN, anchors=trusted(made.ROOT)),
    ],
    unknown=[seen(made.GOOD, anchors="no PEM"), seen(made.GOOD, "AAAA"), seen(more.MD2_BY_ROOT)],
)
examples(
    not_self_signed,
    passes=given(more.PLAIN),
    fails=seen(more.SELF_SIGNED),
    unknown=seen(more.MD2_SELF_SIGNED),
)
examples(complete, passes=[given(more.PLAIN), seen(more.BY_ROOT)], fails=seen(more.PLAIN))
examples(
    in_order,
    passes=[given(more.PLAIN), seen(more.BY_DEEPER, more.DEEPER, more.ISSUING)],
    fails=seen(more.BY_DEEPER, more.ISSUING, more.DEEPER),
    notapplicable=seen(more.PLAIN),
)
examples(
    nothing_superfluous,
    passes=given(more.PLAIN),
    fails=[seen(more.PLAIN, more.ISSUING, more.OTHER_ISSUING), seen(more.PLAIN, more.ISSUING, more.PLAIN)],
    notapplicable=seen(more.PLAIN),
)
examples(
    no_root,
    passes=given(more.PLAIN),
    fails=seen(more.PLAIN, more.ISSUING, more.ROOT),
    notapplicable=seen(more.PLAIN),
)
examples(
    cas_outlast,
    passes=given(more.PLAIN),
    fails=seen(more.BY_ENDING, more.ENDING),
    unknown=given(more.PLAIN, anchors=trusted(made.ROOT)),
    notapplicable=seen(more.SELF_SIGNED, anchors=trusted(more.SELF_SIGNED)),
)
