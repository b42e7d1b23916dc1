"""What a TLS port shows of itself: certificates, a stapled answer, and the path they make to an approved root.

The one place that knows how a look at a port is recorded (`served`) and which anchors there are (`anchored`); every
check of certificates starts from the facts here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from checks.network.eap import one_login, within_eap
from checks.network.ports import RadiusServer, TlsPort
from checks.network.tls_endpoint import shown_to, spoken, stapled
from checks.network.x509.names import shown
from checks.network.x509.paths import (
    Anchors,
    Demands,
    Outcome,
    Path,
    Reason,
    read_anchors,
    self_issued,
    signature_fault,
    validate,
)
from scanner import (
    Blind,
    Cause,
    Each,
    EapTls,
    NotUnderstood,
    Raw,
    Renewal,
    ScanTime,
    TlsWalk,
    TrustAnchors,
    Verdict,
    dated,
    fact,
    holds,
    probe,
)
from scanner.names import name_key

#: CA/Browser Forum: domain, organisation, individual and extended validated; every public certificate names one
#: (Baseline Requirements 2.2.6, section 7.1.6.1).
RESERVED: Final = {
    "2.23.140.1.2.1": "DV", "2.23.140.1.2.2": "OV", "2.23.140.1.2.3": "IV", "2.23.140.1.1": "EV",
}  # fmt: skip


@fact
class ServedCertificate:
    """The certificates a port shows, DER, the server's own first.

    ``name`` is the name asked for, or empty. ``staple`` is the OCSP answer that came along, or empty. Over UDP it is
    what a RADIUS server shows to who logs in on the network.
    """

    port: int
    name: str
    chain: tuple[bytes, ...]
    staple: bytes
    protocol: Literal["tcp", "udp"] = "tcp"

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"

    @property
    def anchors(self) -> tuple[str, ...]:
        """The names of the anchors that can end a path: what issued a certificate shown, or is one."""
        shown = [self.leaf, *self.others]
        return TrustAnchors.names_of(name for one in shown for name in (one.issuer, one.subject))

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return certificate(self.chain[0])

    @property
    def others(self) -> list[x509.Certificate]:
        """What was shown behind it. Raises NotUnderstood when not all of that can be read."""
        try:
            return [certificate(one) for one in self.chain[1:]]
        except ValueError as error:
            raise NotUnderstood(f"a certificate behind it cannot be read: {str(error)[:120]}") from None

    @property
    def shown(self) -> str:
        """For an observation: whose certificate it is."""
        return shown(self.leaf.subject)

    @property
    def below_root(self) -> list[x509.Certificate]:
        """All that was shown, without roots: what a visitor must judge."""
        return [self.leaf, *(one for one in self.others if name_key(one.issuer) != name_key(one.subject))]

    @property
    def issuer(self) -> x509.Certificate | None:
        """The certificate shown that signed the server's own, if it was."""
        return self.issuer_of(self.leaf)

    def issuer_of(self, below: x509.Certificate) -> x509.Certificate | None:
        """The certificate shown that signed another one, if any did."""
        return next((one for one in self.others if issued(below, one)), None)

    @property
    def validation(self) -> str:
        """``DV``, ``OV``, ``IV`` or ``EV`` as public CAs state it; empty when none is stated."""
        return next((RESERVED[oid] for oid in policies(self.leaf) if oid in RESERVED), "")


@fact
class CertificatePath:
    """A served chain followed to an approved root at the moment of the scan.

    ``path`` runs from leaf to anchor (DER) and is empty when none holds; then ``distrust`` says why, and ``gave_up``
    why another one may hold after all. ``missing`` names the issuer that was not shown and is no approved root, when
    every path ends in one. ``own_ca`` says that the anchor is one of the inventory.
    """

    served: ServedCertificate
    path: tuple[bytes, ...]
    distrust: str
    gave_up: str
    missing: str
    own_ca: bool

    def __str__(self) -> str:
        return str(self.served)

    def __repr__(self) -> str:
        return f"CertificatePath({self}: {chain_text(self.path) or self.distrust})"

    @property
    def is_public(self) -> bool:
        """Whether a public CA issued it: one the system itself trusts, and that states how it validated as it must."""
        return bool(self.path) and not self.own_ca and bool(self.served.validation)


def _one_hello(port: TlsPort) -> TlsWalk | EapTls:
    if port.protocol == "udp":
        return one_login(RadiusServer(port.number, port.server_name, port.realm))
    return TlsWalk(port.number, port.server_name, port.address, port.starttls, "chain", 10)


@probe("tls", walk=Each(TlsPort, _one_hello))
def served(walk: Raw, port: TlsPort) -> ServedCertificate:
    """One hello as `TlsWalk` or `EapTls` documents it: the chain is DER, RFC 5280.

    What the server's own says needs no other.
    """
    answers = within_eap(walk) if port.protocol == "udp" else spoken(walk, declared=port.declared)
    shown = shown_to(answers, "right").whole
    if shown.alert:
        raise Blind(f"the server ends the handshake: {shown.alert}", Cause.TLS)
    if not shown.chain:
        raise NotUnderstood("no certificate was shown")
    certificate(shown.chain[0])
    return ServedCertificate(
        port.number, port.server_name, shown.chain, stapled(answers).whole, port.protocol
    )


@dated
def served_until(served: ServedCertificate) -> list[Renewal]:
    """A line of the calendar for what a port shows."""
    return [renewal(served.leaf, str(served))]


def renewal(leaf: x509.Certificate, place: str) -> Renewal:
    """A line of the calendar: who renews it is read from who issued it, for how long, and where it lies."""
    starts, ends = lifetime(leaf)
    public = any(oid in RESERVED for oid in policies(leaf))
    brief = ends - starts <= _BY_MACHINE
    if place.startswith("/etc/letsencrypt/") or (public and brief):
        how = "acme"
    elif issued(leaf, leaf):
        how = "self"
    else:
        how = "public-ca" if public else "own-ca"
    return Renewal(
        sha256=leaf.fingerprint(hashes.SHA256()).hex(),
        names=tuple([*names(leaf), *addresses(leaf)] or [shown(leaf.subject)]),
        issuer=shown(leaf.issuer),
        ends=ends.timestamp(),
        how=how,
        place=place,
    )


#: A public certificate that lives no longer than this is renewed by a program.
_BY_MACHINE: Final = timedelta(days=100)
#: Certificates behind the leaf that a path is sought over: who shows more means to keep us busy.
MOST: Final = 32
#: The purpose of the leaf itself is a check of its own.
_FOR_SERVERS: Final = Demands(purpose=ExtendedKeyUsageOID.SERVER_AUTH, for_leaf=False)


@probe("tls", anchors=Each(ServedCertificate, lambda served: TrustAnchors(served.anchors)))
def anchored(anchors: Raw, served: ServedCertificate, now: ScanTime) -> CertificatePath:
    """The chain followed to the anchors that `TrustAnchors` gives, PEM."""
    approved = read_anchors(anchors.out)
    outcome = followed(served, approved, now)
    best = outcome.trusted
    path = best.certificates if best else ()
    return CertificatePath(
        served=served,
        path=tuple(one.public_bytes(Encoding.DER) for one in path),
        distrust=outcome.why,
        gave_up="" if best else _unknown(served, outcome),
        missing=_missing(outcome),
        own_ca=bool(path) and path[-1] in approved.own,
    )


def followed(served: ServedCertificate, approved: Anchors, now: ScanTime) -> Outcome:
    """Every path over what was shown to one of these anchors."""
    return validate(served.leaf, served.others[:MOST], approved, now, _FOR_SERVERS)


def _unknown(served: ServedCertificate, outcome: Outcome) -> str:
    """Why there may be a path that holds, though none was found."""
    if outcome.exhausted or len(served.others) > MOST:
        return "more certificates are shown than there can be paths walked"
    failures = [failure for path in outcome.paths for failure in path.failures]
    return next((str(failure) for failure in failures if failure.reason is Reason.ALGORITHM), "")


def _missing(outcome: Outcome) -> str:
    tops = [path.certificates[-2 if _is_forged(path) else -1] for path in outcome.paths]
    if any(path.anchored for path in outcome.paths) or any(self_issued(top) for top in tops):
        return ""
    return shown(tops[0].issuer) if tops else ""


def _is_forged(path: Path) -> bool:
    """Whether its last certificate has the name of the issuer that is wanted, and another key."""
    return any(failure.reason is Reason.SIGNATURE for failure in path.failures)


@lru_cache(maxsize=4096)
def certificate(der: bytes) -> x509.Certificate:
    """The certificate, read to its names and extensions. Raises ValueError when it cannot be."""
    with warnings.catch_warnings():
        # What the library frowns upon (serial numbers, old names) is for the checks to judge.
        warnings.simplefilter("ignore")
        try:
            found = x509.load_der_x509_certificate(der)
            # Read now, so that they are known to be readable.
            found.issuer, found.subject, found.extensions  # noqa: B018
        except (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise ValueError(str(error)) from None
    return found


def chain_text(chain: Sequence[bytes]) -> str:
    """Whose certificates these are, for people."""
    return " <- ".join(shown(certificate(one).subject) for one in chain)


@lru_cache(maxsize=4096)
def issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    """Whether one certificate signed the other. Raises NotUnderstood when that is done in a way we do not know."""
    if name_key(below.issuer) != name_key(above.subject):
        return False
    fault = signature_fault(below, above)
    if fault and fault.reason is Reason.ALGORITHM:
        raise NotUnderstood(str(fault))
    return not fault


def value(one: x509.Certificate, kind: type[Any]) -> Any:
    """The value of an extension of this class, or None when the certificate has none."""
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def policies(one: x509.Certificate) -> list[str]:
    """The object identifiers of its certificate policies."""
    stated = value(one, x509.CertificatePolicies)
    return [policy.policy_identifier.dotted_string for policy in stated or ()]


def names(one: x509.Certificate) -> list[str]:
    """The DNS names it is for."""
    alternative = value(one, x509.SubjectAlternativeName)
    return alternative.get_values_for_type(x509.DNSName) if alternative else []


def addresses(one: x509.Certificate) -> list[str]:
    """The IP addresses it is for."""
    alternative = value(one, x509.SubjectAlternativeName)
    return [str(found) for found in alternative.get_values_for_type(x509.IPAddress)] if alternative else []


def purposes(one: x509.Certificate) -> list[ObjectIdentifier] | None:
    """Its extended key usages; None when it states none, which allows all."""
    stated = value(one, x509.ExtendedKeyUsage)
    return None if stated is None else list(stated)


def strength(one: x509.Certificate) -> tuple[str, int]:
    """The kind of key and its bits: ("RSA", 3072), ("secp256r1", 256), ("Ed25519", 256)."""
    try:
        public: Any = one.public_key()
    except UnsupportedAlgorithm as error:
        raise NotUnderstood(f"{shown(one.subject)}: {error}") from None
    match public:
        case rsa.RSAPublicKey():
            return "RSA", public.key_size
        case ec.EllipticCurvePublicKey():
            return public.curve.name, public.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 448
        case dsa.DSAPublicKey():
            return "DSA", public.key_size
        case _:
            raise NotUnderstood(f"a public key of kind {type(public).__name__}")


def signed_with(one: x509.Certificate) -> str:
    """The hash its signature is made over, PSS included; empty for Ed25519 and Ed448, which have their own."""
    digest = one.signature_hash_algorithm
    return digest.name if digest else ""


def is_for(one: x509.Certificate, name: str) -> bool:
    """Whether it is for this DNS name; only subjectAltName counts (RFC 9525 section 6.3)."""
    return any(_matches(pattern, name) for pattern in names(one))


def _matches(pattern: str, name: str) -> bool:
    """A wildcard stands for one whole left-most label."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return "." in name and name.split(".", 1)[1] == pattern[2:]
    return pattern == name


def is_address(name: str) -> str:
    """The name as an address in its usual form, or nothing when it is none: an address has no name to match."""
    try:
        return str(ip_address(name))
    except ValueError:
        return ""


def serial(one: x509.Certificate) -> int:
    """Its serial number, whatever the library thinks of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return one.serial_number


def lifetime(one: x509.Certificate) -> tuple[datetime, datetime]:
    """From when until when it is valid."""
    return one.not_valid_before_utc, one.not_valid_after_utc


def valid(one: x509.Certificate, now: ScanTime) -> Verdict:
    """Whether it is valid at this moment."""
    starts, ends = lifetime(one)
    observed = f"{shown(one.subject)}: {starts:%Y-%m-%d} to {ends:%Y-%m-%d}"
    return holds(starts <= now <= ends, observed, f"valid on {now:%Y-%m-%d}")


def in_time(one: x509.Certificate, now: ScanTime, days: int) -> Verdict:
    """Whether it is valid for so many days more; one third of its lifetime when that is shorter."""
    starts, ends = lifetime(one)
    left, needed = ends - now, min(timedelta(days=days), (ends - starts) / 3)
    observed = f"{shown(one.subject)}: {max(left.days, 0)} days left, until {ends:%Y-%m-%d}"
    return holds(left > needed, observed, f"more than {needed.days} days")
