"""The TLS channel against real servers on loopback: what is shown is written down, and blindness is never absence."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509

from checks.network.ports import TlsPort
from checks.network.tls_endpoint import TlsOffer, tls_offer
from scanner import Absent, Blind, NotUnderstood
from scanner.channels import ChannelError, tls
from scanner.model import Cause, Raw
from scanner.sources import TlsWalk
from scanner.tlsanswer import read
from scanner.transcript import exchanges, write
from tests.lab.certificates import Authority
from tests.servers import tls as servers
from tests.servers.tls import ALL, NAME, Keys

pytestmark = pytest.mark.server

#: A prime of 1024 bits that is nobody's else: openssl dhparam 1024.
OWN_PRIME = (
    "-----BEGIN DH PARAMETERS-----\n"
    "MIGHAoGBAPKskwGsWQ/PSGL2E/UjW7t0wfHjvoGS1Q55ywa8NaIAfveLdJgbmxq5\n"
    "5WsgAei7ZwkIXdrBUxYtoOJ9r+f2pE92t7sYjw3QgSn1TSchj9sQOmLD35eW7CME\n"
    "tz+XtJxhsj6s6q0rsZkEEPaIBW3MrYmsO5PIjm8OmQiDr8LTzqL3AgEC\n"
    "-----END DH PARAMETERS-----\n"
)


def reset_at_the_end(connection: socket.socket) -> None:
    """Let the connection end with a TCP reset (socket(7), SO_LINGER)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a port of its own; ``answer`` gets each connection, in a thread of its own. The port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    stop = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            answer(connection)

    def accept() -> None:
        while not stop.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return servers.made(tmp_path_factory.mktemp("rsa"))


@pytest.fixture(scope="module")
def ec(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return servers.made(tmp_path_factory.mktemp("ec"), rsa=False)


def look(port: int, parts: str = "all", name: str = NAME, **more: object) -> Raw:
    return tls.look(TlsWalk(port, name, parts=parts, **more), "127.0.0.1")  # type: ignore[arg-type]


def offer(port: int, **more: object) -> TlsOffer:
    return tls_offer(look(port, **more), TlsPort(port, NAME))


def names(offered: TlsOffer, version: str) -> list[str]:
    return [suite.name for suite in offered.suites[version].whole]


# --- what is seen ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_the_chain_comes_as_it_was_shown_in_one_connection(protocol: str, ec: Keys, tmp_path: Path) -> None:
    with servers.nginx(tmp_path, [ec], f"ssl_protocols {protocol};") as port:
        raw = look(port, "chain")
    (only,) = exchanges(raw)
    answer = read(only)
    shown = [x509.load_der_x509_certificate(one) for one in answer.chain]
    assert shown == x509.load_pem_x509_certificates(ec.chain.read_bytes())
    assert answer.chosen is not None
    assert answer.chosen.version == {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}[protocol]


def test_a_server_that_wants_another_curve_is_asked_again_on_the_same_connection(
    ec: Keys, tmp_path: Path
) -> None:
    with servers.nginx(tmp_path, [ec], "ssl_protocols TLSv1.3;", "ssl_ecdh_curve secp521r1;") as port:
        (only,) = exchanges(look(port, "chain"))
    assert len(only.turns) == 2
    assert len(read(only).chain) == 2


def test_a_weak_nginx_is_seen_in_full(rsa: Keys, tmp_path: Path) -> None:
    lines = (
        "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;",
        f"ssl_ciphers {ALL};",
        "ssl_prefer_server_ciphers on;",
    )
    with servers.nginx(tmp_path, [rsa], *lines) as port:
        offered = offer(port)
    assert offered.accepted.whole == ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    assert [len(names(offered, version)) for version in offered.accepted.whole] == [12, 12, 34, 3]
    assert names(offered, "TLSv1.3")[0] == "TLS_AES_256_GCM_SHA384"
    assert {key: part.whole for key, part in offered.server_order.items()} == {"TLSv1.3": True, "older": True}
    assert offered.chacha_first is False
    assert [group.name for group in offered.groups["older"].whole] == [
        "x25519", "secp256r1", "x448", "secp521r1", "secp384r1",
    ]  # fmt: skip
    assert len(offered.groups["TLSv1.3"].whole) == 10
    assert offered.secure_renegotiation.whole is True
    assert offered.extended_master_secret.whole is True
    assert offered.fallback_refused.whole is True
    assert offered.compression.whole is False
    assert "rsa_pkcs1_sha1" in [scheme.name for scheme in offered.schemes["TLSv1.2"].whole]
    assert [scheme.hash for scheme in offered.schemes["TLSv1.3"].whole] == ["SHA-256", "SHA-384", "SHA-512"]


def test_the_servers_order_is_the_one_it_was_told(ec: Keys, tmp_path: Path) -> None:
    told = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"
    lines = ("ssl_protocols TLSv1.2;", f"ssl_ciphers {told};")
    with servers.nginx(tmp_path, [ec], *lines, "ssl_prefer_server_ciphers on;") as port:
        offered = offer(port)
    assert [suite.removeprefix("TLS_ECDHE_ECDSA_WITH_") for suite in names(offered, "TLSv1.2")] == [
        "AES_128_GCM_SHA256", "CHACHA20_POLY1305_SHA256", "AES_256_GCM_SHA384",
    ]  # fmt: skip
    assert offered.server_order["older"].whole is True
    with servers.nginx(tmp_path, [ec], *lines) as port:
        assert offer(port).server_order["older"].whole is False


def test_a_server_that_lets_chacha_go_first_says_so(ec: Keys, tmp_path: Path) -> None:
    options = ("-serverpref", "-prioritize_chacha", "-tls1_2", "-cipher", "ECDHE+AESGCM:ECDHE+CHACHA20")
    with servers.openssl(tmp_path, ec, *options) as port:
        offered = offer(port)
    assert offered.server_order["older"].whole is True
    assert offered.chacha_first is True


def test_only_what_is_configured_is_accepted(ec: Keys, tmp_path: Path) -> None:
    with servers.nginx(tmp_path, [ec], "ssl_protocols TLSv1.3;", "ssl_ecdh_curve X25519:secp384r1;") as port:
        offered = offer(port)
    assert offered.accepted.whole == ("TLSv1.3",)
    assert {group.name for group in offered.groups["TLSv1.3"].whole} == {"x25519", "secp384r1"}
    assert offered.groups["older"].whole == ()
    assert offered.secure_renegotiation.whole is None
    assert offered.fallback_refused.whole is None


def test_java_shows_what_openssl_has_forgotten(rsa: Keys, tmp_path: Path) -> None:
    with servers.java(tmp_path, rsa, "SSLv3,TLSv1,TLSv1.1,TLSv1.2,TLSv1.3") as port:
        offered = offer(port)
    assert offered.accepted.whole == ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    weak = {suite.name for suite in offered.all_suites.whole}
    assert {
        "TLS_RSA_WITH_RC4_128_MD5", "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "TLS_DH_anon_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_NULL_SHA", "TLS_RSA_WITH_DES_CBC_SHA",
    } <= weak  # fmt: skip
    assert [(prime.bits, prime.name) for prime in offered.primes.whole] == [(768, "MODP 768"), (512, "")]
    assert offered.fallback_refused.whole is False


def test_gnutls_and_its_finite_fields(rsa: Keys, tmp_path: Path) -> None:
    with servers.gnutls(tmp_path, rsa, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3") as port:
        offered = offer(port)
    assert offered.accepted.whole == ("TLSv1.2", "TLSv1.3")
    assert [prime.name for prime in offered.primes.whole] == ["ffdhe2048"]
    assert offered.client_certificate.whole == ()


def test_a_named_prime_does_not_hide_the_servers_own(rsa: Keys, tmp_path: Path) -> None:
    """GnuTLS takes what we name (RFC 7919), and its own file for who names nothing."""
    own = tmp_path / "dh.pem"
    own.write_text(OWN_PRIME)
    priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%PROFILE_VERY_WEAK"
    with servers.gnutls(tmp_path, rsa, priority, f"--dhparams={own}") as port:
        weak = offer(port).primes.whole
    with servers.gnutls(tmp_path, rsa, priority) as port:
        raw = look(port)
    assert [(prime.bits, prime.name) for prime in weak] == [(2048, "ffdhe2048"), (1024, "")]
    sound = tls_offer(raw, TlsPort(port, NAME))
    assert {prime.name for prime in sound.primes.whole} == {"ffdhe2048"}
    unasked = write(one for one in exchanges(raw) if one.ask != "prime TLSv1.2")
    with pytest.raises(Blind):
        _ = tls_offer(Raw(out=unasked), TlsPort(port, NAME)).primes.whole


def test_nobody_waits_for_an_answer_to_a_key_that_we_do_not_have(rsa: Keys, tmp_path: Path) -> None:
    """s_server serves one at a time: who waits for nothing keeps the next question from its answer."""
    with servers.openssl(tmp_path, rsa, "-tls1_3", "-groups", "ffdhe2048:ffdhe3072") as port:
        raw = look(port)
    offered = tls_offer(raw, TlsPort(port, NAME))
    assert offered.accepted.whole == ("TLSv1.3",)
    assert len(names(offered, "TLSv1.3")) == 3
    assert {group.name for group in offered.groups["TLSv1.3"].whole} == {"ffdhe2048", "ffdhe3072"}
    with pytest.raises(Blind):
        _ = offered.shown["right"].whole
    assert all(one.end == "done" for one in exchanges(raw))


def test_heartbeat_is_seen_of_a_server_without_tls13(rsa: Keys, tmp_path: Path) -> None:
    priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2"
    with servers.gnutls(tmp_path, rsa, priority, "--heartbeat") as port:
        assert offer(port).heartbeat.whole is True
    with servers.gnutls(tmp_path, rsa, priority) as port:
        assert offer(port).heartbeat.whole is False


def test_a_server_that_has_no_certificate_to_show_has_refused_no_version(tmp_path: Path) -> None:
    with servers.openssl(tmp_path, None) as port:
        versions = offer(port).version
    for part in versions.values():
        with pytest.raises(Blind):
            _ = part.whole


def test_tlslite_and_a_weak_prime_of_its_own(rsa: Keys, tmp_path: Path) -> None:
    prime = "da583c16d9852289d0e4af756f4cca92dd4be533b804fb0fed94ef9c8a4403ed574650d36999db29d776276ba2d3d412e218f4dd1e084cf6d8003e7c4774e833"  # noqa: E501
    with servers.tlslite(tmp_path, rsa, maxVersion=[3, 2], minVersion=[3, 0], dhParams=[2, prime]) as port:
        offered = offer(port)
    # What the setting says is not all: who names TLS 1.2 in supported_versions gets it.
    assert offered.accepted.whole[-2:] == ("TLSv1.1", "TLSv1.2")
    assert not offered.suites["TLSv1.2"].established
    assert (512, "", 2) in [tuple(one)[:3] for one in offered.primes.seen]


@pytest.mark.parametrize("group", ["x25519mlkem768", "secp256r1mlkem768", "secp384r1mlkem1024"])
def test_a_server_that_takes_nothing_but_a_hybrid_shows_its_certificate_too(
    group: str, rsa: Keys, tmp_path: Path
) -> None:
    only = {"minVersion": [3, 4], "eccCurves": [group], "keyShares": [group], "dhGroups": []}
    with servers.tlslite(tmp_path, rsa, **only) as port:
        offered = offer(port)
    assert [one.name.lower() for one in offered.groups["TLSv1.3"].whole] == [group]
    assert [one.kind for one in offered.groups["TLSv1.3"].whole] == ["hybrid"]
    assert len(offered.shown["right"].whole.chain) == 2


def test_the_name_decides_the_certificate(rsa: Keys, ec: Keys, tmp_path: Path) -> None:
    other = (
        f"server {{ listen 127.0.0.1:PORT ssl default_server; server_name _; ssl_certificate {ec.chain};"
        f" ssl_certificate_key {ec.key}; }}"
    )
    with servers.nginx(tmp_path, [rsa], extra=other) as port:
        shown = offer(port).shown
    assert shown["right"].whole.chain[0] != shown["none"].whole.chain[0] == shown["unknown"].whole.chain[0]


def test_a_name_nobody_knows_may_be_refused(rsa: Keys, tmp_path: Path) -> None:
    other = "server { listen 127.0.0.1:PORT ssl default_server; ssl_reject_handshake on; }"
    with servers.nginx(tmp_path, [rsa], extra=other) as port:
        shown = offer(port).shown
    assert len(shown["right"].whole.chain) == 2
    assert (shown["unknown"].whole.chain, shown["unknown"].whole.alert) == ((), "unrecognized_name")


def test_a_remark_on_the_name_is_no_refusal_of_it(rsa: Keys, ec: Keys, tmp_path: Path) -> None:
    """OpenSSL's callback says unrecognized_name as a warning, and goes on (RFC 6066 section 3)."""
    other = ("-servername", NAME, "-cert2", str(ec.chain), "-key2", str(ec.key))
    with servers.openssl(tmp_path, rsa, "-tls1_2", *other) as port:
        (asked,) = exchanges(look(port, "chain", name="another.lab.test"))
        shown = offer(port).shown
    assert read(asked).received[:7] == b"\x15\3\3\0\2\1\x70"
    assert read(asked).whole
    assert shown["unknown"].whole.chain == read(asked).chain != shown["right"].whole.chain
    with servers.openssl(tmp_path, rsa, "-tls1_2", *other, "-servername_fatal") as port:
        assert offer(port).shown["unknown"].whole.alert == "unrecognized_name"


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_whose_certificates_a_client_may_show(protocol: str, rsa: Keys, tmp_path: Path) -> None:
    anchor = tmp_path / "ca.pem"
    anchor.write_bytes(Authority().anchor)
    lines = (f"ssl_protocols {protocol};", f"ssl_client_certificate {anchor};", "ssl_verify_client on;")
    with servers.nginx(tmp_path, [rsa], *lines) as port:
        authorities = offer(port).client_certificate.whole
    subject = x509.load_pem_x509_certificate(anchor.read_bytes()).subject
    assert authorities == (subject.public_bytes(),)


@pytest.mark.parametrize(("setting", "expected"), [("on", 16384), ("off", 0)])
def test_early_data_follows_the_setting(setting: str, expected: int, ec: Keys, tmp_path: Path) -> None:
    with servers.nginx(tmp_path, [ec], "ssl_protocols TLSv1.3;", f"ssl_early_data {setting};") as port:
        assert offer(port).early_data.whole == expected


def test_a_server_without_tickets_allows_no_early_data(ec: Keys, tmp_path: Path) -> None:
    with servers.openssl(tmp_path, ec, "-tls1_3", "-num_tickets", "0") as port:
        assert offer(port).early_data.whole == 0


def test_a_server_that_wants_a_certificate_first_says_nothing_of_early_data(ec: Keys, tmp_path: Path) -> None:
    with servers.openssl(tmp_path, ec, "-tls1_3", "-early_data", "-Verify", "1") as port:
        early_data = offer(port).early_data
    with pytest.raises(Blind):
        _ = early_data.whole


@pytest.mark.parametrize("ciphers", ["ECDHE+AES128", "ECDHE+AES256", "ECDHE+CHACHA20"])
@pytest.mark.parametrize("more", [(), ("-verify", "1")])
def test_renegotiation_by_the_client_follows_the_setting(
    ciphers: str, more: tuple[str, ...], ec: Keys, tmp_path: Path
) -> None:
    with servers.openssl(tmp_path, ec, "-cipher", ciphers, "-client_renegotiation", *more) as port:
        assert offer(port).renegotiation.whole is True
    with servers.openssl(tmp_path, ec, "-cipher", ciphers, *more) as port:
        assert offer(port).renegotiation.whole is False


def test_java_refuses_renegotiation_in_words_of_its_own(
    rsa: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.java(tmp_path, rsa, "TLSv1.2") as port:
        assert offer(port).renegotiation.whole is True
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Djdk.tls.rejectClientInitiatedRenegotiation=true")
    with servers.java(tmp_path, rsa, "TLSv1.2") as port:
        assert offer(port).renegotiation.whole is False


@pytest.mark.parametrize("how", ["close", "reset", "good-bye"])
def test_a_connection_that_ends_after_the_handshake_refuses_no_renegotiation(how: str, rsa: Keys) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(rsa.chain, rsa.key)

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.settimeout(1)
            if how == "good-bye":
                secure.setblocking(False)
                with suppress(OSError):
                    secure.unwrap()
            with socket.socket(fileno=secure.detach()) as plain:
                plain.settimeout(1)
                plain.recv(4000)
                if how == "reset":
                    reset_at_the_end(plain)

    with serving(answer) as port:
        renegotiation = offer(port).renegotiation
    with pytest.raises(Blind):
        _ = renegotiation.whole


def test_renegotiation_that_cannot_be_asked_for_is_no_answer(rsa: Keys, tmp_path: Path) -> None:
    with servers.openssl(tmp_path, rsa, "-tls1_2", "-cipher", "AES128-SHA") as port:
        offered = offer(port)
    with pytest.raises(Blind):
        _ = offered.renegotiation.whole


@pytest.mark.parametrize("protocol", ["-tls1_2", "-tls1_3"])
def test_the_application_protocols(protocol: str, ec: Keys, tmp_path: Path) -> None:
    with servers.openssl(tmp_path, ec, protocol, "-alpn", "http/1.1,h2") as port:
        assert set(offer(port).protocols.whole) == {"h2", "http/1.1"}
    with servers.openssl(tmp_path, ec, protocol) as port:
        assert offer(port).protocols.whole == ()


def test_a_stapled_answer_is_shown_in_either_version(ec: Keys, tmp_path: Path) -> None:
    staple = tmp_path / "staple.der"
    staple.write_bytes(b"\x30\x03\x0a\x01\x06")  # OCSPResponse: unauthorized (RFC 6960 section 4.2.1)
    for protocol in ("-tls1_2", "-tls1_3"):
        with servers.openssl(tmp_path, ec, protocol, "-status_file", str(staple)) as port:
            assert offer(port).staple.whole == staple.read_bytes()
        with servers.openssl(tmp_path, ec, protocol) as port:
            assert offer(port).staple.whole == b""


def test_the_connections_are_counted(ec: Keys, tmp_path: Path) -> None:
    lines = (
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;",
        "ssl_ecdh_curve X25519:secp256r1;",
    )
    with servers.nginx(tmp_path, [ec], *lines) as port:
        raw = look(port, "offer")
        offered = tls_offer(raw, TlsPort(port, NAME))
    suites = sum(len(part.whole) + 1 for part in offered.suites.values())
    groups = sum(len(part.whole) + 1 for part in offered.groups.values())
    assert len(exchanges(raw)) <= suites + groups + 3
    assert len(exchanges(raw)) < 25


# --- what cannot be seen --------------------------------------------------------------------------------------


def cause(port: int, parts: str = "chain", timeout: int = 1) -> Cause:
    with pytest.raises(ChannelError) as caught:
        look(port, parts, timeout=timeout)
    return caught.value.cause


@pytest.mark.parametrize("parts", ["chain", "all"])
def test_a_port_that_speaks_something_else_is_no_tls(parts: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(2000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(answer) as port:
        raw = look(port, parts)
    with pytest.raises(Absent):
        tls_offer(raw, TlsPort(port, NAME))
    with pytest.raises(NotUnderstood):
        tls_offer(raw, TlsPort(port, NAME, declared=True))


@pytest.mark.parametrize("parts", ["chain", "all"])
def test_a_port_that_hangs_up_is_an_error_not_absence(parts: str) -> None:
    with serving(lambda connection: connection.recv(2000) and None) as port:
        assert cause(port, parts) in (Cause.TLS, Cause.RESET)


@pytest.mark.parametrize("parts", ["chain", "all"])
def test_a_port_that_says_nothing_is_a_timeout(parts: str) -> None:
    began = time.monotonic()
    with serving(lambda connection: time.sleep(4)) as port:
        assert cause(port, parts) is Cause.TIMEOUT
    assert time.monotonic() - began < 4


def drip(connection: socket.socket) -> None:
    record = b"\x16\x03\x03\x40\x00" + bytes(200)
    for number in range(len(record)):
        connection.sendall(record[number : number + 1])
        time.sleep(0.1)


@pytest.mark.parametrize("parts", ["chain", "all"])
def test_a_port_that_drips_ends_in_time_and_shows_nothing(parts: str) -> None:
    began = time.monotonic()
    with serving(drip) as port:
        raw = look(port, parts, timeout=1)
        assert time.monotonic() - began < 5
        offered = tls_offer(raw, TlsPort(port, NAME))
    with pytest.raises(Blind):
        _ = offered.shown["right"].whole
    with pytest.raises(Blind):
        _ = offered.accepted.whole


def test_a_flood_is_cut_off() -> None:
    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"\x16\x03\x03\x40\x00" + bytes(0x4000))

    with serving(flood) as port:
        raw = look(port, "all", timeout=5)
    assert len(raw.out) < 20 << 20


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert cause(port) is Cause.REFUSED


@contextmanager
def breaking(to: int, every: int, how: str) -> Iterator[int]:
    """A proxy to a port that spoils every so manieth connection: "reset", "silence", "garbage" or "close"."""
    count = iter(range(1, 10_000))

    def answer(connection: socket.socket) -> None:
        if next(count) % every == 0:
            spoil(connection)
            return
        with socket.create_connection(("127.0.0.1", to)) as far:
            far.sendall(connection.recv(4000))
            far.settimeout(1)
            try:
                while data := far.recv(65536):
                    connection.sendall(data)
            except ConnectionResetError:
                reset_at_the_end(connection)
            except TimeoutError:
                pass

    def spoil(connection: socket.socket) -> None:
        connection.recv(4000)
        if how == "reset":
            reset_at_the_end(connection)
        elif how == "silence":
            time.sleep(8)
        elif how == "garbage":
            connection.sendall(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00" + b"\xff" * 40)

    with serving(answer) as port:
        yield port


def nothing_made_up(seen: TlsOffer, truth: TlsOffer) -> None:
    """What is established is so, and what was seen is there."""
    for version, part in seen.suites.items():
        assert set(part.seen) <= set(truth.suites[version].whole)
        if part.established:
            assert set(part.whole) == set(truth.suites[version].whole)
        if seen.version[version].established:
            assert seen.version[version].whole == truth.version[version].whole
    for version, groups in seen.groups.items():
        if groups.established:
            assert set(groups.whole) == set(truth.groups[version].whole)


@pytest.mark.parametrize("how", ["reset", "silence", "garbage", "close"])
@pytest.mark.parametrize("every", [4, 9])
def test_what_breaks_off_never_reads_as_refused(how: str, every: int, rsa: Keys, tmp_path: Path) -> None:
    lines = ("ssl_protocols TLSv1.1 TLSv1.2 TLSv1.3;", f"ssl_ciphers {ALL};")
    with servers.nginx(tmp_path, [rsa], *lines) as real:
        truth = offer(real, parts="offer")
        with breaking(real, every, how) as port:
            seen = tls_offer(look(port, "offer", timeout=3), TlsPort(port, NAME))
    nothing_made_up(seen, truth)
    assert not all(part.established for part in (*seen.suites.values(), *seen.groups.values()))


@contextmanager
def between(to: int, change: Callable[[bytes, bytes], bytes], *, reset: bool = False) -> Iterator[int]:
    """A proxy to a port that may change the first answer, knowing what was asked; nothing left is a close or reset."""

    def answer(connection: socket.socket) -> None:
        asked = connection.recv(4000)
        with socket.create_connection(("127.0.0.1", to)) as far:
            far.sendall(asked)
            far.settimeout(1)
            first = change(asked, far.recv(65536))
            if reset and not first:
                reset_at_the_end(connection)
            connection.sendall(first)
            with suppress(TimeoutError):
                while first and (data := far.recv(65536)):
                    connection.sendall(data)

    with serving(answer) as port:
        yield port


def rude(_asked: bytes, said: bytes) -> bytes:
    """Nothing instead of an alert."""
    return b"" if said[:1] == b"\x15" else said


@pytest.mark.parametrize("reset", [False, True])
def test_a_server_that_hangs_up_instead_of_refusing_is_understood(
    reset: bool, rsa: Keys, tmp_path: Path
) -> None:
    with servers.nginx(tmp_path, [rsa], "ssl_protocols TLSv1.2;") as real:
        truth = offer(real, parts="offer")
        with between(real, rude, reset=reset) as port:
            seen = tls_offer(look(port, "offer"), TlsPort(port, NAME))
    assert seen.accepted.whole == ("TLSv1.2",)
    assert set(names(seen, "TLSv1.2")) == set(names(truth, "TLSv1.2"))
    assert set(seen.groups["older"].whole) == set(truth.groups["older"].whole)


@pytest.mark.parametrize("every", [2, 3, 7])
def test_a_loss_is_no_refusal_by_a_server_that_refuses_by_a_reset(
    every: int, rsa: Keys, tmp_path: Path
) -> None:
    with servers.nginx(tmp_path, [rsa], "ssl_protocols TLSv1.1 TLSv1.2;", f"ssl_ciphers {ALL};") as real:
        truth = offer(real, parts="offer")
        with between(real, rude, reset=True) as resetting, breaking(resetting, every, "reset") as port:
            seen = tls_offer(look(port, "offer"), TlsPort(port, NAME))
    nothing_made_up(seen, truth)
    with pytest.raises(Blind):
        _ = seen.accepted.whole


def test_a_server_that_chokes_on_a_long_offer_is_asked_in_short_ones(rsa: Keys, tmp_path: Path) -> None:
    def choking(asked: bytes, said: bytes) -> bytes:
        return b"\x15\3\1\0\2\2\x28" if len(asked) > 600 else said

    with servers.nginx(tmp_path, [rsa], "ssl_protocols TLSv1.2;", "ssl_ciphers HIGH:!aNULL;") as real:
        truth = offer(real, parts="offer")
        with between(real, choking) as port:
            seen = tls_offer(look(port, "offer"), TlsPort(port, NAME))
    assert set(seen.suites["TLSv1.2"].seen) == set(truth.suites["TLSv1.2"].whole)
    assert seen.version["TLSv1.2"].whole is True


def test_a_reset_in_answer_to_a_version_is_no_refusal(rsa: Keys, tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4000)
        reset_at_the_end(connection)

    with serving(answer) as port:
        assert cause(port, "all") is Cause.RESET
