"""The scanner's own trust anchors: only those that can end a chain are evidence, and no verdict changes by it."""

from __future__ import annotations

import base64
import ssl
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509

from checks.network import example_certificates as made
from checks.network import example_tls
from checks.network.x509 import paths
from scanner.channels import ChannelError
from scanner.channels.anchors import Anchors
from scanner.evaluate import scan_time
from scanner.model import Cause, State
from scanner.sources import TrustAnchors
from scanner.testing import NOW, load_package, run_example
from tests.lab.certificates import Authority

# The system's store here holds one with serial number 0.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def _pem(der: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"


def read(*chain: str) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(_pem(one).encode()) for one in chain]


def wanted(chain: list[x509.Certificate]) -> TrustAnchors:
    names = (name for one in chain for name in (one.issuer, one.subject))
    return TrustAnchors(TrustAnchors.names_of(names))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The root of the examples, and two others, of which one has the same name and another key."""
    pems = {"root": _pem(made.ROOT).encode(), "one": Authority().anchor, "other": Authority().anchor}
    for name, pem in pems.items():
        (tmp_path / name).write_bytes(pem)
    return [str(tmp_path / name) for name in pems]


def test_the_answer_is_the_anchors_of_these_names_and_the_digest_of_the_whole_store(files: list[str]) -> None:
    anchors = Anchors(files)
    answer = anchors.answer(wanted(read(made.GOOD)))
    system = ssl.get_default_verify_paths().cafile
    assert system
    whole = b"".join(Path(path).read_bytes() for path in [system, *files])
    head, _, pem = answer.out.partition(b"\n")
    assert whole.count(b"-----BEGIN CERTIFICATE-----") == anchors.count > 20
    assert head.decode() == f"1 of {anchors.count} trust anchors, sha256 of all {sha256(whole).hexdigest()}"
    own, _, pem = pem.partition(b"\n")
    assert own == b"# of the inventory"
    assert pem.decode().replace("\n", "") == _pem(made.ROOT).replace("\n", "")


def test_what_the_inventory_adds_is_told_from_what_the_system_trusts(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = read(made.GOOD)
    root = read(made.ROOT)[0]
    assert paths.read_anchors(Anchors(files).answer(wanted(chain)).out).own == {root}
    monkeypatch.setenv("SSL_CERT_FILE", files[0])
    for extra in ([], files):
        found = paths.read_anchors(Anchors(extra).answer(wanted(chain)).out)
        assert (root in found, found.own) == (True, frozenset())


def test_every_root_of_the_system_is_found_by_its_name(files: list[str]) -> None:
    anchors = Anchors(files)
    system = ssl.get_default_verify_paths().cafile
    assert system
    for root in x509.load_pem_x509_certificates(Path(system).read_bytes()):
        found = anchors.answer(TrustAnchors(TrustAnchors.names_of([root.subject]))).out
        assert root in x509.load_pem_x509_certificates(found.partition(b"\n")[2])


def test_all_of_one_name_are_given(files: list[str]) -> None:
    (own,) = x509.load_pem_x509_certificates(Path(files[1]).read_bytes())
    answer = Anchors(files).answer(TrustAnchors(TrustAnchors.names_of([own.subject])))
    assert answer.out.startswith(b"2 of ")


@pytest.mark.parametrize(
    "chain",
    [
        (made.GOOD,),
        (made.BY_ISSUING,),
        (made.BY_ISSUING, made.ISSUING),
        (made.GOOD, made.ROOT),
        (made.SELF_SIGNED,),
        (made.SHORT,),
        (made.SHA1,),
        (made.RSA_1024,),
        (made.FOR_CLIENTS,),
        (made.ROOT,),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_no_verdict_differs_from_that_with_the_whole_store(
    chain: tuple[str, ...], trusted: bool, files: list[str]
) -> None:
    mine = files if trusted else files[1:]
    system = ssl.get_default_verify_paths().cafile
    assert system
    every = [
        one for path in [system, *mine] for one in x509.load_pem_x509_certificates(Path(path).read_bytes())
    ]
    certificates, now = read(*chain), scan_time(NOW.timestamp())
    few = paths.read_anchors(Anchors(mine).answer(wanted(certificates)).out)
    by_few, by_all = (
        paths.validate(certificates[0], certificates[1:], anchors, now)
        for anchors in (few, paths.Anchors(every))
    )
    assert (by_few.trusted is None, by_few.why) == (by_all.trusted is None, by_all.why)


def unreadable(der: str) -> bytes:
    """The same certificate with a subject that is no UTF-8."""
    return base64.b64decode(der).replace(b"Example Root CA", b"\xffxample Root CA")


def test_an_anchor_whose_name_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text(_pem(base64.b64encode(unreadable(made.ROOT)).decode()) + _pem(made.ROOT))
    answer = Anchors([str(bad)]).answer(wanted(read(made.GOOD)))
    assert answer.out.startswith(b"1 of ")


def test_a_certificate_whose_name_cannot_be_read_blinds_its_port_and_no_more() -> None:
    registry = load_package("checks")
    check = registry.checks["tls.chain-trusted"]
    chain = [base64.b64decode(made.GOOD), unreadable(made.ROOT)]
    example = {
        "sockets": 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n',
        "walk": example_tls.chain("TLSv1.3", chain, b""),
        "anchors": "",
        "target": {"services": [{"port": 443, "tls": True, "server_name": "www.example.nl"}]},
    }
    (finding,) = run_example(check, registry, example)
    assert (finding.subject, finding.status) == ("443/tcp", State.UNKNOWN)


def test_a_file_that_is_not_there_or_holds_no_certificate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="nowhere") as caught:
        Anchors([str(tmp_path / "nowhere")])
    assert caught.value.cause is Cause.POLICY
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ChannelError, match="trust anchors: "):
        Anchors([str(tmp_path / "empty")])


def test_a_scanner_without_public_anchors_says_so(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    none = ssl.get_default_verify_paths()._replace(cafile=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: none)
    for own in ([], files):
        with pytest.raises(ChannelError, match="own system has none; install ca-certificates") as caught:
            Anchors(own)
    assert caught.value.cause is Cause.POLICY
