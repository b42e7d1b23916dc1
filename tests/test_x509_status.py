"""Revocation: PKITS's CRLs and the answers of a real OCSP responder; nothing is good that was not said to be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from checks.network.x509.paths import Anchors, validate
from checks.network.x509.status import Word, by_crl
from scanner.names import name_key
from tests import pkits
from tests.test_x509_paths import CAS, CASES, READ, ROOT

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
CRLS = [x509.load_pem_x509_crl(pem.encode()) for pem in pkits.crls().values()]
#: Beyond us: CRLs that are indirect, deltas or for some reasons, or signed with a key of their own.
BEYOND = (
    "DSAParameterInheritance", "IDPwithindirectCRL", "SeparateCertificateandCRLKeys", "BasicSelfIssuedCRLSigningKey",
    "cRLIssuer", "deltaCRL", "onlySomeReasons", "distributionPoint", "BasicSelfIssuedOldWithNew",
    "BasicSelfIssuedNewWithOld", "SelfIssued", "DNnameConstraintsTest19",
)  # fmt: skip


def worst_of(case: str) -> set[Word]:
    """What PKITS's CRLs say of the certificates of a path, in our words; the best word for each certificate."""
    if case not in READ:
        return {Word.UNUSABLE}
    path = validate(READ[case], CAS, Anchors([READ[ROOT]]), AT).trusted
    assert path is not None
    found = set()
    for certificate, issuer in zip(path.certificates, path.certificates[1:], strict=False):
        words = {
            by_crl(crl.public_bytes(Encoding.DER), certificate, issuer, AT).word
            for crl in CRLS
            if name_key(crl.issuer) == name_key(certificate.issuer)
        }
        found.add(
            Word.REVOKED if Word.REVOKED in words else Word.GOOD if Word.GOOD in words else Word.UNUSABLE
        )
    return found


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.startswith("Invalid") and "delta" not in case]
)
def test_what_pkits_revokes_is_never_good(case: str) -> None:
    if case not in READ or validate(READ[case], CAS, Anchors([READ[ROOT]]), AT).trusted is None:
        return  # no path at all: that is test_x509_paths
    assert worst_of(case) != {Word.GOOD}


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        if case.startswith("Valid") and not case.removeprefix("Valid").startswith(BEYOND)
    ],
)
def test_what_pkits_approves_is_good(case: str) -> None:
    assert worst_of(case) <= {Word.GOOD}
