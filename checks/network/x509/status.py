"""Whether a certificate was revoked: what an OCSP answer (RFC 6960) or a CRL (RFC 5280 section 5) is worth.

Nothing is good that was not said to be, by the one who may say so, about this certificate, and recently.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from checks.network.x509.names import shown
from checks.network.x509.paths import signature_fault, verify_with
from scanner.names import name_key

#: What clocks may differ, and what may pass between the start of a scan and the answer.
SKEW: Final = timedelta(minutes=10)
#: How old an answer may be that does not say when the next one comes.
UNDATED: Final = timedelta(days=1)
#: Certificates in an OCSP answer that are tried.
SIGNERS: Final = 4


class Word(StrEnum):
    """What is said of a certificate; *unusable* when it may not be believed, *not understood* when we cannot tell."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown to its CA"
    UNUSABLE = "unusable"
    NOT_UNDERSTOOD = "not understood"


@dataclass(frozen=True, slots=True)
class Status:
    """What was said, and the circumstances: since when, until when, or why it may not be believed."""

    word: Word
    detail: str

    def __str__(self) -> str:
        return f"{self.word} ({self.detail})"


def _unusable(why: str) -> Status:
    return Status(Word.UNUSABLE, why)


def _beyond(why: str) -> Status:
    return Status(Word.NOT_UNDERSTOOD, why)


#: What the library raises of what is not read by it, which may be our own fault or that of who brought it.
_NOT_READ: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def question(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The OCSP question about a certificate (DER), always the same one: without a nonce.

    The certificate is named by SHA-1, which every server understands; nothing rests on its strength (RFC 5019).
    """
    return _question(certificate, issuer, hashes.SHA1()).public_bytes(Encoding.DER)  # noqa: S303


def _question(
    certificate: x509.Certificate, issuer: x509.Certificate, digest: hashes.HashAlgorithm
) -> ocsp.OCSPRequest:
    return ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, digest).build()


# --- OCSP -----------------------------------------------------------------------------------------------------


def by_ocsp(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Status:
    """What an OCSP answer is worth at that moment (aware, UTC)."""
    try:
        answer = ocsp.load_der_ocsp_response(der)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _unusable(f"the OCSP server says {answer.response_status.name.lower()}")
        if fault := _responder_fault(answer, issuer, at):
            return _unusable(fault)
        for one in answer.responses:
            if _is_about(one, certificate, issuer):
                return _single(one, at)
    except _NOT_READ as error:
        return _beyond(f"the OCSP answer cannot be read: {str(error)[:80]}")
    return _unusable("the OCSP answer is about another certificate")


def _is_about(one: Any, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = _question(certificate, issuer, one.hash_algorithm)
    return bool(
        one.serial_number == asked.serial_number
        and one.issuer_key_hash == asked.issuer_key_hash
        and one.issuer_name_hash == asked.issuer_name_hash
    )


def _single(one: Any, at: datetime) -> Status:
    said, until = one.this_update_utc, one.next_update_utc
    if fault := _dated("the OCSP answer", said, until, at):
        return _unusable(fault)
    match one.certificate_status:
        case ocsp.OCSPCertStatus.GOOD:
            return Status(Word.GOOD, f"OCSP of {said:%Y-%m-%d %H:%M}")
        case ocsp.OCSPCertStatus.REVOKED:
            return Status(Word.REVOKED, f"OCSP: on {one.revocation_time_utc:%Y-%m-%d}")
        case _:
            return Status(Word.UNKNOWN, f"OCSP of {said:%Y-%m-%d %H:%M}")


def _responder_fault(answer: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> str:
    """Why the one who signed may not speak for the CA, or nothing: the CA itself, or whom it made a responder of."""
    fault = "the OCSP answer is signed by neither the CA nor a responder of it"
    for signer in (issuer, *answer.certificates[:SIGNERS]):
        if signer is not issuer and (why := _no_delegate(signer, issuer, at)):
            fault = why
            continue
        try:
            verify_with(signer.public_key(), answer.signature, answer.tbs_response_bytes, _Signed(answer))
        except InvalidSignature:
            continue
        return ""
    return fault


def _no_delegate(signer: x509.Certificate, issuer: x509.Certificate, at: datetime) -> str:
    if name_key(signer.issuer) != name_key(issuer.subject) or signature_fault(signer, issuer):
        return "the OCSP answer is signed by neither the CA nor a responder of it"
    if ExtendedKeyUsageOID.OCSP_SIGNING not in (_extension(signer, x509.ExtendedKeyUsage) or ()):
        return f"{shown(signer.subject)} signed the OCSP answer and may not (extendedKeyUsage)"
    if not signer.not_valid_before_utc - SKEW <= at <= signer.not_valid_after_utc:
        return f"the certificate of the OCSP server expired on {signer.not_valid_after_utc:%Y-%m-%d}"
    return ""


class _Signed:
    """How an OCSP answer was signed, in the words of a certificate."""

    def __init__(self, answer: ocsp.OCSPResponse) -> None:
        self.signature_hash_algorithm = answer.signature_hash_algorithm
        self.signature_algorithm_parameters = getattr(answer, "signature_algorithm_parameters", None)


def _dated(what: str, said: datetime, until: datetime | None, at: datetime) -> str:
    if said > at + SKEW:
        return f"{what} is of {said:%Y-%m-%d %H:%M}, which is yet to come"
    last = until or said + UNDATED
    return f"{what} was good until {last:%Y-%m-%d %H:%M}" if at > last + SKEW else ""


# --- CRL ------------------------------------------------------------------------------------------------------

_CRL_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_NUMBER,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME,
        ExtensionOID.FRESHEST_CRL,
    }
)


def by_crl(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Status:
    """What a CRL (DER, or PEM as some publish it) is worth at that moment (aware, UTC).

    Direct lists only: one by or for others is not understood. A list of some reasons can revoke, and make nothing good.
    Changes since, in a delta, are not read; then the detail says so.
    """
    try:
        crl = (x509.load_pem_x509_crl if data.startswith(b"-----") else x509.load_der_x509_crl)(data)
        if fault := next(_crl_faults(crl, certificate, issuer, at), None):
            return fault
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            return Status(Word.REVOKED, f"CRL: on {entry.revocation_date_utc:%Y-%m-%d}")
        if _of_some_reasons(crl, certificate):
            return _beyond("the CRL does not list it, and lists certificates revoked for some reasons only")
        return Status(Word.GOOD, f"CRL of {crl.last_update_utc:%Y-%m-%d %H:%M}{_changes(crl, certificate)}")
    except _NOT_READ as error:
        return _beyond(f"the CRL cannot be read: {str(error)[:80]}")


def _crl_faults(
    crl: x509.CertificateRevocationList,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    at: datetime,
) -> Iterator[Status]:
    if any(point.crl_issuer for point in _points(certificate)):
        yield _beyond("the certificate names another who publishes its CRL")
    for extension in crl.extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            yield _unusable("the CRL is a delta of another")
        elif isinstance(extension.value, x509.IssuingDistributionPoint):
            yield from _scope_faults(extension.value, certificate)
        elif extension.critical and extension.oid not in _CRL_UNDERSTOOD:
            yield _beyond(f"the critical extension {extension.oid.dotted_string} of the CRL is not known")
    if name_key(crl.issuer) != name_key(certificate.issuer):
        yield _unusable(f"the CRL is of {shown(crl.issuer)}")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        yield _unusable(f"the key of {shown(issuer.subject)} may not sign a CRL (keyUsage)")
    try:
        verify_with(issuer.public_key(), crl.signature, crl.tbs_certlist_bytes, crl)
    except InvalidSignature:
        # A CA with several keys may sign its CRL with another one (RFC 5280 section 6.3.3 (f)).
        signer, known = (
            _extension(crl, x509.AuthorityKeyIdentifier),
            _extension(issuer, x509.SubjectKeyIdentifier),
        )
        if signer and known and signer.key_identifier not in {None, known.digest}:
            yield _beyond(f"the CRL is signed with another key of {shown(issuer.subject)}")
        yield _unusable(f"the CRL is not signed by {shown(issuer.subject)}")
    if dated := _dated("the CRL", crl.last_update_utc, crl.next_update_utc, at):
        yield _unusable(dated)


def _extension(of: x509.Certificate | x509.CertificateRevocationList, kind: type[Any]) -> Any:
    try:
        return of.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _of_some_reasons(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether more may be said elsewhere: by the list, or by the places the certificate names (section 6.3.3 (d))."""
    scope = _extension(crl, x509.IssuingDistributionPoint)
    return bool(scope and scope.only_some_reasons) or any(point.reasons for point in _points(certificate))


def _changes(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> str:
    named = any(_extension(one, x509.FreshestCRL) for one in (crl, certificate))
    return ", without the changes since (a delta CRL is named, and not read)" if named else ""


def _scope_faults(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> Iterator[Status]:
    if scope.indirect_crl or scope.only_contains_attribute_certs or scope.relative_name:
        yield _beyond("the CRL is indirect, of attribute certificates, or of a place named in another way")
    basic = _extension(certificate, x509.BasicConstraints)
    is_ca = basic is not None and basic.ca
    if scope.only_contains_ca_certs if not is_ca else scope.only_contains_user_certs:
        yield _unusable(f"the CRL is for {'users' if is_ca else 'CAs'} only")
    if scope.full_name:
        named = {name for point in _points(certificate) for name in point.full_name or ()}
        if not named & set(scope.full_name):
            yield _unusable("the CRL is of another distribution point")


def _points(certificate: x509.Certificate) -> Iterator[x509.DistributionPoint]:
    yield from _extension(certificate, x509.CRLDistributionPoints) or ()


def crl_places(certificate: x509.Certificate) -> list[str]:
    """Where the certificate says its CRL is, in whatever protocol."""
    return [
        name.value
        for point in _points(certificate)
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]


def ocsp_places(certificate: x509.Certificate) -> list[str]:
    """Where the certificate says its OCSP server is."""
    return [
        one.access_location.value
        for one in _extension(certificate, x509.AuthorityInformationAccess) or ()
        if one.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]
