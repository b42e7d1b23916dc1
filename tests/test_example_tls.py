"""Servers on paper say what they are: the walk over them gives the fact that was written down."""

from __future__ import annotations

from checks.linux.sockets import TlsPort
from checks.network.example_tls import Server
from checks.network.tls_endpoint import tls_offer
from scanner import tlswire
from scanner.model import Raw

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
