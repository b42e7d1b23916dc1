"""Revocation: PKITS's CRLs and the answers of a real OCSP responder; nothing is good that was not said to be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from checks.network.x509.paths import Anchors, validate
from checks.network.x509.status import Status, Word, by_crl, by_ocsp, question
from scanner.names import name_key
from tests import pkits
from tests.servers.authority import Authority
from tests.servers.publisher import Publisher, publishing
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


# --- OCSP -----------------------------------------------------------------------------------------------------


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with publishing(Authority(), tmp_path) as found:
        yield found


def heard(publisher: Publisher, word: str) -> Status:
    """What an answer of openssl about a fresh certificate is worth now."""
    publisher.ocsp = word
    about = publisher.issue().certificate
    answer = publisher.answer(question(about, publisher.lab.issuing.certificate))
    assert answer is not None
    return by_ocsp(answer, about, publisher.lab.issuing.certificate, datetime.now(UTC))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("good", Word.GOOD),
        ("revoked", Word.REVOKED),
        ("unknown", Word.UNKNOWN),
        ("stale", Word.UNUSABLE),
        ("stranger", Word.UNUSABLE),
    ],
)
def test_openssl_answers_are_read(word: str, expected: Word, publisher: Publisher) -> None:
    assert heard(publisher, word).word is expected


@pytest.mark.parametrize(
    ("deviation", "expected"),
    [
        ({}, Word.GOOD),
        ({"eku": None}, Word.UNUSABLE),
        ({"eku": [ExtendedKeyUsageOID.SERVER_AUTH]}, Word.UNUSABLE),
        ({"starts": -20, "ends": -1}, Word.UNUSABLE),
        ({"issuer": Authority(keys=3000).issuing}, Word.UNUSABLE),
    ],
)
def test_a_responder_speaks_for_the_ca_that_made_it_one(
    deviation: dict[str, Any], expected: Word, publisher: Publisher
) -> None:
    fields = {"eku": [ExtendedKeyUsageOID.OCSP_SIGNING], "number": 55, "san": None, **deviation}
    publisher.responder = publisher.lab.issue("Responder", **fields)
    assert heard(publisher, "good").word is expected


def test_an_answer_about_another_certificate_is_none(publisher: Publisher) -> None:
    publisher.ocsp = "good"
    issuer = publisher.lab.issuing.certificate
    about = publisher.issue().certificate
    answer = publisher.answer(question(about, issuer)) or b""
    other = publisher.lab.issue().certificate
    assert by_ocsp(answer, other, issuer, datetime.now(UTC)).word is Word.UNUSABLE
    assert by_ocsp(answer, about, issuer, datetime.now(UTC) + timedelta(days=3)).word is Word.UNUSABLE
    assert by_ocsp(answer, about, issuer, datetime.now(UTC) - timedelta(days=1)).word is Word.UNUSABLE


@pytest.mark.parametrize(("hours", "expected"), [(2, Word.GOOD), (48, Word.UNUSABLE), (-2, Word.UNUSABLE)])
def test_an_answer_without_an_end_is_believed_for_a_day(
    hours: int, expected: Word, publisher: Publisher
) -> None:
    about, ca = publisher.issue().certificate, publisher.ca
    now = datetime.now(UTC)
    answer = ocsp.OCSPResponseBuilder().add_response(
        cert=about, issuer=ca.certificate, algorithm=hashes.SHA1(), cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now - timedelta(hours=hours), next_update=None, revocation_time=None, revocation_reason=None,
    ).responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate).sign(ca.key, hashes.SHA256())  # fmt: skip
    assert by_ocsp(answer.public_bytes(Encoding.DER), about, ca.certificate, now).word is expected


@pytest.mark.parametrize("garbage", [b"", b"\0", b"\x30\x03\x0a\x01", b"<html>"])
def test_garbage_is_not_understood(garbage: bytes, publisher: Publisher) -> None:
    about, issuer = publisher.issue().certificate, publisher.lab.issuing.certificate
    assert by_ocsp(garbage, about, issuer, AT).word is Word.NOT_UNDERSTOOD
    assert by_crl(garbage, about, issuer, AT).word is Word.NOT_UNDERSTOOD


def test_a_responder_that_refuses_to_answer_says_nothing_good(publisher: Publisher) -> None:
    about, issuer = publisher.issue().certificate, publisher.lab.issuing.certificate
    for refusal in (1, 2, 3, 5, 6):  # RFC 6960 section 4.2.1
        said = by_ocsp(bytes([0x30, 3, 0x0A, 1, refusal]), about, issuer, AT)
        assert said.word is Word.UNUSABLE, said


# --- CRLs -----------------------------------------------------------------------------------------------------


def listed(publisher: Publisher, crl: str, **deviations: object) -> Status:
    """What a CRL about a fresh certificate is worth now."""
    about = publisher.issue(**deviations).certificate
    publisher.crl = crl
    return by_crl(publisher.list() or b"", about, publisher.lab.issuing.certificate, datetime.now(UTC))


@pytest.mark.parametrize(
    ("crl", "expected"),
    [
        ("empty", Word.GOOD),
        ("revoked", Word.REVOKED),
        ("stranger", Word.UNUSABLE),
        ("renewed", Word.NOT_UNDERSTOOD),
        ("cut", Word.NOT_UNDERSTOOD),
        ("indirect", Word.NOT_UNDERSTOOD),
        ("some-reasons", Word.NOT_UNDERSTOOD),
        ("some-reasons revoked", Word.REVOKED),
        ("with-delta", Word.GOOD),
        ("with-delta revoked", Word.REVOKED),
    ],
)
def test_a_list_says_what_it_is_a_list_of(crl: str, expected: Word, publisher: Publisher) -> None:
    assert listed(publisher, crl).word is expected


def test_a_delta_that_was_not_read_is_told(publisher: Publisher) -> None:
    assert "a delta CRL is named, and not read" in str(listed(publisher, "with-delta"))
    assert "delta" not in str(listed(publisher, "empty"))
    named = x509.DistributionPoint(
        [x509.UniformResourceIdentifier("http://crl.lab.test/delta.crl")], None, None, None
    )
    assert "delta" in str(listed(publisher, "empty", extra=[(x509.FreshestCRL([named]), False)]))


def test_a_place_with_some_of_the_reasons_makes_nothing_good(publisher: Publisher) -> None:
    reasons = frozenset({x509.ReasonFlags.key_compromise})
    place = x509.UniformResourceIdentifier("http://crl.lab.test/some.crl")
    extension = (x509.CRLDistributionPoints([x509.DistributionPoint([place], None, reasons, None)]), False)
    said = {crl: publisher.lab.issue(extra=[extension]).certificate for crl in ("empty", "revoked")}
    for crl, expected in (("empty", Word.NOT_UNDERSTOOD), ("revoked", Word.REVOKED)):
        publisher.about, publisher.crl = said[crl], crl
        found = by_crl(
            publisher.list() or b"", said[crl], publisher.lab.issuing.certificate, datetime.now(UTC)
        )
        assert found.word is expected
