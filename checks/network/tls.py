"""The certificates and the protocol on the host's own TLS ports, as they are shown to a visitor.

Asked is one handshake per port where TLS is to be expected (checks/linux/sockets.py). The moment of judging is the
moment of looking, so that the same evidence gives the same verdict next year.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Annotated, Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    Subject,
    VerificationError,
)

from checks.linux.sockets import TlsPort
from checks.network import example_certificates as made
from checks.network import example_tls
from checks.network.tls_endpoint import shown_to, spoken
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Blind,
    Cause,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    ScanTime,
    Severity,
    TlsWalk,
    TrustAnchors,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_NCSC: Final = "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05"
_VERSIONS: Final = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CURVES: Final = frozenset(
    {"secp256r1", "secp384r1", "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"}
)
#: SHA-1 and MD5 are broken for signatures; SHA-224 is on its way out.
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})


@fact
class Shown:
    """One certificate of a chain: what its key and signature are made of."""

    subject: str
    key: str
    bits: int
    hash: str


@fact
class TlsEndpoint:
    """What a port shows in one handshake.

    ``chain`` are the certificates shown, without a root. ``name`` is the name asked for, or empty. ``names`` and
    ``addresses`` are those the certificate is for. ``distrust`` says why the chain builds to no approved root, or is
    empty when it does.
    """

    port: int
    name: str
    version: str
    cipher: str
    chain: tuple[Shown, ...]
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    starts: datetime
    ends: datetime
    for_servers: bool
    distrust: str

    def __str__(self) -> str:
        return f"{self.port}/tcp"

    @property
    def shown(self) -> str:
        """For an observation: whose certificate it is."""
        return self.chain[0].subject


@probe(
    "tls",
    walk=Each(
        TlsPort, lambda port: TlsWalk(port.number, port.server_name, port.address, port.starttls, "chain", 10)
    ),
    anchors=TrustAnchors(),
)
def tls_endpoint(walk: Raw, anchors: Raw, port: TlsPort, now: ScanTime) -> TlsEndpoint:
    """One hello as `TlsWalk` documents it: the chain is DER, RFC 5280."""
    shown = shown_to(spoken(walk, declared=port.declared), "right").whole
    if shown.alert:
        raise Blind(f"the server ends the handshake: {shown.alert}", Cause.TLS)
    if not shown.chain:
        raise NotUnderstood("no certificate was shown")
    chain = [x509.load_der_x509_certificate(one) for one in shown.chain]
    leaf = chain[0]
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.DNSName)
        addresses = [str(one) for one in alternative.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names, addresses = [], []
    return TlsEndpoint(
        port=port.number,
        name=port.server_name,
        version=shown.version,
        cipher=shown.suite,
        chain=tuple(_shown(one) for at, one in enumerate(chain) if at == 0 or one.issuer != one.subject),
        names=tuple(names),
        addresses=tuple(addresses),
        starts=leaf.not_valid_before_utc,
        ends=leaf.not_valid_after_utc,
        for_servers=_for_servers(leaf),
        distrust=_distrust(chain, names, addresses, _store(anchors.out), now),
    )


def _shown(certificate: x509.Certificate) -> Shown:
    key: Any = certificate.public_key()
    match key:
        case rsa.RSAPublicKey():
            kind = "RSA"
        case ec.EllipticCurvePublicKey():
            kind = key.curve.name
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            kind = type(key).__name__.lstrip("_").removesuffix("PublicKey")
        case dsa.DSAPublicKey():
            kind = "DSA"
        case _:
            raise NotUnderstood(f"a public key of kind {type(key).__name__}")
    digest = certificate.signature_hash_algorithm
    subject = certificate.subject.rfc4514_string()[:120] or "(no subject)"
    return Shown(subject, kind, getattr(key, "key_size", 256), digest.name if digest else "")


def _for_servers(leaf: x509.Certificate) -> bool:
    """Whether the certificate may be used by a server: no stated purpose, or this one (RFC 5280 4.2.1.12)."""
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return (
        ExtendedKeyUsageOID.SERVER_AUTH in purposes or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes
    )


@lru_cache(maxsize=4)
def _store(pem: bytes) -> Store:
    return Store(x509.load_pem_x509_certificates(pem))


#: As the web demands of a CA, but an authority key identifier may be missing, as in many a private CA.
_CA: Final = ExtensionPolicy.webpki_defaults_ca().may_be_present(
    x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None
)
#: The leaf's names and purpose are checks of their own.
_LEAF: Final = ExtensionPolicy.permit_all().require_present(
    x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
)


def _distrust(
    chain: list[x509.Certificate], names: list[str], addresses: list[str], anchors: Store, now: ScanTime
) -> str:
    """Why no path leads from the leaf to an anchor at that moment, or nothing when one does."""
    subject: Subject
    if names:
        subject = x509.DNSName(names[0].replace("*.", "any.", 1))
    elif addresses:
        subject = x509.IPAddress(ip_address(addresses[0]))
    else:
        return "the certificate names no host (no subjectAltName)"
    builder = PolicyBuilder().store(anchors).time(now.replace(tzinfo=None))
    verifier = builder.extension_policies(ca_policy=_CA, ee_policy=_LEAF).build_server_verifier(subject)
    try:
        verifier.verify(chain[0], chain[1:])
    except (VerificationError, UnsupportedAlgorithm) as error:
        return str(error).removeprefix("validation failed: ").partition(" (encountered")[0][:200]
    return ""


def _address(name: str) -> str:
    """The name as an address in its usual form, or nothing when it is none: an address has no name to match."""
    try:
        return str(ip_address(name))
    except ValueError:
        return ""


def _matches(pattern: str, name: str) -> bool:
    """RFC 9525 section 6.3: a wildcard stands for one whole left-most label."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return "." in name and name.split(".", 1)[1] == pattern[2:]
    return pattern == name


# --- checks ---------------------------------------------------------------------------------------------------

_SHOW: Final = "openssl s_client -connect HOST:PORT -servername NAME </dev/null | openssl x509 -noout -text"


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
def certificate_valid(endpoint: TlsEndpoint, now: ScanTime) -> Verdict:
    """The certificate is valid at this moment.

    An expired certificate breaks connections, or teaches people to click warnings away. Then encryption no longer
    helps against someone in between.
    """
    good = endpoint.starts <= now <= endpoint.ends
    observed = f"{endpoint.shown}: {endpoint.starts:%Y-%m-%d} to {endpoint.ends:%Y-%m-%d}"
    return holds(good, observed, f"valid on {now:%Y-%m-%d}")


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
    endpoint: TlsEndpoint,
    now: ScanTime,
    *,
    days: Annotated[int, "days that must be left; one third of a lifetime under three times that many"] = 30,
) -> Verdict:
    """The certificate is valid for long enough.

    Who renews on the last day has no time for a mistake. Short-lived certificates renew themselves, at a third of
    their lifetime.
    """
    left = endpoint.ends - now
    needed = min(timedelta(days=days), (endpoint.ends - endpoint.starts) / 3)
    observed = f"{endpoint.shown}: {max(left.days, 0)} days left, until {endpoint.ends:%Y-%m-%d}"
    return holds(left > needed, observed, f"more than {needed.days} days")


def _weak(one: Shown) -> bool:
    if one.key == "RSA":
        return one.bits < 2048
    return one.key == "DSA" or (one.key not in _CURVES | {"Ed25519", "Ed448", "secp224r1"})


@check(
    "tls.key-strength",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De sleutel van het certificaat is sterk genoeg",
    why_nl=(
        "Een te korte sleutel is te breken: dan is al het verkeer te lezen en doet een ander zich voor"
        " als deze server."
    ),
    fix="openssl ecparam -name prime256v1 -genkey -noout -out server.key    # then request a certificate for it",
    verify=_SHOW,
    references=(f"{_NCSC}, section 3.3.2.1", "NIST SP 800-57 Part 1 Rev. 5, table 2"),
)
def key_strength(endpoint: TlsEndpoint) -> Verdict:
    """The key of the certificate is strong enough.

    A key that is too short can be broken: then all traffic can be read, and another can pose as this server. Judged
    are the certificate and the intermediates shown: RSA of 2048 bits or an elliptic curve of 256 at least.
    """
    weak = [f"{one.subject}: {one.key} {one.bits}" for one in endpoint.chain if _weak(one)]
    observed = "; ".join(weak) or "; ".join(f"{one.key} {one.bits}" for one in endpoint.chain)
    return holds(not weak, observed, "RSA 2048, P-256 or more")


@check(
    "tls.key-not-phased-out",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De sleutel en handtekening van het certificaat worden niet uitgefaseerd",
    why_nl=(
        "RSA met minder dan 3072 bits is volgens het NCSC 'uit te faseren': kies bij de volgende"
        " vernieuwing beter."
    ),
    fix="openssl ecparam -name prime256v1 -genkey -noout -out server.key    # then request a certificate for it",
    verify=_SHOW,
    references=(f"{_NCSC}, sections 3.3.2.1 and 3.3.5",),
)
def key_not_phased_out(endpoint: TlsEndpoint) -> Verdict:
    """The key and signature of the certificate are not being phased out.

    RSA of less than 3072 bits is "to be phased out" according to the NCSC: choose better at the next renewal.
    """
    old = [
        f"{one.subject}: {one.key} {one.bits} {one.hash}"
        for one in endpoint.chain
        if (one.key == "RSA" and one.bits < 3072)
        or one.key == "secp224r1"
        or one.hash == "sha224"
        or _weak(one)
    ]
    observed = "; ".join(old) or "; ".join(f"{one.key} {one.bits}" for one in endpoint.chain)
    return holds(not old, observed, "RSA 3072, P-256 or more, SHA-256 or more")


@check(
    "tls.signature-hash",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat is niet ondertekend met SHA-1 of MD5",
    why_nl=(
        "Van deze hashfuncties zijn botsingen gemaakt: een vals certificaat met dezelfde handtekening is"
        " dan mogelijk."
    ),
    fix="openssl req -new -sha256 -key server.key -out server.csr    # have it signed with SHA-256",
    verify=_SHOW,
    references=(f"{_NCSC}, section 3.3.5", "RFC 9155"),
)
def signature_hash(endpoint: TlsEndpoint) -> Verdict:
    """The certificate is not signed with SHA-1 or MD5.

    Collisions of these hash functions have been made: a false certificate with the same signature is then possible.
    """
    weak = [f"{one.subject}: {one.hash}" for one in endpoint.chain if one.hash in _WEAK_HASHES]
    observed = "; ".join(weak) or ", ".join(dict.fromkeys(one.hash or one.key for one in endpoint.chain))
    return holds(not weak, observed, "SHA-256 or more")


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
def name_matches(endpoint: TlsEndpoint) -> Verdict:
    """The certificate is of the name by which the service is known.

    When the name is wrong a good program refuses, or it trusts everyone: both are wrong. The name is that of the
    inventory (server_name, or the address when that is a name); only subjectAltName counts.
    """
    if not endpoint.name:
        raise NotUnderstood("the inventory gives no name for this service; set its 'server_name'")
    address = _address(endpoint.name)
    found = (
        address in endpoint.addresses
        if address
        else any(_matches(pattern, endpoint.name) for pattern in endpoint.names)
    )
    listed = ", ".join([*endpoint.names, *endpoint.addresses][:8]) or "no name at all"
    return holds(found, f"certificate for {listed}", f"for {endpoint.name}")


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
def chain_trusted(endpoint: TlsEndpoint) -> Verdict:
    """The certificate comes from a CA that the organisation trusts.

    Without a chain to an approved root anyone can make such a certificate, and nobody sees the difference. Judged is
    what the server sends, with the roots of the scanner's system and of the inventory.
    """
    if endpoint.distrust:
        return holds(False, f"{endpoint.shown}: {endpoint.distrust}", "a chain to an approved root")
    return holds(
        True, f"{endpoint.shown}: the chain builds to an approved root", "a chain to an approved root"
    )


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
def protocol(endpoint: TlsEndpoint) -> Verdict:
    """The service speaks TLS 1.2 or newer.

    Older versions are broken. A server that gets no higher with a modern scanner offers nothing better.
    """
    return holds(
        endpoint.version in _VERSIONS[-2:], f"{endpoint.version} {endpoint.cipher}", "TLSv1.2 or TLSv1.3"
    )


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
def newest_protocol(endpoint: TlsEndpoint) -> Verdict:
    """The service speaks TLS 1.3.

    TLS 1.3 is "good" according to the NCSC, TLS 1.2 "sufficient": less can be set wrong in it.
    """
    return holds(endpoint.version == "TLSv1.3", f"{endpoint.version} {endpoint.cipher}", "TLSv1.3")


@check(
    "tls.purpose",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het certificaat is bedoeld voor een server",
    why_nl="Een certificaat van een persoon of voor iets anders hoort niet op een server: dan is er een verwisseld.",
    fix="openssl req -new -key server.key -subj / -addext extendedKeyUsage=serverAuth -out server.csr",
    verify=_SHOW,
    references=("RFC 5280 section 4.2.1.12",),
)
def purpose(endpoint: TlsEndpoint) -> Verdict:
    """The certificate is meant for a server.

    A certificate of a person or for something else does not belong on a server: then one was swapped.
    """
    return holds(
        endpoint.for_servers, f"serverAuth {'allowed' if endpoint.for_servers else 'not allowed'}", "allowed"
    )


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
def no_wildcard(endpoint: TlsEndpoint) -> Verdict:
    """The certificate is only for names that are in it, not for a whole domain.

    When the key of a wildcard leaks, another can pose as every server in that domain.
    """
    found = [name for name in endpoint.names if name.startswith("*")]
    return holds(not found, f"wildcards: {', '.join(found) or 'none'}", "none")


# --- examples -------------------------------------------------------------------------------------------------

_LISTENS: Final = 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n'


def _pem(der: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"


def _seen(
    *chain: str, version: str = "TLSv1.3", name: str = "www.example.nl", **more: object
) -> dict[str, object]:
    """An example: one port, the chain it shows, and the root the scanner trusts."""
    return {
        "sockets": _LISTENS,
        "walk": partial(example_tls.chain, version, chain),
        "anchors": _pem(made.ROOT),
        "target": {"services": [{"port": 443, "tls": True, "server_name": name}]},
        **more,
    }


_LATER: Final = datetime.fromisoformat("2027-05-20T12:00:00+00:00")
_TOO_LATE: Final = datetime.fromisoformat("2027-06-02T12:00:00+00:00")
_SOON: Final = datetime.fromisoformat("2026-12-10T12:00:00+00:00")

examples(
    certificate_valid,
    passes=_seen(made.GOOD),
    fails=[
        _seen(made.GOOD, now=_TOO_LATE),
        _seen(made.SHORT, now=datetime.fromisoformat("2026-09-30T00:00:00+00:00")),
    ],
    unknown=[_seen(), _seen("AAAA")],
    notapplicable={**_seen(made.GOOD), "sockets": _LISTENS.replace(":443 ", ":80 ")},
    error={**_seen(), "walk": partial(example_tls.silence, "TLSv1.3")},
)
examples(
    certificate_renewed_in_time,
    passes=[_seen(made.GOOD), _seen(made.SHORT)],
    fails=[_seen(made.GOOD, now=_LATER), _seen(made.SHORT, now=_SOON)],
)
examples(key_strength, passes=[_seen(made.GOOD), _seen(made.RSA_2048)], fails=_seen(made.RSA_1024))
examples(key_not_phased_out, passes=_seen(made.GOOD), fails=_seen(made.RSA_2048))
examples(signature_hash, passes=_seen(made.GOOD), fails=_seen(made.SHA1))
examples(
    name_matches,
    passes=[
        _seen(made.GOOD),
        _seen(made.GOOD, name="a.shop.example.nl"),
        _seen(made.GOOD, name="10.77.0.11"),
    ],
    fails=[_seen(made.GOOD, name="mail.example.nl"), _seen(made.GOOD, name="a.b.shop.example.nl")],
    unknown=_seen(made.GOOD, name=""),
)
examples(
    chain_trusted,
    passes=[_seen(made.GOOD), _seen(made.BY_ISSUING, made.ISSUING), _seen(made.GOOD, made.ROOT)],
    fails=[_seen(made.BY_ISSUING), _seen(made.SELF_SIGNED), _seen(made.GOOD, now=_TOO_LATE)],
    unknown=_seen(made.GOOD, anchors="no PEM"),
)
examples(
    protocol,
    passes=[_seen(made.GOOD), _seen(made.GOOD, version="TLSv1.2")],
    fails=_seen(made.GOOD, version="TLSv1"),
    unknown={**_seen(), "walk": example_tls.plain},
    notapplicable={**_seen(), "walk": example_tls.plain, "target": {}},
)
examples(newest_protocol, passes=_seen(made.GOOD), fails=_seen(made.GOOD, version="TLSv1.2"))
examples(purpose, passes=_seen(made.GOOD), fails=_seen(made.FOR_CLIENTS))
examples(no_wildcard, passes=_seen(made.RSA_2048), fails=_seen(made.GOOD))
