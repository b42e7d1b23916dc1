"""The certificate of a real FreeRADIUS, seen as a client of the wifi sees it, one setting at a time."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from zstandard import ZstdDecompressor

from scanner import cli, radius, tlsanswer
from scanner.channels.radius import look as ask
from scanner.model import Cause, Finding, Impact, Raw, State, Target
from scanner.sources import EapTls
from scanner.transcript import exchanges
from tests.outside import look, told
from tests.servers.authority import Authority, Issued
from tests.servers.freeradius import METHODS, NAME, SECRET, freeradius
from tests.servers.hostapd import hostapd
from tests.servers.ports import address

pytestmark = pytest.mark.server

VALID, MATCHES, TRUSTED = "tls.certificate-valid", "tls.name-matches", "tls.chain-trusted"
PURPOSE, OLD_VERSIONS = "tls.purpose", "eap.old-versions-refused"
AUTHORITY = Authority()


@pytest.fixture
def anchor(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(AUTHORITY.root.pem)
    return str(path)


def found(target: Target, *checks: str, anchor: str = "") -> dict[str, Finding]:
    seen = look(target, only=checks, trust_anchors=(anchor,) if anchor else ())
    print("\n".join(told(some) for some in seen.values()))
    return {id_: one for id_, (one,) in seen.items()}


@pytest.mark.parametrize("fragment", [400, 1024])
@pytest.mark.parametrize("first", ["md5", "tls", "ttls", "peap"])
def test_a_good_certificate(tmp_path: Path, anchor: str, first: str, fragment: int) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME), first=first, fragment=fragment) as target:
        seen = found(target, VALID, MATCHES, TRUSTED, PURPOSE, anchor=anchor)
    assert {one.status for one in seen.values()} == {State.PASS}
    assert {one.subject for one in seen.values()} == {f"{(target.services or ())[0].port}/udp"}


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3"])
def test_whatever_version_of_tls_the_server_speaks(tmp_path: Path, version: str) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME), oldest=version, newest=version) as target:
        assert found(target, VALID)[VALID].status is State.PASS


@pytest.mark.parametrize(
    ("oldest", "newest", "expected"),
    [
        ("1.2", "1.2", State.PASS),
        ("1.2", "1.3", State.PASS),
        ("1.1", "1.2", State.FAIL),
        ("1.0", "1.0", State.FAIL),
    ],
)
@pytest.mark.parametrize("first", ["tls", "ttls", "peap"])
def test_old_versions_of_tls(tmp_path: Path, first: str, oldest: str, newest: str, expected: State) -> None:
    shown = AUTHORITY.issue(NAME)
    with freeradius(tmp_path / "r", shown, first=first, oldest=oldest, newest=newest) as target:
        assert found(target, OLD_VERSIONS)[OLD_VERSIONS].status is expected


@pytest.mark.parametrize("users", ["* PEAP", "* TTLS", "* TLS", '* MD5,PEAP "x"'])
def test_another_server(tmp_path: Path, anchor: str, users: str) -> None:
    wanted = (VALID, MATCHES, TRUSTED, PURPOSE, OLD_VERSIONS)
    with hostapd(tmp_path / "r", AUTHORITY.issue(NAME), users, "fragment_size=500") as target:
        assert {one.status for one in found(target, *wanted, anchor=anchor).values()} == {State.PASS}
    old = ("tls_flags=[ENABLE-TLSv1.0][ENABLE-TLSv1.1]", "openssl_ciphers=DEFAULT@SECLEVEL=0")
    with hostapd(tmp_path / "old", AUTHORITY.issue("other.lab.test"), users, *old) as target:
        seen = found(target, MATCHES, OLD_VERSIONS)
    assert {one.status for one in seen.values()} == {State.FAIL}


def test_old_versions_of_a_server_that_rejects_strangers(tmp_path: Path) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME), authorize="reject") as target:
        assert found(target, OLD_VERSIONS)[OLD_VERSIONS].status is State.ERROR


@pytest.mark.parametrize("method", METHODS)
def test_a_server_with_one_method(tmp_path: Path, method: str) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME), methods=(method,)) as target:
        assert found(target, VALID)[VALID].status is State.PASS


@pytest.mark.parametrize(
    ("check", "shown"),
    [
        (VALID, AUTHORITY.issue(NAME, starts=-100, ends=-1)),
        (MATCHES, AUTHORITY.issue("other.lab.test")),
        (PURPOSE, AUTHORITY.issue(NAME, eku=[ExtendedKeyUsageOID.CLIENT_AUTH])),
        (TRUSTED, Authority(name="Strange", keys=20).issue(NAME)),
    ],
)
def test_a_certificate_with_a_fault(tmp_path: Path, anchor: str, check: str, shown: Issued) -> None:
    with freeradius(tmp_path / "r", shown) as target:
        assert found(target, check, anchor=anchor)[check].status is State.FAIL


def cause(target: Target) -> Cause | None:
    one = found(target, VALID)[VALID]
    assert one.status is State.ERROR
    return one.cause


def test_a_server_that_does_not_know_the_secret_says_nothing(tmp_path: Path) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME), secret="another-one-altogether") as target:
        assert cause(target) is Cause.TIMEOUT


def test_nothing_is_asked_without_a_secret_or_consent(tmp_path: Path) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME)) as target:
        (service,) = target.services or ()
        without = target.model_copy(update={"services": (service.model_copy(update={"secret": None}),)})
        assert cause(without) is Cause.AUTH
        assert cause(target.model_copy(update={"consent": Impact.KNOCK})) is Cause.POLICY
        assert "keurmeester-test" not in (tmp_path / "r/log").read_text()
    assert cause(target) is Cause.REFUSED


def test_a_server_that_rejects_strangers_or_offers_nothing_with_tls(tmp_path: Path) -> None:
    shown = AUTHORITY.issue(NAME)
    with freeradius(tmp_path / "rejects", shown, authorize="reject") as target:
        assert cause(target) is Cause.AUTH
    with freeradius(tmp_path / "md5", shown, methods=()) as target:
        assert cause(target) is Cause.AUTH


def test_what_is_kept_is_the_conversation_without_anything_made_with_the_secret(tmp_path: Path) -> None:
    shown = AUTHORITY.issue(NAME)
    with freeradius(tmp_path / "r", shown) as target:
        (service,) = target.services or ()
        seen = ask(EapTls(port=service.port, realm=service.realm), target.address, SECRET.encode())
    (exchange,) = exchanges(Raw(out=seen.out))
    assert tlsanswer.read(radius.within(exchange, "chain")).chain == tuple(
        one.public_bytes(Encoding.DER) for one in shown.chain
    )
    for turn in exchange.turns:
        asked, answer = radius.packet(turn.sent), radius.packet(turn.received)
        assert answer.code == radius.ACCESS_CHALLENGE  # left before the server has anything to reject
        assert asked.value(radius.USER_NAME) == b"keurmeester-test@lab.test"
        assert asked.value(radius.MESSAGE_AUTHENTICATOR) == bytes(16)
        assert any(asked.authenticator)
        assert answer.value(radius.MESSAGE_AUTHENTICATOR) == answer.authenticator == bytes(16)


def test_a_run_keeps_no_secret_and_gives_the_same_verdicts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anchor: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIFI_SECRET", SECRET)
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME)) as target:
        service = (target.services or ())[0].model_dump(include={"port", "protocol", "name", "server_name"})
        described = {"address": target.address, "platform": "other", "consent": "try"}
        services = [{**service, "secret": "env:WIFI_SECRET", "realm": "lab.test"}]
        inventory = {
            "targets": {"radius": {**described, "services": services}},
            "trust_anchors": [anchor],
        }
        (tmp_path / "i.yaml").write_text(yaml.safe_dump(inventory))
        only = "id in ('tls.chain-trusted', 'tls.name-matches', 'eap.old-versions-refused')"
        monkeypatch.setattr(sys, "argv", ["keurmeester", "scan", "i.yaml", "--only", only, "--quiet"])
        assert cli.run() == 0
    (run,) = (tmp_path / "runs").iterdir()
    for path in (path for path in run.rglob("*") if path.is_file()):
        data = path.read_bytes()
        kept = ZstdDecompressor().decompress(data, 1 << 24) if path.suffix == ".zst" else data
        assert SECRET.encode() not in kept
    monkeypatch.setattr(sys, "argv", ["keurmeester", "replay", str(run)])
    assert cli.run() == 0


def test_an_answer_that_was_changed_on_its_way_does_not_count(tmp_path: Path) -> None:
    with freeradius(tmp_path / "r", AUTHORITY.issue(NAME)) as target, changing(target) as changed:
        assert cause(changed) is Cause.AUTH


@contextmanager
def changing(target: Target) -> Iterator[Target]:
    """Somebody between us and the server, who changes the last byte of every answer."""
    (service,) = target.services or ()
    where = address()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        here.bind((where, service.port))
        there.connect((target.address, service.port))

        def relay() -> None:
            while True:
                data, sender = here.recvfrom(4096)
                if not data:
                    return
                there.send(data)
                answer = there.recv(4096)
                here.sendto(answer[:-1] + bytes([answer[-1] ^ 1]), sender)

        between = threading.Thread(target=relay)
        between.start()
        try:
            yield target.model_copy(update={"address": where})
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"", (where, service.port))
            between.join(5)
