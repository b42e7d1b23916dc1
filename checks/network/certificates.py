"""What the certificate of a TLS port says itself: its dates, names and numbers.

Its key is in certificate_keys.py, whom it comes from in certificate_chains.py, whether it was revoked in revocation.py.
The moment of judging is the moment of looking, so that the same evidence gives the same verdict next year.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import Annotated, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from checks.network import example_certificates as made
from checks.network import example_served as more
from checks.network.example_shown import LISTENS, given, on_wifi, plain, seen, trusted
from checks.network.served import (
    CertificatePath,
    ServedCertificate,
    addresses,
    in_time,
    is_address,
    is_for,
    lifetime,
    names,
    policies,
    serial,
    valid,
    value,
)
from checks.network.x509.names import shown
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    IN_DEPTH,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Layer,
    NotUnderstood,
    ScanTime,
    Severity,
    Target,
    Verdict,
    check,
    examples,
    holds,
)

_NCSC: Final = "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05"
_CABF: Final = "CA/Browser Forum Baseline Requirements 2.2.6"
_SHOW: Final = "openssl s_client -connect HOST:PORT -servername NAME </dev/null | openssl x509 -noout -text"
_REQUEST: Final = "openssl req -new -key server.key -subj / -addext 'subjectAltName=DNS:NAME' -out server.csr"


@check(
    "tls.certificate-valid",
    principle=(SECURE_DEPLOYMENT, FAIL_SECURE),
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="Het certificaat is geldig op dit moment",
    why_nl=(
        "Een verlopen certificaat breekt de verbinding, of leert mensen waarschuwingen weg te klikken. Dan helpt"
        " versleuteling niet meer tegen wie zich ertussen zet."
    ),
    fix="certbot renew    # or ask your own CA for a new one\nsystemctl reload nginx",
    verify=_SHOW,
    references=("RFC 5280 section 4.1.2.5",),
)
def certificate_valid(served: ServedCertificate, now: ScanTime) -> Verdict:
    """The certificate is valid at this moment.

    An expired certificate breaks connections, or teaches people to click warnings away. Then encryption no longer
    helps against someone in between.
    """
    return valid(served.leaf, now)


@check(
    "tls.certificate-renewed-in-time",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Het certificaat is nog lang genoeg geldig",
    why_nl=(
        "Wie pas op de laatste dag vernieuwt, heeft geen tijd voor een fout. Kortlopende certificaten"
        " vernieuwen zichzelf."
    ),
    fix="certbot renew    # or ask your own CA for a new one\nsystemctl reload nginx",
    verify=_SHOW,
    advice="Let the renewal run by itself (ACME) and watch that it does: lifetimes shrink to 47 days by 2029.",
    advice_nl="Laat vernieuwen vanzelf gaan (ACME) en bewaak dat: de levensduur krimpt tot 47 dagen in 2029.",
    references=("CA/Browser Forum Baseline Requirements 2.2.6, section 6.3.2", "RFC 8555"),
)
def certificate_renewed_in_time(
    served: ServedCertificate,
    now: ScanTime,
    *,
    days: Annotated[int, "days that must be left; one third of a lifetime under three times that many"] = 30,
) -> Verdict:
    """The certificate is valid for long enough.

    Who renews on the last day has no time for a mistake. Short-lived certificates renew themselves, at a third of
    their lifetime.
    """
    return in_time(served.leaf, now, days)


@check(
    "tls.name-matches",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat is van de naam waaronder de dienst bekend is",
    why_nl="Klopt de naam niet, dan weigert een goed programma, of het vertrouwt iedereen: allebei is fout.",
    fix="openssl req -new -key server.key -subj / -addext 'subjectAltName=DNS:NAME' -out server.csr",
    verify=_SHOW,
    references=("RFC 9525 section 6.3",),
)
def name_matches(served: ServedCertificate) -> Verdict:
    """The certificate is of the name by which the service is known.

    When the name is wrong a good program refuses, or it trusts everyone: both are wrong. The name is that of the
    inventory (server_name, or the address when that is a name); only subjectAltName counts.
    """
    if not served.name:
        raise NotUnderstood("the inventory gives no name for this service; set its 'server_name'")
    address = is_address(served.name)
    for_names, for_addresses = names(served.leaf), addresses(served.leaf)
    found = address in for_addresses if address else is_for(served.leaf, served.name)
    listed = ", ".join([*for_names, *for_addresses][:8]) or "no name at all"
    return holds(found, f"certificate for {listed}", f"for {served.name}")


@check(
    "tls.no-wildcard",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het certificaat geldt alleen voor namen die erin staan, niet voor een heel domein",
    why_nl="Lekt de sleutel van een wildcard, dan kan een ander zich voordoen als elke server in dat domein.",
    fix="openssl req -new -key server.key -subj / -addext 'subjectAltName=DNS:NAME' -out server.csr",
    verify=_SHOW,
    references=("RFC 9525 section 7.1",),
)
def no_wildcard(
    served: ServedCertificate,
    *,
    allowed: Annotated[tuple[str, ...], "wildcards that are agreed on, such as *.shop.example.nl"] = (),
) -> Verdict:
    """The certificate is only for names that are in it, not for a whole domain.

    When the key of a wildcard leaks, another can pose as every server in that domain.
    """
    found = [name for name in names(served.leaf) if name.startswith("*") and name not in allowed]
    return holds(not found, f"wildcards: {', '.join(found) or 'none'}", ", ".join(allowed) or "none")


@check(
    "certificates.names-in-san",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De namen staan in subjectAltName, niet alleen in het onderwerp",
    why_nl=(
        "Een naam die alleen in het onderwerp staat (CN) telt al jaren niet meer: programma's weigeren,"
        " of controleren dan geen naam."
    ),
    fix=_REQUEST,
    verify=_SHOW,
    references=(
        "RFC 9525 section 6.3",
        f"{_CABF}, section 7.1.4.3",
    ),
)
def names_in_san(served: ServedCertificate) -> Verdict:
    """The names are in subjectAltName, not in the subject alone.

    A name that is only in the subject (CN) has not counted for years: programs refuse, or then check no name at
    all.
    """
    listed = [*names(served.leaf), *addresses(served.leaf)]
    common = [str(one.value) for one in served.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    observed = f"subjectAltName: {', '.join(listed[:8])}" if listed else f"CN {', '.join(common)[:120]} alone"
    return holds(bool(listed), observed, "names in subjectAltName")


_RESERVED: Final = (
    "local",
    "localhost",
    "test",
    "example",
    "invalid",
    "internal",
    "lan",
    "intranet",
    "corp",
    "home",
)


def _is_internal(name: str) -> bool:
    name = name.removeprefix("*.").rstrip(".").lower()
    return "." not in name or name.rsplit(".", 1)[1] in _RESERVED


@check(
    "certificates.no-internal-names",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Een publiek certificaat noemt geen interne namen of adressen",
    why_nl=(
        "Publieke certificaten staan in openbare logboeken: zo leest iedereen hoe uw netwerk in elkaar"
        " zit. Een publieke CA mag ze ook niet uitgeven."
    ),
    fix=_REQUEST,
    verify=_SHOW,
    references=(
        f"{_CABF}, sections 4.2.2 and 7.1.4.2",
        "RFC 6761",
        "RFC 1918",
    ),
)
def no_internal_names(anchored: CertificatePath) -> Verdict:
    """A public certificate names nothing internal.

    Public certificates are in public logs: there everyone reads how your network is made. Nor may a public CA
    give them out. Use a certificate of your own CA for internal names.
    """
    if not anchored.is_public:
        raise Absent("the certificate is not of a public CA")
    leaf = anchored.served.leaf
    inside = [name for name in names(leaf) if _is_internal(name)]
    inside += [address for address in addresses(leaf) if not ip_address(address).is_global]
    return holds(not inside, f"internal: {', '.join(inside[:8]) or 'none'}", "none")


@check(
    "certificates.no-address",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het certificaat is van een naam, niet van een IP-adres",
    why_nl=(
        "Een adres verhuist naar een andere machine of eigenaar; het certificaat geldt dan voor de verkeerde."
    ),
    fix=_REQUEST,
    verify=_SHOW,
    references=(
        "PKIoverheid G4 TLS profile, subjectAltName",
        "RFC 9525 section 7.1",
    ),
)
def no_address(served: ServedCertificate) -> Verdict:
    """The certificate is of a name, not of an IP address.

    An address moves to another machine or owner; the certificate then vouches for the wrong one. PKIoverheid
    does not put addresses in certificates.
    """
    found = addresses(served.leaf)
    return holds(not found, f"addresses: {', '.join(found[:8]) or 'none'}", "none")


@check(
    "certificates.serial-sound",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het serienummer is positief en hoogstens 20 bytes lang",
    why_nl=(
        "Aan het serienummer herkent een CA wat zij intrekt. Programma's weigeren een nummer dat niet"
        " aan de norm voldoet."
    ),
    fix=_REQUEST,
    verify=_SHOW,
    advice=("Ask your CA for a new certificate; its software needs repair when it hands out such numbers."),
    advice_nl=(
        "Vraag uw CA om een nieuw certificaat; haar software moet worden hersteld als zij zulke nummers"
        " uitgeeft."
    ),
    references=("RFC 5280 section 4.1.2.2",),
)
def serial_sound(served: ServedCertificate) -> Verdict:
    """The serial number is positive and at most 20 bytes long.

    By its serial number a CA knows what it revokes. Programs refuse a number that does not keep to the norm.
    """
    number = serial(served.leaf)
    return holds(0 < number < 1 << 159, f"serial number {number:x}"[:80], "1 to 20 bytes, positive")


@check(
    "certificates.serial-random",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het serienummer is niet te raden",
    why_nl=(
        "Een CA die door telt, maakt vooraf bekend wat zij gaat ondertekenen. Met een zwakke hash is"
        " daar een vals certificaat mee gemaakt."
    ),
    fix=_REQUEST,
    verify=_SHOW,
    references=(
        f"{_CABF}, section 7.1.2.7: 64 bits from a CSPRNG",
        "Stevens et al., Chosen-prefix collisions for MD5, 2009",
    ),
)
def serial_random(served: ServedCertificate) -> Verdict:
    """The serial number cannot be guessed.

    A CA that counts tells beforehand what it will sign. With a weak hash a false certificate was made that way.
    A number of 64 random bits is shorter than 48 once in 65,000 times, so shorter ones are taken for counted.
    """
    bits = serial(served.leaf).bit_length()
    return holds(bits >= 48, f"serial number of {bits} bits", "64 random bits or more")


@check(
    "certificates.version-3",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat is van versie 3",
    why_nl=(
        "Een certificaat van versie 1 zegt niet waarvoor het is en van welke naam; ook kan ermee worden"
        " ondertekend alsof het een CA is."
    ),
    fix=_REQUEST,
    verify=_SHOW,
    references=("RFC 5280 section 4.1.2.1",),
)
def version_3(served: ServedCertificate) -> Verdict:
    """The certificate is of version 3.

    A certificate of version 1 does not say what it is for and of which name; and old programs take it for a CA.
    """
    old = [shown(one.subject) for one in served.below_root if one.version is not x509.Version.v3]
    return holds(not old, f"not version 3: {'; '.join(old) or 'none'}", "version 3")


@cache
def _limits() -> list[tuple[datetime, timedelta]]:
    """From when which limit holds, latest first."""
    rows = csv.DictReader(files("checks.network").joinpath("validity_limits.csv").read_text().splitlines())
    found = [
        (datetime.fromisoformat(row["issued_from"]).replace(tzinfo=UTC), timedelta(days=int(row["days"])))
        for row in rows
    ]
    return sorted(found, reverse=True)


@check(
    "certificates.validity-limit",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Een publiek certificaat geldt niet langer dan publieke CA's mogen",
    why_nl=(
        "Hoe langer een certificaat geldt, hoe langer een gestolen sleutel bruikbaar is. Browsers"
        " weigeren een publiek certificaat dat te lang geldt."
    ),
    fix="certbot renew --force-renewal",
    verify=_SHOW,
    references=(
        f"{_CABF}, section 6.3.2",
        "checks/network/validity_limits.csv",
    ),
)
def validity_limit(anchored: CertificatePath) -> Verdict:
    """A public certificate is not valid for longer than public CAs may make it.

    The longer a certificate is valid, the longer a stolen key is of use. Browsers refuse a public certificate
    that is valid for too long: 398 days, 200 from 15 March 2026, 100 from 2027, 47 from 2029. Your own CA
    decides for itself.
    """
    if not anchored.is_public:
        raise Absent("the certificate is not of a public CA, which decides for itself")
    starts, ends = lifetime(anchored.served.leaf)
    limit = next((limit for since, limit in _limits() if starts >= since), None)
    if limit is None:
        raise NotUnderstood(f"issued on {starts:%Y-%m-%d}, before the limits that are known")
    # Both ends belong to the period: section 1.6.1, "Validity Period".
    length = ends - starts + timedelta(seconds=1)
    return holds(
        length <= limit,
        f"{length / timedelta(days=1):.1f} days, from {starts:%Y-%m-%d}",
        f"{limit.days} days",
    )


_TIMESTAMPS: Final = x509.PrecertificateSignedCertificateTimestamps


@check(
    "certificates.logged",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Een publiek certificaat staat in openbare logboeken",
    why_nl=(
        "In die logboeken ziet u dat een ander een certificaat op uw naam heeft gekregen. Browsers"
        " weigeren wat er niet in staat."
    ),
    fix="certbot renew --force-renewal    # public CAs log what they issue",
    verify=_SHOW,
    references=(
        "RFC 6962 section 3.3",
        "Chrome Certificate Transparency Policy",
    ),
)
def logged(
    anchored: CertificatePath, *, logs: Annotated[int, "how many logs must have promised to include it"] = 2
) -> Verdict:
    """A public certificate is in public logs.

    In those logs you see when another got a certificate in your name. Browsers refuse what is not in them.
    Counted are the timestamps in the certificate itself.
    """
    if not anchored.is_public:
        raise Absent("the certificate is not of a public CA")
    found = {one.log_id for one in value(anchored.served.leaf, _TIMESTAMPS) or ()}
    return holds(len(found) >= logs, f"timestamps of {len(found)} logs", f"{logs} or more")


@check(
    "certificates.organisation-validated",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Waar gevoelige gegevens gaan, staat de organisatie in het certificaat",
    why_nl=(
        "De BIO2 vraagt bij gevoelige gegevens een certificaat waarvoor de CA de organisatie heeft"
        " nagetrokken (OV of hoger), of een van PKIoverheid."
    ),
    fix=_REQUEST.replace("-subj /", "-subj '/C=NL/O=ORGANISATION/CN=NAME'") + "    # and request OV",
    verify=_SHOW,
    references=(
        "BIO2 1.3, measure 5.14.02",
        f"{_CABF}, section 7.1.6.1",
    ),
)
def organisation_validated(
    anchored: CertificatePath,
    target: Target,
    *,
    tags: Annotated[tuple[str, ...], "words in the inventory that say that data is sensitive"] = (
        "persoonsgegevens",
        "gevoelig",
    ),
) -> Verdict:
    """Where sensitive data goes, the organisation is in the certificate.

    For sensitive data the BIO2 asks for a certificate for which the CA has looked into the organisation (OV or
    higher), or one of PKIoverheid. Sensitive is what the inventory says by a tag.
    """
    if not set(tags) & set(target.tags):
        raise Absent("the inventory does not say that sensitive data goes here")
    if not anchored.path:
        raise NotUnderstood("no path to an approved root, so it is not known whose certificate this is")
    level = anchored.served.validation if anchored.is_public else ""
    if any(oid.startswith("2.16.528.1.1003.") for oid in policies(anchored.served.leaf)):
        level = "PKIoverheid"
    good = level in {"OV", "EV", "PKIoverheid"}
    return holds(good, f"{anchored.served.shown}: {level or 'a CA of your own'}", "OV, EV or PKIoverheid")


# --- examples -------------------------------------------------------------------------------------------------

_LATER: Final = datetime.fromisoformat("2027-05-20T12:00:00+00:00")
_TOO_LATE: Final = datetime.fromisoformat("2027-06-02T12:00:00+00:00")
_SOON: Final = datetime.fromisoformat("2026-12-10T12:00:00+00:00")
_SENSITIVE: Final = {"tags": ["persoonsgegevens"]}

examples(
    certificate_valid,
    passes=[seen(made.GOOD), given(more.GOOD), on_wifi(made.GOOD)],
    fails=[
        seen(made.GOOD, now=_TOO_LATE),
        on_wifi(made.GOOD, now=_TOO_LATE),
        seen(made.GOOD, "AAAA", now=_TOO_LATE),
        seen(made.SHORT, now=datetime.fromisoformat("2026-09-30T00:00:00+00:00")),
    ],
    unknown=[seen(), seen("AAAA"), {**seen(), "walk": plain}, on_wifi(ends=2)],
    error=on_wifi(ends=3),
    notapplicable={**seen(made.GOOD), "sockets": LISTENS.replace(":443 ", ":80 "), "target": {}},
)
examples(
    certificate_renewed_in_time,
    passes=[seen(made.GOOD), seen(made.SHORT)],
    fails=[seen(made.GOOD, now=_LATER), seen(made.SHORT, now=_SOON)],
)
examples(
    name_matches,
    passes=[
        seen(made.GOOD),
        seen(made.GOOD, name="a.shop.example.nl"),
        seen(made.GOOD, name="10.77.0.11"),
    ],
    fails=[seen(made.GOOD, name="mail.example.nl"), seen(made.GOOD, name="a.b.shop.example.nl")],
    unknown=seen(made.GOOD, name=""),
)
examples(no_wildcard, passes=seen(made.RSA_2048), fails=seen(made.GOOD))
examples(names_in_san, passes=given(more.PLAIN), fails=given(more.COMMON_NAME_ONLY))
examples(
    no_internal_names,
    passes=given(more.PUBLIC_OV),
    fails=given(more.PUBLIC_INTERNAL),
    notapplicable=given(more.ADDRESS),
)
examples(no_address, passes=given(more.PLAIN), fails=given(more.ADDRESS))
examples(serial_sound, passes=given(more.PLAIN), fails=given(more.SERIAL_NEGATIVE))
examples(serial_random, passes=given(more.PLAIN), fails=given(more.SERIAL_SHORT))
examples(version_3, passes=given(more.PLAIN), fails=given(more.VERSION_1))
examples(
    validity_limit,
    passes=given(more.PUBLIC_OV),
    fails=given(more.PUBLIC_LONG),
    notapplicable=[given(more.PLAIN), given(more.PUBLIC_LONG, anchors=trusted(own=more.ROOT))],
)
examples(logged, passes=given(more.PUBLIC_OV), fails=given(more.PUBLIC_DV), notapplicable=given(more.PLAIN))
examples(
    organisation_validated,
    passes=[
        given(more.PUBLIC_OV, about=_SENSITIVE),
        given(more.PKIOVERHEID, about=_SENSITIVE),
    ],
    fails=[
        given(more.PUBLIC_DV, about=_SENSITIVE),
        given(more.PLAIN, about=_SENSITIVE),
        given(more.PUBLIC_OV, about=_SENSITIVE, anchors=trusted(own=more.ROOT)),
    ],
    unknown=given(more.PUBLIC_OV, about=_SENSITIVE, anchors=trusted(made.ROOT)),
    notapplicable=given(more.PUBLIC_DV),
)
