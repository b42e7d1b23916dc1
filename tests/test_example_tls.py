"""Servers on paper say what they are: the walk over them gives the fact that was written down."""

from __future__ import annotations

from typing import Any

from checks.network.example_tls import Server, plain
from checks.network.ports import TlsPort
from checks.network.tls_endpoint import TlsOffer, tls_offer
from scanner import SECURE_DESIGN, Layer, Severity, Verdict, check, examples, holds, tlswire
from scanner.declare import collecting
from scanner.model import Raw
from scanner.testing import LAWS, load_package

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
