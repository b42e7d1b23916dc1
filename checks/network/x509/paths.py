"""Paths from a certificate to a trust anchor, built from what was shown (RFC 4158) and validated (RFC 5280 section 6).

The outcome is a value: every path that was found, and why it does not hold. Not stricter than RFC 5280, so that a
private CA is judged fairly; but, as with every validator in use, the anchor's own dates and constraints count too.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.oid import ObjectIdentifier as Oid

from checks.network.x509 import policies
from checks.network.x509.names import refusal, shown
from scanner.names import Key, name_key

Certificate: TypeAlias = x509.Certificate

#: Certificates in one path, anchor and leaf included.
LONGEST: Final = 10
#: Steps taken in search of paths: whoever shows a maze of cross-signed certificates does not get to keep us busy.
STEPS: Final = 400


class Reason(StrEnum):
    """Why a path does not hold."""

    NO_ISSUER = "no-issuer"
    TOO_LONG = "too-long"
    SIGNATURE = "signature"
    ALGORITHM = "unknown-algorithm"
    UNREADABLE = "unreadable"
    NOT_YET = "not-yet-valid"
    EXPIRED = "expired"
    NOT_A_CA = "not-a-ca"
    PATH_LENGTH = "path-length"
    KEY_USAGE = "key-usage"
    PURPOSE = "purpose"
    NAME = "name-constraints"
    CRITICAL = "unknown-critical-extension"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Failure:
    """One rule that a path breaks: which, at whose certificate, and what was seen."""

    reason: Reason
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Path:
    """Certificates from the leaf upwards; the last one is an anchor when ``anchored``."""

    certificates: tuple[Certificate, ...]
    anchored: bool
    failures: tuple[Failure, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it leads to an anchor and breaks no rule."""
        return self.anchored and not self.failures


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every path that was found, the best one first. ``exhausted``: there may be more; the search was given up."""

    paths: tuple[Path, ...]
    exhausted: bool = False

    @property
    def trusted(self) -> Path | None:
        """The path that holds, if any."""
        return self.paths[0] if self.paths and self.paths[0].holds else None

    @property
    def why(self) -> str:
        """Why no path holds: what is wrong with the one that comes nearest. Empty when one does."""
        if self.trusted or not self.paths:
            return ""
        return "; ".join(map(str, self.paths[0].failures))


@dataclass(frozen=True, slots=True)
class Demands:
    """What the user of a path may demand beyond its being valid (RFC 5280 section 6.1.1).

    ``purpose`` is the extended key usage that every certificate below the anchor that names any must name.
    ``for_leaf`` says whether that goes for the leaf too.
    """

    policies: frozenset[str] = frozenset({policies.ANY})
    explicit_policy: bool = False
    no_policy_mapping: bool = False
    no_any_policy: bool = False
    purpose: Oid | None = None
    for_leaf: bool = True


class Anchors:
    """Trust anchors by name; made from certificates, of which those that cannot be read are left out.

    ``own`` are those that the organisation added to what its system trusts.
    """

    def __init__(self, certificates: Iterable[Certificate], own: Iterable[Certificate] = ()) -> None:
        self.own = frozenset(own)
        self._by_name: dict[Key, list[Certificate]] = {}
        for one in certificates:
            try:
                self._by_name.setdefault(name_key(one.subject), []).append(one)
            except ValueError:
                continue
        self._all = {one for some in self._by_name.values() for one in some}

    def named(self, name: x509.Name) -> Sequence[Certificate]:
        """The anchors of that name."""
        return self._by_name.get(name_key(name), ())

    def __contains__(self, certificate: Certificate) -> bool:
        return certificate in self._all

    def __len__(self) -> int:
        return len(self._all)


_OWN: Final = b"# of the inventory\n"
_HEAD: Final = re.compile(rb"(\d+) of \d+ trust anchors, sha256 of all [0-9a-f]{64}")


@lru_cache(maxsize=64)
def read_anchors(answer: bytes) -> Anchors:
    """The anchors as `TrustAnchors` documents them, perhaps none. Raises ValueError when they are not all there."""
    head, _, pem = answer.partition(b"\n")
    told = _HEAD.fullmatch(head)
    with warnings.catch_warnings():
        # Some old roots have serial numbers that the library frowns upon.
        warnings.simplefilter("ignore")
        public, own = (
            x509.load_pem_x509_certificates(part) if part else [] for part in pem.partition(_OWN)[::2]
        )
    if not told or int(told[1]) != len(public) + len(own):
        raise ValueError("these are no trust anchors, or not all of them")
    return Anchors([*public, *own], set(own) - set(public))


def validate(
    leaf: Certificate,
    others: Sequence[Certificate],
    anchors: Anchors,
    at: datetime,
    demands: Demands = Demands(),
) -> Outcome:
    """Every path from the leaf over the others to an anchor, judged at that moment (aware, UTC)."""
    search = _Search(others, anchors)
    found = [
        Path(path, anchored, tuple(_failures(path, anchored, broken, at, demands)))
        for path, anchored, broken in search.paths((leaf,))
    ]
    found.sort(
        key=lambda path: (not path.holds, not path.anchored, len(path.failures), len(path.certificates))
    )
    return Outcome(tuple(found), search.steps <= 0)


# --- building -------------------------------------------------------------------------------------------------

_Found: TypeAlias = tuple[tuple[Certificate, ...], bool, Failure | None]


class _Search:
    """Depth first; an issuer whose key does not fit the signature ends its path."""

    def __init__(self, others: Sequence[Certificate], anchors: Anchors) -> None:
        self._anchors, self.steps = anchors, STEPS
        self._by_name: dict[Key, list[Certificate]] = {}
        for one in dict.fromkeys(others):
            try:
                self._by_name.setdefault(name_key(one.subject), []).append(one)
            except ValueError:
                continue

    def paths(self, path: tuple[Certificate, ...]) -> Iterator[_Found]:
        top = path[-1]
        if top in self._anchors:
            yield path, True, None
            return
        try:
            issuers = self._issuers(path)
        except ValueError as error:
            yield path, False, Failure(Reason.UNREADABLE, "(a certificate)", str(error)[:120])
            return
        if not issuers:
            yield path, False, _no_issuer(top)
        for issuer, is_anchor in issuers:
            self.steps -= 1
            if self.steps < 0:
                return
            if fault := signature_fault(top, issuer):
                yield (*path, issuer), is_anchor, fault
            elif is_anchor:
                yield (*path, issuer), True, None
            elif len(path) + 1 >= LONGEST:
                yield (
                    (*path, issuer),
                    False,
                    Failure(Reason.TOO_LONG, shown(top.subject), f"over {LONGEST} certificates"),
                )
            else:
                yield from self.paths((*path, issuer))

    def _issuers(self, path: tuple[Certificate, ...]) -> list[tuple[Certificate, bool]]:
        """Candidates by name, those first whose key identifier is the one asked for; never one that is in the path."""
        top = path[-1]
        taken = {_identity(one) for one in path}
        found = [(one, True) for one in self._anchors.named(top.issuer) if _identity(one) not in taken]
        found += [
            (one, False)
            for one in self._by_name.get(name_key(top.issuer), ())
            if _identity(one) not in taken and one not in self._anchors
        ]
        wanted = _wanted_identifier(top)
        return sorted(found, key=lambda item: bool(wanted) and _identifier(item[0]) != wanted)


def _no_issuer(top: Certificate) -> Failure:
    if name_key(top.subject) == name_key(top.issuer) and not signature_fault(top, top):
        return Failure(Reason.NO_ISSUER, shown(top.subject), "self-signed, and not an approved root")
    return Failure(
        Reason.NO_ISSUER,
        shown(top.subject),
        f"its issuer {shown(top.issuer)} was not shown and is not an approved root",
    )


@lru_cache(maxsize=4096)
def _identity(certificate: Certificate) -> tuple[Key, bytes]:
    """Name and key: what may stand in a path but once (RFC 4158 section 5.2)."""
    return name_key(certificate.subject), spki(certificate)


def spki(certificate: Certificate) -> bytes:
    """The public key as it stands in the certificate (SubjectPublicKeyInfo, DER)."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _identifier(certificate: Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):
        return None


def _wanted_identifier(certificate: Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return None


@lru_cache(maxsize=4096)
def signature_fault(certificate: Certificate, issuer: Certificate) -> Failure | None:
    """Why the issuer's key did not sign this, or why that cannot be told (`Reason.ALGORITHM`); None when it did."""
    try:
        public = issuer.public_key()
        verify_with(public, certificate.signature, certificate.tbs_certificate_bytes, certificate)
    except InvalidSignature:
        return Failure(
            Reason.SIGNATURE, shown(certificate.subject), f"the signature is not of {shown(issuer.subject)}"
        )
    except (UnsupportedAlgorithm, ValueError, TypeError) as error:
        reason = Reason.ALGORITHM if isinstance(error, UnsupportedAlgorithm) else Reason.SIGNATURE
        why = f"the signature cannot be verified: {str(error)[:80] or type(error).__name__}"
        return Failure(reason, shown(certificate.subject), why)
    return None


def verify_with(public: Any, signature: bytes, signed: bytes, algorithm: Any) -> None:
    """Verify what a certificate, CRL or OCSP answer (``algorithm``) says it was signed with.

    Raises InvalidSignature, or UnsupportedAlgorithm or TypeError when that is no way to use this key.
    """
    match public:
        case rsa.RSAPublicKey():
            # The library gives no parameters for MD5; there is but one way to have signed with it.
            how = algorithm.signature_algorithm_parameters or padding.PKCS1v15()
            public.verify(signature, signed, how, algorithm.signature_hash_algorithm)
        case ec.EllipticCurvePublicKey():
            public.verify(signature, signed, ec.ECDSA(algorithm.signature_hash_algorithm))
        case dsa.DSAPublicKey():
            public.verify(signature, signed, algorithm.signature_hash_algorithm)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            public.verify(signature, signed)
        case _:
            raise UnsupportedAlgorithm(f"a key of kind {type(public).__name__} signs nothing")


# --- validating -----------------------------------------------------------------------------------------------

#: Extensions that are understood here or that say nothing of a path; any other one that is critical refuses it.
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_MAPPINGS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME, ExtensionOID.TLS_FEATURE,
    }
)  # fmt: skip


def _failures(
    path: tuple[Certificate, ...],
    anchored: bool,
    broken: Failure | None,
    at: datetime,
    demands: Demands,
) -> Iterator[Failure]:
    """Everything that is wrong with a path, from the anchor down: the nearest to the root first."""
    if broken is not None:
        yield broken
    try:
        extensions = [_extensions(one) for one in path]
    except ValueError as error:
        yield Failure(Reason.UNREADABLE, shown(path[0].subject), str(error)[:120])
        return
    top = len(path) - 1
    below = 0  # intermediates that are not self-issued, between here and the leaf
    lower: list[int] = []
    for place, one in enumerate(path):
        who = shown(one.subject)
        yield from _dated(one, who, at)
        if place:
            yield from _may_issue(one, extensions[place], who, below, is_anchor=anchored and place == top)
        if not (anchored and place == top):
            yield from _understood(extensions[place], who)
            if demands.purpose is not None and (place or demands.for_leaf):
                yield from _for_purpose(extensions[place], who, demands.purpose)
        constraints = extensions[place].get(ExtensionOID.NAME_CONSTRAINTS)
        if place and constraints is not None:
            yield from _constrained(constraints.value, [path[index] for index in lower], who)
        if not place or not self_issued(one):
            lower.append(place)
        if place and not self_issued(one):
            below += 1
    if anchored:
        yield from _policies(path[:-1] or path, demands)


def self_issued(certificate: Certificate) -> bool:
    """Subject and issuer have one name; not the same as self-signed."""
    return name_key(certificate.subject) == name_key(certificate.issuer)


@lru_cache(maxsize=4096)
def _extensions(certificate: Certificate) -> Mapping[Oid, x509.Extension[Any]]:
    return {extension.oid: extension for extension in certificate.extensions}


def _dated(certificate: Certificate, who: str, at: datetime) -> Iterator[Failure]:
    if at < certificate.not_valid_before_utc:
        yield Failure(
            Reason.NOT_YET, who, f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    if at > certificate.not_valid_after_utc:
        yield Failure(Reason.EXPIRED, who, f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def _may_issue(
    certificate: Certificate,
    extensions: Mapping[Oid, x509.Extension[Any]],
    who: str,
    below: int,
    *,
    is_anchor: bool,
) -> Iterator[Failure]:
    """6.1.4 (k) to (n). An anchor of version 1, from before there were extensions, is what the user made it."""
    basic = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    old_anchor = is_anchor and certificate.version is x509.Version.v1
    if not old_anchor and (basic is None or not basic.value.ca):
        yield Failure(Reason.NOT_A_CA, who, "issued a certificate and is no CA (basicConstraints)")
    elif basic is not None and basic.value.path_length is not None and below > basic.value.path_length:
        yield Failure(
            Reason.PATH_LENGTH, who, f"allows {basic.value.path_length} CAs below it, there are {below}"
        )
    usage = extensions.get(ExtensionOID.KEY_USAGE)
    if usage is not None and not usage.value.key_cert_sign:
        yield Failure(Reason.KEY_USAGE, who, "its key may not sign certificates (keyUsage)")


def _understood(extensions: Mapping[Oid, x509.Extension[Any]], who: str) -> Iterator[Failure]:
    for oid, extension in extensions.items():
        if extension.critical and oid not in _UNDERSTOOD:
            yield Failure(Reason.CRITICAL, who, f"the critical extension {oid.dotted_string} is not known")


def _for_purpose(extensions: Mapping[Oid, x509.Extension[Any]], who: str, purpose: Oid) -> Iterator[Failure]:
    named = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    if (
        named is not None
        and purpose not in named.value
        and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in named.value
    ):
        yield Failure(Reason.PURPOSE, who, "is not for this purpose (extendedKeyUsage)")


_refusal: Final = lru_cache(maxsize=4096)(refusal)


def _constrained(
    constraints: x509.NameConstraints, certificates: Iterable[Certificate], who: str
) -> Iterator[Failure]:
    for one in certificates:
        if refused := _refusal(constraints, one):
            yield Failure(Reason.NAME, shown(one.subject), f"{refused} by the name constraints of {who}")


def _policies(path: tuple[Certificate, ...], demands: Demands) -> Iterator[Failure]:
    try:
        stated = [policies.stated(one, self_issued(one)) for one in reversed(path)]
    except ValueError as error:
        yield Failure(Reason.UNREADABLE, shown(path[0].subject), str(error)[:120])
        return
    refused = policies.refusal(
        stated,
        demands.policies,
        explicit=demands.explicit_policy,
        no_mapping=demands.no_policy_mapping,
        no_any=demands.no_any_policy,
    )
    if refused:
        yield Failure(Reason.POLICY, shown(path[0].subject), refused)
