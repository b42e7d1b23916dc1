"""Servers on paper say what they are: the walk over them gives the fact that was written down."""

from __future__ import annotations

from typing import Any

import pytest

from checks.network.example_tls import Server, plain
from checks.network.ports import TlsPort
from checks.network.tls_endpoint import TlsOffer, tls_offer
from scanner import SECURE_DESIGN, Layer, Severity, Verdict, check, examples, holds, tlswire
from scanner.declare import collecting
from scanner.model import Raw
from scanner.testing import LAWS, load_package
from scanner.transcript import Exchange, Turn, exchanges, write

NEW = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
OLD = (
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
)


def test_a_server_on_paper_is_seen_as_it_was_written() -> None:
    server = Server(
        {
            "SSLv2": ("SSL_CK_RC4_128_WITH_MD5",),
            "SSLv3": ("TLS_RSA_WITH_RC4_128_SHA",),
            "TLSv1.2": OLD,
            "TLSv1.3": NEW,
        },
        groups=("X25519MLKEM768", "x25519", "secp384r1"),
        schemes=("ecdsa_secp256r1_sha256", "rsa_pkcs1_sha1"),
        chain=(b"leaf", b"issuer"),
        prime=b"\xf0" + bytes(127),
        compression=True,
        extensions=(tlswire.RENEGOTIATION_INFO, tlswire.HEARTBEAT),
        protocols=("h2", "http/1.1"),
        early_data=16384,
        staple=b"ocsp",
        client_authorities=(b"CA",),
        unknown_name_refused=True,
    )
    offer = tls_offer(Raw(out=server.walk()), TlsPort(443, "www.example.nl"))
    assert offer.accepted.whole == ("SSLv2", "SSLv3", "TLSv1.2", "TLSv1.3")
    assert tuple(suite.name for suite in offer.order["TLSv1.2"].whole) == OLD
    assert offer.server_order["older"].whole is True
    assert {group.name for group in offer.groups["TLSv1.3"].whole} == {
        "X25519MLKEM768",
        "x25519",
        "secp384r1",
    }
    assert [scheme.name for scheme in offer.schemes["TLSv1.2"].whole] == [
        "ecdsa_secp256r1_sha256",
        "rsa_pkcs1_sha1",
    ]
    assert offer.primes.whole[0].bits == 1024
    assert offer.compression.whole is True
    assert (offer.secure_renegotiation.whole, offer.extended_master_secret.whole, offer.heartbeat.whole) == (
        True,
        False,
        True,
    )
    assert offer.fallback_refused.whole is True
    assert offer.protocols.whole == ("h2", "http/1.1")
    assert offer.early_data.whole == 16384
    assert offer.staple.whole == b"ocsp"
    assert offer.client_certificate.whole == (b"CA",)
    assert offer.shown["right"].whole.chain == (b"leaf", b"issuer")
    assert offer.shown["unknown"].whole.alert == "unrecognized_name"


def test_what_gets_no_answer_is_not_established() -> None:
    server = Server({"TLSv1.2": OLD}, chain=(b"leaf",), own_order=False, silent=("suites TLSv1",))
    offer = tls_offer(Raw(out=server.walk()), TlsPort(443))
    assert not offer.version["TLSv1"].established
    assert not offer.accepted.established
    assert offer.version["TLSv1.1"].whole is False
    assert offer.server_order["older"].whole is False


def heard(*said: Exchange) -> TlsOffer:
    return tls_offer(Raw(out=write(said)), TlsPort(443, "www.example.nl"))


def walked(server: Server) -> list[Exchange]:
    return exchanges(Raw(out=server.walk()))


def test_who_refuses_every_hello_has_refused_no_version() -> None:
    """Caddy and Traefik say internal_error to a name they do not serve, and others handshake_failure."""
    offer = tls_offer(Raw(out=Server({}).walk()), TlsPort(443))
    assert not any(part.established for part in (*offer.version.values(), *offer.suites.values()))


def test_one_close_in_answer_to_a_fallback_is_no_refusal() -> None:
    said = walked(Server({"TLSv1.2": OLD, "TLSv1.3": NEW}, fallback_refused=False))
    at, asked = next((at, one) for at, one in enumerate(said) if one.ask == "fallback TLSv1.2")
    hello = (Turn(asked.sent, b""),)
    closed, late = Exchange(asked.ask, hello, "closed"), Exchange(asked.ask, hello, "timeout")
    assert not heard(*said[:at], closed, late, *said[at + 1 :]).fallback_refused.established
    assert not heard(*said[:at], closed, closed, *said[at + 1 :]).fallback_refused.established  # it has words


def test_ssl2_without_suites_is_spoken_all_the_same() -> None:
    """An OpenSSL of before 1.0.1r does even what it does not name (CVE-2015-3197)."""
    offer = tls_offer(Raw(out=Server({"TLSv1.2": OLD, "SSLv2": ()}).walk()), TlsPort(443))
    assert offer.version["SSLv2"].whole is True
    assert offer.suites["SSLv2"].whole == ()


def test_what_one_server_behind_a_balancer_accepts_is_not_refused_by_the_other() -> None:
    good, old = Server({"TLSv1.2": OLD, "TLSv1.3": NEW}), Server({"TLSv1": ("TLS_RSA_WITH_AES_128_CBC_SHA",)})
    there = {one.ask: one for one in walked(old)}
    offer = heard(*(there["chain"] if one.ask == "chain" else one for one in walked(good)))
    assert offer.accepted.seen == ("TLSv1", "TLSv1.2", "TLSv1.3")
    assert offer.version["TLSv1"].whole is True
    assert [suite.name for suite in offer.suites["TLSv1"].seen] == ["TLS_RSA_WITH_AES_128_CBC_SHA"]
    assert not offer.suites["TLSv1"].established


def test_what_one_server_behind_a_balancer_lacks_the_others_do_not_make_good() -> None:
    turns = [walked(Server({"TLSv1.2": OLD}, extensions=had)) for had in (_ALL, ())]
    offer = heard(*(turns[at % 2][at] for at in range(len(turns[0]))))
    assert offer.extended_master_secret.whole is False
    assert offer.secure_renegotiation.whole is False
    assert offer.encrypt_then_mac.whole is False


def test_a_server_of_another_name_says_nothing_of_this_one() -> None:
    right, other = (walked(Server({"TLSv1.2": OLD}, extensions=had)) for had in (_ALL, ()))
    said = zip(right, other, strict=True)
    offer = heard(*(two if one.ask.startswith("chain ") else one for one, two in said))
    assert offer.extended_master_secret.whole is True
    offer = heard(
        *(one if one.ask.startswith("chain ") else two for one, two in zip(right, other, strict=True))
    )
    assert offer.extended_master_secret.whole is False


@pytest.mark.parametrize("newest", [{}, {"TLSv1.3": NEW}])
def test_what_older_versions_have_is_seen_whatever_the_newest(newest: dict[str, tuple[str, ...]]) -> None:
    cbc = {"TLSv1.2": ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",)}
    offer = heard(*walked(Server(cbc | newest, extensions=(*_ALL, tlswire.HEARTBEAT))))
    assert offer.heartbeat.whole is True
    assert offer.encrypt_then_mac.whole is True


_ALL = (tlswire.RENEGOTIATION_INFO, tlswire.EXTENDED_MASTER_SECRET, tlswire.ENCRYPT_THEN_MAC)


def test_a_check_of_an_offer_keeps_every_law() -> None:
    """The way docs/looking-at-tls.md shows it."""
    registry = load_package("checks")
    sockets = 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n'

    def seen(**server: Any) -> dict[str, Any]:
        return {"sockets": sockets, "walk": Server(**server).walk}

    with collecting(registry):

        @check(
            "tls.sample-no-rc4", principle=SECURE_DESIGN, severity=Severity.LOW, layer=Layer.DATA, title_nl="x",
            why_nl="x", fix="x", verify="x", references=("RFC 7465",),
        )  # fmt: skip
        def no_rc4(offer: TlsOffer) -> Verdict:
            """No suite uses RC4.

            It is broken.
            """
            bad = [suite.name for suite in offer.all_suites.seen if suite.cipher == "RC4"]
            if bad:
                return holds(False, f"{offer}: {', '.join(bad)}", "no RC4")
            return holds(True, f"{offer}: {len(offer.all_suites.whole)} suites, none with RC4", "no RC4")

        rc4 = {"TLSv1": ("TLS_RSA_WITH_RC4_128_SHA",), "TLSv1.2": OLD}
        examples(
            no_rc4,
            passes=seen(suites={"TLSv1.2": OLD, "TLSv1.3": NEW}),
            fails=[seen(suites=rc4), seen(suites=rc4, silent=("suites TLSv1.1",))],
            error=seen(suites={"TLSv1.2": OLD}, silent=("suites TLSv1",)),
            notapplicable={"sockets": sockets, "walk": plain},
            unknown={
                "sockets": sockets,
                "walk": plain,
                "target": {"services": [{"port": 443, "tls": True}]},
            },
        )
    registry.link()
    for law in LAWS.values():
        assert list(law(registry.checks["tls.sample-no-rc4"], registry)) == []
