"""Certificates in files, seen by the real find, sed, grep and keytool in a mount namespace of the test's own."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    pkcs12,
)

from scanner.evaluate import Collected, Facts, judge, scan_time
from scanner.model import Finding, Raw, State, Target
from scanner.plan import steps
from scanner.sources import Shell, Source
from tests.outside import every_check, state, told
from tests.servers import program
from tests.servers.authority import Authority, Issued

pytestmark = pytest.mark.server

TARGET = Target(name="host", address="127.0.0.1")
#: Puts the folder over /etc/ssl and its part opt over /opt, for one command alone.
LAID = 'mount --bind "$0" /etc/ssl && mount --bind "$0/opt" /opt && exec "$@"'


@pytest.fixture(scope="module")
def lab() -> Authority:
    return Authority()


@pytest.fixture
def ssl(tmp_path: Path) -> Path:
    """What will be /etc/ssl."""
    for name in ("certs", "private", "opt"):
        (tmp_path / name).mkdir()
    tmp_path.chmod(0o755)
    return tmp_path


def look(check: str, ssl: Path) -> list[Finding]:
    """The findings of one check, when this is /etc/ssl."""
    registry = every_check().registry
    answers: dict[Source, Collected] = {}
    now = scan_time(datetime.now(UTC).timestamp())
    for _ in range(3):
        facts = Facts(TARGET, answers, registry, now)
        for step in list(steps(registry.checks[check], facts)):
            if step.source not in answers:
                assert isinstance(step.source, Shell)
                answers[step.source] = Collected(_run(step.source, ssl), ("0" * 64,))
    return judge(registry.checks[check], registry)(Facts(TARGET, answers, registry, now))


def _run(source: Shell, ssl: Path) -> Raw:
    program("keytool" if source.argv[0] == "keytool" else "find")
    done = subprocess.run(
        [program("unshare"), "--mount", "sh", "-c", LAID, ssl, *source.argv],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    return Raw(out=done.stdout, err=done.stderr, code=done.returncode)


def put(ssl: Path, issued: Issued, name: str = "server", *, mode: int = 0o640) -> None:
    (ssl / f"{name}.pem").write_bytes(issued.pem)
    (ssl / "private" / f"{name}.key").write_bytes(issued.key_pem)
    (ssl / "private" / f"{name}.key").chmod(mode)


def test_a_file_that_expired_shows(lab: Authority, ssl: Path) -> None:
    for issued, expected in ((lab.issue(), State.PASS), (lab.issue(starts=-9, ends=-1), State.FAIL)):
        put(ssl, issued)
        found = look("certificate-files.valid", ssl)
        assert state(found) is expected, told(found)
        assert [one.subject for one in found] == ["/etc/ssl/server.pem"]


def test_a_file_that_ends_soon_shows(lab: Authority, ssl: Path) -> None:
    for issued, expected in ((lab.issue(), State.PASS), (lab.issue(starts=-87, ends=3), State.FAIL)):
        put(ssl, issued)
        found = look("certificate-files.renewed-in-time", ssl)
        assert state(found) is expected, told(found)


def test_links_are_followed_and_what_the_system_trusts_is_left_out(lab: Authority, ssl: Path) -> None:
    (ssl / "live").mkdir()
    (ssl / "opt" / "old.bin").write_bytes(lab.issue(starts=-9, ends=-1).pem)
    (ssl / "certs" / "old.pem").symlink_to("../opt/old.bin")
    (ssl / "certs" / "ca-certificates.crt").write_bytes(lab.issue(starts=-9, ends=-1).pem)
    (ssl / "issuing.pem").write_bytes(lab.issuing.pem)
    (ssl / "live" / "fullchain.pem").symlink_to("../opt/chain.bin")
    (ssl / "opt" / "chain.bin").write_bytes(lab.issue().pem)
    found = look("certificate-files.valid", ssl)
    assert [(one.subject, one.status) for one in found] == [("/etc/ssl/live/fullchain.pem", State.PASS)]


def test_what_was_put_among_what_the_system_trusts_shows(lab: Authority, ssl: Path) -> None:
    issued = lab.issue(starts=-9, ends=-1)
    (ssl / "certs" / "server.crt").write_bytes(issued.pem)
    assert state(look("certificate-files.valid", ssl)) is State.FAIL
    (ssl / "certs" / "server.key").write_bytes(issued.key_pem)
    for mode, expected in ((0o644, State.FAIL), (0o600, State.PASS)):
        (ssl / "certs" / "server.key").chmod(mode)
        assert state(look("certificate-files.keys-closed", ssl)) is expected


def of_version_2(issued: Issued) -> bytes:
    """The same certificate of a version that the library does not read, and Java does."""
    der = issued.certificate.public_bytes(Encoding.DER)
    return der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)


def test_one_file_that_cannot_be_read_hides_no_other(lab: Authority, ssl: Path) -> None:
    put(ssl, lab.issue())
    (ssl / "windows.pem").write_bytes(lab.issue().pem.replace(b"\n", b"\r\n"))
    (ssl / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n")
    (ssl / "odd.pem").write_text(DER_cert_to_PEM_cert(of_version_2(lab.issue())))
    found = {one.subject: one.status for one in look("certificate-files.valid", ssl)}
    assert found == {
        "/etc/ssl/broken.pem": State.UNKNOWN,
        "/etc/ssl/odd.pem": State.UNKNOWN,
        "/etc/ssl/server.pem": State.PASS,
        "/etc/ssl/windows.pem": State.PASS,
    }


def test_a_file_that_ends_halfway_or_begins_oddly_hides_no_other(lab: Authority, ssl: Path) -> None:
    put(ssl, lab.issue(starts=-9, ends=-1))
    pem = lab.issue().pem
    leaf, behind = pem.split(b"-----END CERTIFICATE-----\n", 1)
    (ssl / "cut.pem").write_bytes(leaf)
    (ssl / "glued.pem").write_bytes(leaf + b"-----END CERTIFICATE-----" + behind)
    (ssl / "quoted.pem").write_bytes(b"# -----BEGIN CERTIFICATE----- and so on\n" + pem)
    (ssl / "last.pem").write_bytes(leaf)
    found = {one.subject: one.status for one in look("certificate-files.valid", ssl)}
    assert found == {
        "/etc/ssl/cut.pem": State.UNKNOWN,
        "/etc/ssl/glued.pem": State.UNKNOWN,
        "/etc/ssl/last.pem": State.UNKNOWN,
        "/etc/ssl/quoted.pem": State.UNKNOWN,
        "/etc/ssl/server.pem": State.FAIL,
    }


def test_no_key_is_read(lab: Authority, ssl: Path) -> None:
    issued = lab.issue()
    (ssl / "both.pem").write_bytes(issued.key_pem + issued.pem)
    (ssl / "endless.pem").write_bytes(issued.pem.replace(b"-----END", b"----END") + issued.key_pem)
    key = issued.key_pem.splitlines()[1]
    registry = every_check().registry
    facts = Facts(TARGET, {}, registry, scan_time(0))
    for check in ("certificate-files.valid", "certificate-files.keys-closed"):
        for step in steps(registry.checks[check], facts):
            assert isinstance(step.source, Shell)
            assert key not in _run(step.source, ssl).out
    found = {one.subject: one.status for one in look("certificate-files.valid", ssl)}
    assert found == {"/etc/ssl/both.pem": State.PASS, "/etc/ssl/endless.pem": State.UNKNOWN}


def test_a_key_that_others_can_read_shows(lab: Authority, ssl: Path) -> None:
    for mode, expected in (
        (0o640, State.PASS),
        (0o644, State.FAIL),
        (0o660, State.FAIL),
        (0o600, State.PASS),
    ):
        put(ssl, lab.issue(), mode=mode)
        found = look("certificate-files.keys-closed", ssl)
        assert state(found) is expected, told(found)


def test_a_host_without_any_is_not_judged(ssl: Path) -> None:
    for check in ("certificate-files.valid", "certificate-files.keystore-valid"):
        assert state(look(check, ssl)) is State.NOTAPPLICABLE


def keystore(lab: Authority, ssl: Path, kind: str, ends: float) -> None:
    (ssl / "opt" / "server.jks").unlink(missing_ok=True)
    add(ssl, kind, "tomcat", lab.issue(starts=-20, ends=ends))


def add(ssl: Path, kind: str, alias: str, issued: Issued) -> None:
    pfx = ssl / "opt" / "made.pfx"
    pfx.write_bytes(
        pkcs12.serialize_key_and_certificates(
            alias.encode(),
            issued.key,
            issued.certificate,
            None,
            BestAvailableEncryption(b"changeit"),
        )
    )
    store = ssl / "opt" / "server.jks"
    subprocess.run(
        [
            program("keytool"), "-importkeystore", "-srckeystore", pfx, "-srcstorepass", "changeit", "-destkeystore",
            store, "-deststoretype", kind, "-deststorepass", "changeit", "-noprompt",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    pfx.unlink()


def test_a_keystore_that_expired_shows(lab: Authority, ssl: Path) -> None:
    for ends, expected in ((90, State.PASS), (-1, State.FAIL)):
        keystore(lab, ssl, "JKS", ends)
        found = look("certificate-files.keystore-valid", ssl)
        assert state(found) is expected, told(found)
        assert {one.subject for one in found} == {"/opt/server.jks", "/etc/ssl/opt/server.jks"}


def test_a_keystore_that_shows_nothing_is_not_judged(lab: Authority, ssl: Path) -> None:
    keystore(lab, ssl, "PKCS12", 90)
    assert state(look("certificate-files.keystore-valid", ssl)) is State.UNKNOWN


def test_a_keystore_that_shows_no_entry_is_not_judged(lab: Authority, ssl: Path) -> None:
    issued = lab.issue(starts=-9, ends=-1)
    (ssl / "opt" / "server.jks").write_bytes(
        pkcs12.serialize_key_and_certificates(b"a", issued.key, issued.certificate, None, NoEncryption())
    )
    assert state(look("certificate-files.keystore-valid", ssl)) is State.UNKNOWN


def test_one_entry_that_cannot_be_read_hides_no_other(lab: Authority, ssl: Path) -> None:
    odd = lab.issue()
    der = odd.certificate.public_bytes(Encoding.DER).replace(b"\x82\x0cwww.lab.test", b"\xa5\x0cwww.lab.test")
    for ends, expected in ((90, State.UNKNOWN), (-1, State.FAIL)):
        keystore(lab, ssl, "JKS", ends)
        add(ssl, "JKS", "odd", Issued(x509.load_der_x509_certificate(der), odd.key))
        found = look("certificate-files.keystore-valid", ssl)
        assert state(found) is expected, told(found)
