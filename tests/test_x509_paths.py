"""Paths and policies agree with NIST's PKITS and with `openssl verify`; what is not in either is claimed here."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from checks.network.x509.paths import Anchors, Demands, Outcome, Reason, validate
from tests import pkits
from tests.servers.authority import Authority, Issued, catalogue

# PKITS and our own authority have serial numbers that are frowned upon.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROOT = "TrustAnchorRootCertificate"
POLICY = "2.16.840.1.101.3.2.1.48."
ANY = ("-policy", "anyPolicy")

#: What the user of the path demands -> the same for openssl-verify(1), which looks at policies only when asked to.
DEMANDS: dict[str, tuple[Demands, tuple[str, ...]]] = {
    "plain": (Demands(), ("-policy_check", *ANY)),
    "explicit": (Demands(explicit_policy=True), ("-explicit_policy", *ANY)),
    "policy 1": (
        Demands(frozenset({f"{POLICY}1"}), explicit_policy=True),
        ("-explicit_policy", "-policy", f"{POLICY}1"),
    ),
    "policy 2": (
        Demands(frozenset({f"{POLICY}2"}), explicit_policy=True),
        ("-explicit_policy", "-policy", f"{POLICY}2"),
    ),
    "no anyPolicy": (
        Demands(explicit_policy=True, no_any_policy=True),
        ("-explicit_policy", "-inhibit_any", *ANY),
    ),
    "no mapping": (
        Demands(explicit_policy=True, no_policy_mapping=True),
        ("-explicit_policy", "-inhibit_map", *ANY),
    ),
}
#: Where OpenSSL 3.0 and we differ, and why we are right.
DIFFERENCES = {
    ("no anyPolicy", "ValidPolicyMappingTest11EE"): (
        "The CA states anyPolicy and maps policy 1. OpenSSL reads the mapping as if policy 1 stood in the certificate;"
        " by RFC 5280 6.1.3 (d) 2 and 6.1.4 (b) an inhibited anyPolicy counts for nothing, so nothing is mapped."
    ),
}
#: Valid by PKITS and refused by us: a DSA key without parameters (they are the issuer's) is not read by the library.
NOT_READ = {"ValidDSAParameterInheritanceTest5EE"}
#: Invalid by PKITS for the sake of a CRL alone, which is no part of a path.
REVOCATION = (
    "BadCRL", "BasicSelfIssuedCRLSigningKeyTest7", "BasicSelfIssuedNewWithOld", "BasicSelfIssuedOldWithNew",
    "IDPwithindirectCRL", "LongSerialNumber", "MissingCRL", "NegativeSerialNumber", "OldCRL", "Revoked",
    "SeparateCertificateandCRLKeys", "UnknownCRL", "WrongCRL", "cRLIssuer", "deltaCRL", "distributionPoint",
    "keyUsageCriticalcRLSign", "keyUsageNotCriticalcRLSign", "onlyContains", "onlySomeReasons", "pre2000CRL",
)  # fmt: skip


def load(pem: str) -> x509.Certificate | None:
    """The certificate, or None when the library cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None


CASES = [name for name in pkits.certificates() if name.endswith("EE")]
READ = {name: certificate for name, pem in pkits.certificates().items() if (certificate := load(pem))}
CAS = [certificate for name, certificate in READ.items() if not name.endswith("EE") and name != ROOT]


def ours(case: str, demands: Demands) -> Outcome:
    if case not in READ:
        return Outcome(())
    return validate(READ[case], CAS, Anchors([READ[ROOT]]), AT, demands)


def openssl(folder: Path, *certificates: Path, untrusted: Path, options: Iterable[str] = ()) -> set[str]:
    """The names of those files that `openssl verify` approves of, with root.pem in the folder as its only root."""
    program = shutil.which("openssl")
    assert program, "these tests need openssl"
    done = subprocess.run(
        [
            program, "verify", "-attime", str(int(AT.timestamp())), "-no-CAfile", "-no-CApath",
            "-CAfile", folder / "root.pem", "-untrusted", untrusted, *options, *certificates,
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    return {Path(line[:-4]).stem for line in done.stdout.splitlines() if line.endswith(": OK")}


def test_pkits_has_its_cases() -> None:
    assert len(CASES) == 223


@pytest.mark.parametrize("demands", DEMANDS)
def test_verdicts_agree_with_openssl(demands: str, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(pkits.certificates()[ROOT])
    cas = tmp_path / "cas.pem"
    cas.write_text(
        "".join(pem for name, pem in pkits.certificates().items() if not name.endswith("EE") and name != ROOT)
    )
    for case in CASES:
        (tmp_path / f"{case}.pem").write_text(pkits.certificates()[case])
    said = openssl(
        tmp_path, *(tmp_path / f"{case}.pem" for case in CASES), untrusted=cas, options=DEMANDS[demands][1]
    )
    differ = {
        case for case in CASES if (ours(case, DEMANDS[demands][0]).trusted is not None) != (case in said)
    }
    assert differ == {case for asked, case in DIFFERENCES if asked == demands}
    assert said


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("Valid", "Invalid"))])
def test_verdicts_agree_with_pkits(case: str) -> None:
    outcome = ours(case, Demands())
    if case.startswith("Valid"):
        assert (outcome.trusted is None) == (case in NOT_READ), outcome.why
    elif case.removeprefix("Invalid").startswith(REVOCATION):
        assert outcome.trusted is not None, outcome.why
    else:
        assert outcome.trusted is None


# --- our own authority ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab() -> Authority:
    return Authority(AT)


def judged(issued: Issued, lab: Authority, *roots: Issued, demands: Demands | None = None) -> Outcome:
    anchors = Anchors([one.certificate for one in roots or (lab.root,)])
    return validate(issued.certificate, issued.behind, anchors, AT, demands or Demands())


def test_verdicts_on_the_lab_agree_with_openssl(lab: Authority, tmp_path: Path) -> None:
    made = catalogue(lab)
    assert len(made) >= 40
    old_root = lab.authority("Lab Old Root", number=4, ends=-1)
    roots = (lab.root, old_root)
    (tmp_path / "root.pem").write_bytes(b"".join(one.certificate.public_bytes(Encoding.PEM) for one in roots))
    for purpose, options in (
        (None, ()),
        (ExtendedKeyUsageOID.SERVER_AUTH, ("-purpose", "sslserver")),
    ):
        for name, issued in made.items():
            leaf, behind = tmp_path / f"{name}.pem", tmp_path / "behind"
            leaf.write_bytes(issued.certificate.public_bytes(Encoding.PEM))
            behind.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in issued.behind) or b"\n")
            said = openssl(tmp_path, leaf, untrusted=behind, options=options)
            outcome = judged(issued, lab, *roots, demands=Demands(purpose=purpose))
            if purpose and name == "wrong-usage":
                continue  # what a leaf's key is for (keyUsage) depends on the protocol: a check of its own
            assert (outcome.trusted is not None) == (name in said), (name, options, outcome.why)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", Reason.EXPIRED),
        ("not-yet-valid", Reason.NOT_YET),
        ("missing-intermediate", Reason.NO_ISSUER),
        ("self-signed", Reason.NO_ISSUER),
        ("unknown-ca", Reason.NO_ISSUER),
        ("expired-intermediate", Reason.EXPIRED),
        ("issued-by-leaf", Reason.NOT_A_CA),
        ("issuer-may-not-sign", Reason.KEY_USAGE),
        ("path-too-long", Reason.PATH_LENGTH),
        ("name-forbidden", Reason.NAME),
        ("name-excluded", Reason.NAME),
        ("unknown-critical", Reason.CRITICAL),
    ],
)
def test_it_says_why(name: str, reason: Reason, lab: Authority) -> None:
    outcome = judged(catalogue(lab)[name], lab)
    assert outcome.trusted is None
    assert reason in {failure.reason for failure in outcome.paths[0].failures}, outcome.why


def test_order_and_surplus_do_not_matter_to_trust(lab: Authority) -> None:
    made = catalogue(lab)
    assert judged(made["wrong-order"], lab).trusted
    assert judged(made["superfluous"], lab).trusted


def test_a_cross_signed_ca_leads_to_either_root(lab: Authority) -> None:
    """Whichever comes first; OpenSSL takes the first that fits and never comes back from it."""
    other = Authority(AT, "Other", keys=1000)
    new = lab.authority("Lab Issuing", other.root, number=2)
    assert judged(lab.issue(show=[new, lab.issuing]), lab).trusted
    issued = lab.issue(show=[lab.issuing, new])
    found = judged(issued, lab, other.root).trusted
    assert found is not None
    assert found.certificates[-1] == other.root.certificate


def test_an_intermediate_may_be_the_anchor(lab: Authority) -> None:
    assert judged(lab.issue(show=[]), lab, lab.issuing).trusted
    assert judged(lab.issue(), lab, lab.issuing).trusted


def test_a_leaf_may_be_the_anchor(lab: Authority) -> None:
    alone = lab.issue(issuer="self")
    assert judged(alone, lab, alone).trusted
    assert not judged(lab.issue(issuer="self", ends=-0.5), lab, alone).trusted


def test_a_key_of_the_same_name_is_not_the_same_issuer(lab: Authority) -> None:
    twin = Authority(AT, "Lab").authority("Lab Root", number=77)
    outcome = judged(lab.issue(), lab, twin)
    assert outcome.trusted is None
    assert Reason.SIGNATURE in {failure.reason for failure in outcome.paths[0].failures}


def test_a_maze_of_certificates_is_given_up(lab: Authority) -> None:
    """Twelve keys that all signed each other: more paths than anyone could walk."""
    size = 12
    corners = [lab.authority(f"Corner {number}", number=100 + number) for number in range(size)]
    maze = [
        lab.authority(f"Corner {below}", corners[above], number=100 + below)
        for below in range(size)
        for above in range(size)
        if below != above
    ]
    leaf = lab.issue(issuer=corners[0], show=maze)
    outcome = judged(leaf, lab)
    assert outcome.exhausted
    assert outcome.trusted is None


@pytest.mark.parametrize(
    ("name", "trusted"),
    [("*.lab.test", False), ("*.SECRET.lab.test", False), ("*.shop.lab.test", True), ("www.lab.test", True)],
)
def test_a_wildcard_may_not_stand_for_what_is_excluded(name: str, trusted: bool, lab: Authority) -> None:
    fence = x509.NameConstraints(None, [x509.DNSName("secret.lab.test"), x509.DNSName("b.a.shop.lab.test")])
    fenced = lab.authority("Lab Fence", lab.root, number=81, constraints=fence)
    assert bool(judged(lab.issue(name, issuer=fenced), lab).trusted) is trusted


def test_a_flood_of_names_and_policies_is_refused_at_once(lab: Authority) -> None:
    fence = x509.NameConstraints([x509.DNSName(f"n{number}.test") for number in range(2000)], None)
    fenced = lab.authority("Flood", lab.root, number=80, constraints=fence)
    many = lab.issue(*(f"n{number}.test" for number in range(2000)), issuer=fenced)
    assert "too many to compare" in judged(many, lab).why
    stated = lab.issue(policies=[f"1.2.3.{number}" for number in range(2000)])
    assert Reason.UNREADABLE in {one.reason for one in judged(stated, lab).paths[0].failures}


def test_the_purpose_of_an_intermediate_counts(lab: Authority) -> None:
    people = lab.authority("Lab People", lab.root, number=12)
    limited = lab.issue(
        "Lab People", issuer=lab.root, number=12, ca=True, san=None, eku=[ExtendedKeyUsageOID.CLIENT_AUTH],
        ku=None, starts=-10, ends=1000,
    )  # fmt: skip
    assert limited.certificate.subject == people.certificate.subject
    leaf = lab.issue(issuer=limited)
    demands = Demands(purpose=ExtendedKeyUsageOID.SERVER_AUTH, for_leaf=False)
    assert judged(leaf, lab, demands=demands).trusted is None
    assert judged(lab.issue(eku=[ExtendedKeyUsageOID.CLIENT_AUTH]), lab, demands=demands).trusted


def test_nothing_is_said_of_an_empty_list_of_anchors(lab: Authority) -> None:
    outcome = validate(lab.issue().certificate, (), Anchors([]), AT)
    assert outcome.trusted is None
    assert "was not shown" in outcome.why
