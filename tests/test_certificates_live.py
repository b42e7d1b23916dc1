"""Every check of what a TLS port shows flips on a real server: the bad certificate on `openssl s_server`, and back."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from checks.network.x509.paths import spki
from checks.network.x509.status import question
from scanner.model import Cause, Finding, State, Target
from tests.outside import look, server_at, state, told
from tests.servers.authority import (
    DV,
    NAME,
    OV,
    Authority,
    Issued,
    catalogue,
    close_primes_key,
    roca_key,
    timestamps,
)
from tests.servers.mail_host import MAIL_HOST, postfix
from tests.servers.names import RESOLVER, Names, Zone
from tests.servers.publisher import Publisher, publishing

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore:Parsed a serial number")]


@pytest.fixture(scope="module")
def lab() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def made(lab: Authority) -> dict[str, Issued]:
    return catalogue(lab)


@pytest.fixture
def publisher(lab: Authority, tmp_path: Path) -> Iterator[Publisher]:
    folder = tmp_path / "ca"
    folder.mkdir()
    with publishing(lab, folder) as found:
        yield found


@contextmanager
def serving(
    issued: Issued, folder: Path, address: str = "127.0.0.1", port: int = 0, staple: bytes = b""
) -> Iterator[int]:
    """A TLS server that shows this; weak keys and hashes too. The port."""
    program = shutil.which("openssl")
    assert program, "these tests need openssl"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaf.pem").write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    (folder / "leaf.key").write_bytes(issued.key_pem)
    behind = b"".join(one.public_bytes(Encoding.PEM) for one in issued.behind)
    (folder / "behind.pem").write_bytes(behind)
    if not port:
        with socket.create_server((address, 0)) as free:
            port = free.getsockname()[1]
    chain = ["-cert_chain", "behind.pem"] if behind else []
    if staple:
        (folder / "staple.der").write_bytes(staple)
        chain += ["-status_file", "staple.der"]
    process = subprocess.Popen(
        [
            program, "s_server", "-accept", f"{address}:{port}", "-cert", "leaf.pem", "-key", "leaf.key", *chain,
            "-cipher", "ALL:@SECLEVEL=0", "-quiet", "-www",
        ],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        for _ in range(200):
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read().decode())
            try:
                socket.create_connection((address, port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait(5)
        assert process.stderr is not None
        process.stderr.close()


def seen(
    check: str,
    issued: Issued,
    lab: Authority,
    folder: Path,
    *,
    name: str = NAME,
    hosts: tuple[str, ...] = (),
    staple: bytes = b"",
    public: bool = False,
    **fields: Any,
) -> list[Finding]:
    """The findings of one check about a server that shows this certificate."""
    root = folder / "root.pem"
    root.write_bytes(lab.root.certificate.public_bytes(Encoding.PEM))
    own = () if public else (str(root),)
    with serving(issued, folder / "server", staple=staple) as port, pytest.MonkeyPatch.context() as patch:
        if public:  # our root is then all that the system trusts
            patch.setenv("SSL_CERT_FILE", str(root))
        target = server_at(
            "127.0.0.1", {"port": port, "tls": True, "server_name": NAME}, ports=(port,), **fields
        )
        return look(target, only=[check], trust_anchors=own, revocation_hosts=hosts)[check]


#: Check -> the certificate that must not pass.
FLIPS = (
    ("tls.certificate-valid", "expired"),
    ("tls.certificate-valid", "not-yet-valid"),
    ("tls.key-strength", "rsa-1024"),
    ("tls.key-not-phased-out", "rsa-2048"),
    ("tls.signature-hash", "sha1"),
    ("tls.signature-hash", "md5"),
    ("tls.name-matches", "wrong-name"),
    ("tls.purpose", "for-clients"),
    ("tls.no-wildcard", "wildcard"),
    ("tls.chain-trusted", "self-signed"),
    ("tls.chain-trusted", "unknown-ca"),
    ("tls.chain-trusted", "missing-intermediate"),
    ("tls.chain-trusted", "expired-intermediate"),
    ("tls.chain-trusted", "path-too-long"),
    ("tls.chain-trusted", "name-forbidden"),
    ("tls.chain-trusted", "issued-by-leaf"),
    ("tls.chain-trusted", "unknown-critical"),
    ("certificates.names-in-san", "common-name-only"),
    ("certificates.no-address", "address"),
    ("certificates.serial-sound", "serial-negative"),
    ("certificates.serial-random", "serial-short"),
    ("certificates.version-3", "version-1"),
    ("certificates.key-usage", "wrong-usage"),
    ("certificates.purpose-servers-only", "any-purpose"),
    ("certificates.not-a-ca", "ca-as-server"),
    ("certificate-chains.not-self-signed", "self-signed"),
    ("certificate-chains.complete", "missing-intermediate"),
    ("certificate-chains.in-order", "wrong-order"),
    ("certificate-chains.nothing-superfluous", "superfluous"),
    ("certificate-chains.no-root", "root-sent"),
)


@pytest.mark.parametrize(("check", "bad"), FLIPS)
def test_the_verdict_follows_the_certificate(
    check: str, bad: str, lab: Authority, made: dict[str, Issued], tmp_path: Path
) -> None:
    for issued, expected in ((made["good"], State.PASS), (made[bad], State.FAIL), (made["good"], State.PASS)):
        found = seen(check, issued, lab, tmp_path)
        assert state(found) is expected, told(found)


def test_an_intermediate_of_another_key_is_not_the_one_that_is_missing(
    lab: Authority, tmp_path: Path
) -> None:
    """The chain of before the CA got a new key: its name is right, and it signed nothing here."""
    before = lab.authority("Lab Issuing", lab.root, number=42)
    found = seen("certificate-chains.complete", lab.issue().showing(before), lab, tmp_path)
    assert state(found) is State.FAIL
    assert "CN=Lab Issuing" in found[0].observed, told(found)


def _public(lab: Authority, **more: Any) -> Issued:
    """As a public CA would issue it, were ours one."""
    fields = {"policies": [OV], "extra": [timestamps(1, 2)], "organisation": "Gemeente Lab"}
    return lab.issue(**{**fields, **more})


#: Check -> a certificate that passes and one that must not, made for the occasion; and what the inventory says.
MADE: tuple[tuple[str, Callable[[Authority], Issued], Callable[[Authority], Issued], dict[str, Any]], ...] = (
    (
        "tls.certificate-renewed-in-time",
        lambda lab: lab.issue(),
        lambda lab: lab.issue(starts=-87, ends=3),
        {},
    ),
    (
        "certificates.no-internal-names",
        lambda lab: lab.issue("www.gemeente.nl", policies=[OV]),
        lambda lab: lab.issue(NAME, "db.local", policies=[OV]),
        {"public": True},
    ),
    ("certificates.validity-limit", _public, lambda lab: _public(lab, ends=380), {"public": True}),
    ("certificates.logged", _public, lambda lab: _public(lab, extra=[timestamps(1)]), {"public": True}),
    (
        "certificates.organisation-validated",
        _public,
        lambda lab: _public(lab, policies=[DV]),
        {"public": True, "tags": ["persoonsgegevens"]},
    ),
    (
        "certificates.exponent-sound",
        lambda lab: lab.issue(kind="rsa2048"),
        lambda lab: lab.issue(kind="rsa2048e3"),
        {},
    ),
    (
        "certificates.key-generator-sound",
        lambda lab: lab.issue(kind="rsa2048"),
        lambda lab: lab.issue(private=roca_key()),
        {},
    ),
    (
        "certificates.key-generator-sound",
        lambda lab: lab.issue(kind="rsa2048"),
        lambda lab: lab.issue(private=close_primes_key()),
        {},
    ),
    (
        "certificate-chains.cas-outlast",
        lambda lab: lab.issue(),
        lambda lab: lab.issue(issuer=lab.authority("Lab Ending", lab.root, number=31, ends=60), ends=50),
        {},
    ),
    (
        "revocation.possible",
        lambda lab: lab.issue(crl="http://crl.lab.test/issuing.crl"),
        lambda lab: lab.issue(),
        {},
    ),
    (
        "revocation.possible",
        lambda lab: lab.issue(crl="http://crl.lab.test/issuing.crl"),
        lambda lab: lab.issue(ends=8),
        {},
    ),
)


@pytest.mark.parametrize(("check", "good", "bad", "fields"), MADE, ids=[one[0] for one in MADE])
def test_the_verdict_follows_what_was_issued(
    check: str,
    good: Callable[[Authority], Issued],
    bad: Callable[[Authority], Issued],
    fields: dict[str, Any],
    lab: Authority,
    tmp_path: Path,
) -> None:
    for issue, expected in ((good, State.PASS), (bad, State.FAIL), (good, State.PASS)):
        found = seen(check, issue(lab), lab, tmp_path, **fields)
        assert state(found) is expected, told(found)


def test_a_ca_of_our_own_is_not_public_whatever_it_states(lab: Authority, tmp_path: Path) -> None:
    check, fields = "certificates.organisation-validated", {"tags": ["persoonsgegevens"]}
    assert state(seen(check, _public(lab), lab, tmp_path, public=True, **fields)) is State.PASS
    assert state(seen(check, _public(lab), lab, tmp_path, **fields)) is State.FAIL


# --- revocation -----------------------------------------------------------------------------------------------

#: Check, what the OCSP server does, what stands in the place of the CRL -> the state.
PUBLISHED = (
    ("revocation.not-revoked", "good", "empty", State.PASS),
    ("revocation.not-revoked", "revoked", "empty", State.FAIL),
    ("revocation.not-revoked", "good", "revoked", State.FAIL),
    ("revocation.not-revoked", "gone", "empty", State.PASS),
    ("revocation.not-revoked", "good", "gone", State.PASS),
    ("revocation.not-revoked", "stale", "empty", State.PASS),
    ("revocation.not-revoked", "gone", "revoked", State.FAIL),
    ("revocation.not-revoked", "gone", "gone", State.ERROR),
    ("revocation.not-revoked", "stale", "stale", State.UNKNOWN),
    ("revocation.not-revoked", "stranger", "stranger", State.UNKNOWN),
    ("revocation.not-revoked", "unknown", "empty", State.UNKNOWN),
    ("revocation.crl-current", "gone", "empty", State.PASS),
    ("revocation.crl-current", "good", "stale", State.FAIL),
    ("revocation.crl-current", "good", "stranger", State.FAIL),
    ("revocation.crl-current", "good", "gone", State.ERROR),
    ("revocation.crl-current", "good", "indirect", State.UNKNOWN),
    ("revocation.crl-current", "good", "renewed", State.UNKNOWN),
    ("revocation.crl-current", "good", "cut", State.UNKNOWN),
    ("revocation.crl-current", "good", "some-reasons", State.UNKNOWN),
    ("revocation.not-revoked", "gone", "indirect", State.UNKNOWN),
    ("revocation.not-revoked", "gone", "some-reasons", State.UNKNOWN),
    ("revocation.not-revoked", "good", "some-reasons revoked", State.FAIL),
    ("revocation.ocsp-answers", "good", "gone", State.PASS),
    ("revocation.ocsp-answers", "stale", "empty", State.FAIL),
    ("revocation.ocsp-answers", "stranger", "empty", State.FAIL),
    ("revocation.ocsp-answers", "unknown", "empty", State.FAIL),
    ("revocation.ocsp-answers", "gone", "empty", State.ERROR),
)


@pytest.mark.parametrize(("check", "ocsp", "crl", "expected"), PUBLISHED)
def test_the_verdict_follows_what_the_ca_publishes(
    check: str, ocsp: str, crl: str, expected: State, lab: Authority, publisher: Publisher, tmp_path: Path
) -> None:
    issued = publisher.issue()
    publisher.ocsp, publisher.crl = ocsp, crl
    found = seen(check, issued, lab, tmp_path, hosts=(publisher.host,))
    assert state(found) is expected, told(found)


def test_a_host_that_the_inventory_does_not_name_is_not_asked(
    lab: Authority, publisher: Publisher, tmp_path: Path
) -> None:
    found = seen("revocation.not-revoked", publisher.issue(), lab, tmp_path)
    assert (found[0].status, found[0].cause) == (State.ERROR, Cause.POLICY)
    assert f"write 'revocation_hosts: [{publisher.host}]'" in found[0].observed
    assert publisher.asked == 0


def test_what_was_fetched_is_not_fetched_again(lab: Authority, publisher: Publisher, tmp_path: Path) -> None:
    """Two hosts with one certificate: one question, one CRL."""
    root = tmp_path / "root.pem"
    root.write_bytes(lab.root.certificate.public_bytes(Encoding.PEM))
    issued = publisher.issue()
    with (
        serving(issued, tmp_path / "a", "127.0.0.1") as one,
        serving(issued, tmp_path / "b", "127.0.0.2") as two,
    ):
        found = look(
            server_at("127.0.0.1", {"port": one, "tls": True, "server_name": NAME}, name="a", ports=(one,)),
            server_at("127.0.0.2", {"port": two, "tls": True, "server_name": NAME}, name="b", ports=(two,)),
            only=["revocation.not-revoked"],
            trust_anchors=(str(root),),
            revocation_hosts=(publisher.host,),
        )["revocation.not-revoked"]
    assert [one.status for one in found] == [State.PASS, State.PASS], told(found)
    assert publisher.asked == 2


def published_ca(publisher: Publisher) -> Issued:
    """A CA below the root, which the publisher then speaks of in the place of the root."""
    lab = publisher.lab
    ca = lab.authority("Lab Published", lab.root, number=41, **publisher.urls)
    publisher.ca, publisher.about = lab.root, ca.certificate
    return ca


#: What the OCSP server says of the CA, what stands in the place of the CRL of its root -> the state.
ABOVE = (
    ("gone", "empty", State.PASS),
    ("gone", "revoked", State.FAIL),
    ("good", "gone", State.PASS),
    ("revoked", "empty", State.FAIL),
    ("good", "revoked", State.FAIL),
    ("unknown", "empty", State.UNKNOWN),
    ("gone", "stale", State.UNKNOWN),
    ("gone", "stranger", State.UNKNOWN),
    ("gone", "gone", State.ERROR),
)


@pytest.mark.parametrize(("ocsp", "crl", "expected"), ABOVE)
def test_the_verdict_follows_what_is_published_of_the_ca_above(
    ocsp: str, crl: str, expected: State, lab: Authority, publisher: Publisher, tmp_path: Path
) -> None:
    ca = published_ca(publisher)
    issued = lab.issue(issuer=ca).showing(ca, lab.root)
    publisher.ocsp, publisher.crl = ocsp, crl
    found = seen("revocation.cas-not-revoked", issued, lab, tmp_path, hosts=(publisher.host,))
    assert state(found) is expected, told(found)
    assert "Lab Published" in found[0].observed or expected is State.ERROR
    assert seen("revocation.not-revoked", issued, lab, tmp_path)[0].status is State.NOTAPPLICABLE


def test_a_ca_above_two_hosts_is_asked_about_once(
    lab: Authority, publisher: Publisher, tmp_path: Path
) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(lab.root.certificate.public_bytes(Encoding.PEM))
    ca = published_ca(publisher)
    # OCSP can be asked only where the root is shown; that the other does not show it changes nothing for the CRL.
    with (
        serving(lab.issue(issuer=ca).showing(ca, lab.root), tmp_path / "a", "127.0.0.1") as one,
        serving(lab.issue(NAME, "mail.lab.test", issuer=ca), tmp_path / "b", "127.0.0.2") as two,
    ):
        found = look(
            server_at("127.0.0.1", {"port": one, "tls": True, "server_name": NAME}, name="a", ports=(one,)),
            server_at("127.0.0.2", {"port": two, "tls": True, "server_name": NAME}, name="b", ports=(two,)),
            only=["revocation.cas-not-revoked"],
            trust_anchors=(str(root),),
            revocation_hosts=(publisher.host,),
        )["revocation.cas-not-revoked"]
    assert [one.status for one in found] == [State.PASS, State.PASS], told(found)
    assert publisher.asked == 2


def test_the_place_of_a_ca_that_the_inventory_does_not_name_is_not_asked(
    lab: Authority, publisher: Publisher, tmp_path: Path
) -> None:
    issued = lab.issue(issuer=published_ca(publisher))
    found = seen("revocation.cas-not-revoked", issued, lab, tmp_path)
    assert (found[0].status, found[0].cause) == (State.ERROR, Cause.POLICY)
    assert publisher.asked == 0


def stapled(publisher: Publisher, word: str) -> bytes:
    """What a server fetches to staple, when the OCSP server is like that."""
    assert publisher.about is not None
    publisher.ocsp = word
    return publisher.answer(question(publisher.about, publisher.lab.issuing.certificate)) or b""


#: Check, whether the certificate must staple, what is stapled -> the state.
STAPLES = (
    ("revocation.staple-valid", False, "good", State.PASS),
    ("revocation.staple-valid", False, "stale", State.FAIL),
    ("revocation.staple-valid", False, "stranger", State.FAIL),
    ("revocation.staple-valid", False, "revoked", State.FAIL),
    ("revocation.staple-valid", False, "gone", State.NOTAPPLICABLE),
    ("revocation.must-staple-kept", True, "good", State.PASS),
    ("revocation.must-staple-kept", True, "gone", State.FAIL),
    ("revocation.must-staple-kept", True, "stale", State.FAIL),
    ("revocation.must-staple-kept", False, "gone", State.NOTAPPLICABLE),
)


@pytest.mark.parametrize(("check", "must", "word", "expected"), STAPLES)
def test_the_verdict_follows_what_is_stapled(
    check: str, must: bool, word: str, expected: State, lab: Authority, publisher: Publisher, tmp_path: Path
) -> None:
    issued = publisher.issue(must_staple=must)
    found = seen(check, issued, lab, tmp_path, staple=stapled(publisher, word))
    assert state(found) is expected, told(found)


# --- the DNS --------------------------------------------------------------------------------------------------


def test_the_verdict_follows_the_dns(lab: Authority, tmp_path: Path) -> None:
    """CAA that names the CA or another, TLSA of this key or another, in a zone of our own."""
    ca = lab.authority("E7", lab.root, number=61, organisation="Let's Encrypt")
    issued = lab.issue(issuer=ca, policies=[DV])
    root = tmp_path / "root.pem"
    root.write_bytes(lab.root.certificate.public_bytes(Encoding.PEM))
    pins = {True: issued, False: lab.issue(number=62)}
    checks = ("certificate-dns.issuer-allowed", "certificate-dns.pin-matches")

    def zone(port: int, good: bool) -> Zone:
        pin = sha256(spki(pins[good].certificate)).hexdigest()
        named = "letsencrypt.org" if good else "pki.goog"
        return Zone("lab.test", f'@ CAA 0 issue "{named}"\n_{port}._tcp.www TLSA 3 1 1 {pin}\n')

    with serving(issued, tmp_path / "server") as port, Names(tmp_path, [zone(port, True)]) as names_:
        target = server_at("127.0.0.1", {"port": port, "tls": True, "server_name": NAME}, ports=(port,))
        for good in (True, False, True):
            names_.change(zone(port, good))
            found = look(target, only=checks, trust_anchors=(str(root),), resolvers=(RESOLVER,))
            for check in checks:
                assert state(found[check]) is (State.PASS if good else State.FAIL), told(found[check])


def test_the_pin_of_a_mail_server_stands_at_the_name_of_the_mx(lab: Authority, tmp_path: Path) -> None:
    check, mx, issued = "certificate-dns.pin-matches", "mail.lab.test", lab.issue("mail.lab.test")
    pins = {True: issued, False: lab.issue(number=63)}

    def zone(good: bool) -> Zone:
        pin = sha256(spki(pins[good].certificate)).hexdigest()
        return Zone("lab.test", f"@ MX 10 mail\nmail A {MAIL_HOST}\n_25._tcp.mail TLSA 3 1 1 {pin}\n")

    with postfix(mx, 25, issued), Names(tmp_path, [zone(True)]) as names_:
        for good in (True, False, True):
            names_.change(zone(good))
            for name, wrong in (("", State.UNKNOWN), ("other.lab.test", State.UNKNOWN), (mx, State.FAIL)):
                service = {"port": 25, "name": "smtp", "tls": True, "server_name": name}
                target = server_at(MAIL_HOST, service, ports=(25,), domains=("lab.test",))
                found = look(target, only=[check], resolvers=(RESOLVER,))[check]
                assert state(found) is (State.PASS if good else wrong), told(found)
                assert f"{mx}: " in told(found)
        elsewhere = server_at(MAIL_HOST, service, ports=(25,), domains=())
        assert state(look(elsewhere, only=[check], resolvers=(RESOLVER,))[check]) is State.PASS


# --- across the fleet -----------------------------------------------------------------------------------------


def _together(check: str, first: Issued, second: Issued, lab: Authority, folder: Path, cluster: str) -> State:
    root = folder / "root.pem"
    root.write_bytes(lab.root.certificate.public_bytes(Encoding.PEM))
    with serving(first, folder / "a", "127.0.0.1") as port, serving(second, folder / "b", "127.0.0.2", port):
        service = {"port": port, "tls": True, "server_name": NAME}
        targets: list[Target] = [
            server_at("127.0.0.1", service, name="a", cluster=cluster, ports=(port,)),
            server_at("127.0.0.2", service, name="b", cluster=cluster, ports=(port,)),
        ]
        return state(look(*targets, only=[check], trust_anchors=(str(root),))[check])


def test_a_key_that_is_shared_shows(lab: Authority, tmp_path: Path) -> None:
    check, own = "certificates.keys-not-shared", lab.issue(number=41)
    assert _together(check, lab.issue(), own, lab, tmp_path, "") is State.PASS
    assert _together(check, lab.issue(), lab.issue("b.lab.test"), lab, tmp_path, "") is State.FAIL
    assert _together(check, lab.issue(), own, lab, tmp_path, "") is State.PASS


def test_a_node_that_was_forgotten_shows(lab: Authority, tmp_path: Path) -> None:
    check, issued = "certificates.nodes-alike", lab.issue()
    assert _together(check, issued, issued, lab, tmp_path, "web") is State.PASS
    assert _together(check, issued, lab.issue(ends=9), lab, tmp_path, "web") is State.FAIL
    assert _together(check, issued, issued, lab, tmp_path, "web") is State.PASS


def test_a_serial_number_that_was_given_out_twice_shows(lab: Authority, tmp_path: Path) -> None:
    check, once = "certificates.serials-unique", lab.issue()
    first, second = lab.issue(serial=4711), lab.issue("b.lab.test", serial=4711, number=41)
    assert _together(check, first, once, lab, tmp_path, "") is State.PASS
    assert _together(check, first, second, lab, tmp_path, "") is State.FAIL
    assert _together(check, first, once, lab, tmp_path, "") is State.PASS
