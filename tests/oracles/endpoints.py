"""The endpoints that our prober and the oracles are held against: makes, versions, suites, groups and keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.oracles.peers import SECRET
from tests.servers import tls as servers
from tests.servers.tls import ALL, Keys, made
from tests.servers.tls_services import SERVICES

#: Name -> key ("rsa", "ec", "both") and lines of nginx.
NGINX: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "nginx-default": ("rsa", ()),
    "nginx-everything": ("rsa", ("ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;", f"ssl_ciphers {ALL};")),
    "nginx-everything-ec": ("ec", ("ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;", f"ssl_ciphers {ALL};")),
    "nginx-two-keys": ("both", ("ssl_protocols TLSv1.2 TLSv1.3;", "ssl_ciphers HIGH;")),
    "nginx-tls1.0": ("rsa", ("ssl_protocols TLSv1;", f"ssl_ciphers {ALL};")),
    "nginx-tls1.1": ("rsa", ("ssl_protocols TLSv1.1;", f"ssl_ciphers {ALL};")),
    "nginx-tls1.2": ("rsa", ("ssl_protocols TLSv1.2;",)),
    "nginx-tls1.3": ("ec", ("ssl_protocols TLSv1.3;",)),
    "nginx-tls1.0-and-1.2": ("rsa", ("ssl_protocols TLSv1 TLSv1.2;", "ssl_ciphers DEFAULT@SECLEVEL=0;")),
    "nginx-ncsc-good": ("ec", ("ssl_protocols TLSv1.2 TLSv1.3;", "ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;")),
    "nginx-one-suite": ("ec", ("ssl_protocols TLSv1.2;", "ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;")),
    "nginx-rsa-exchange": ("rsa", ("ssl_protocols TLSv1.2;", "ssl_ciphers kRSA;")),
    "nginx-cbc-only": ("rsa", ("ssl_protocols TLSv1.2;", "ssl_ciphers AES256-SHA:ECDHE-RSA-AES128-SHA256;")),
    "nginx-null": ("rsa", ("ssl_protocols TLSv1.2;", "ssl_ciphers eNULL:AES128-SHA:@SECLEVEL=0;")),
    "nginx-camellia": ("rsa", ("ssl_protocols TLSv1.2;", "ssl_ciphers CAMELLIA;")),
    "nginx-server-order": ("rsa", ("ssl_protocols TLSv1.2 TLSv1.3;", "ssl_prefer_server_ciphers on;")),
    "nginx-x25519-only": ("rsa", ("ssl_protocols TLSv1.2 TLSv1.3;", "ssl_ecdh_curve X25519;")),
    "nginx-p521-only": ("rsa", ("ssl_protocols TLSv1.2 TLSv1.3;", "ssl_ecdh_curve secp521r1;")),
    "nginx-brainpool": ("rsa", ("ssl_protocols TLSv1.2;", "ssl_ecdh_curve brainpoolP256r1:brainpoolP384r1;")),
    "nginx-three-curves": ("ec", ("ssl_protocols TLSv1.2 TLSv1.3;", "ssl_ecdh_curve X25519:secp384r1:prime256v1;")),
}  # fmt: skip
OPENSSL: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "openssl-everything": ("rsa", ("-cipher", ALL)),
    "openssl-anonymous": ("rsa", ("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0")),
    "openssl-ccm": (
        "rsa",
        ("-cipher", "AESCCM", "-ciphersuites", "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"),
    ),
    "openssl-aria": ("ec", ("-tls1_2", "-cipher", "ARIA:ARIAGCM")),
    "openssl-ffdhe": ("rsa", ("-tls1_3", "-groups", "ffdhe2048:ffdhe3072")),
    "openssl-psk": ("rsa", ("-tls1_2", "-psk", SECRET, "-cipher", "PSK:AES128-SHA:@SECLEVEL=0")),
}
GNUTLS: Final[dict[str, str]] = {
    "gnutls-normal": "NORMAL",
    "gnutls-legacy": "NORMAL:+VERS-ALL:+ARCFOUR-128:+3DES-CBC:+DHE-RSA:+ANON-DH:+ANON-ECDH",
    "gnutls-secure256": "SECURE256",
    "gnutls-tls1.0": "NORMAL:-VERS-ALL:+VERS-TLS1.0",
}


def _pairs(folder: Path) -> dict[str, list[Keys]]:
    rsa, ec = made(folder), made(folder, rsa=False)
    return {"rsa": [rsa], "ec": [ec], "both": [rsa, ec]}


#: Where testssl.sh looks too, which takes it long: what the other oracles cannot offer, and what is old or odd.
SLOW: Final = (
    "nginx-brainpool", "openssl-anonymous", "openssl-ccm", "openssl-aria", "openssl-psk", "gnutls-legacy", "java-ssl3",
    "tlslite-old", "haproxy", "stunnel",
)  # fmt: skip


@contextmanager
def running(folder: Path) -> Iterator[dict[str, int]]:
    """All of them at once: name -> port of 127.0.0.1."""
    pairs = _pairs(folder)
    rsa = pairs["rsa"][0]
    ports: dict[str, int] = {}
    with ExitStack() as stack:
        sites = {name: (pairs[key], lines) for name, (key, lines) in NGINX.items()}
        ports |= stack.enter_context(servers.nginx_many(folder, sites))
        for name, (key, options) in OPENSSL.items():
            ports[name] = stack.enter_context(servers.openssl(_own(folder, name), pairs[key][0], *options))
        for name, priority in GNUTLS.items():
            ports[name] = stack.enter_context(servers.gnutls(_own(folder, name), rsa, priority))
        java = "SSLv3,TLSv1,TLSv1.1,TLSv1.2,TLSv1.3"
        ports["java-everything"] = stack.enter_context(servers.java(_own(folder, "java"), rsa, java))
        weak = "TLS_RSA_WITH_AES_128_CBC_SHA,SSL_RSA_WITH_RC4_128_SHA,SSL_RSA_EXPORT_WITH_RC4_40_MD5"
        ports["java-ssl3"] = stack.enter_context(servers.java(_own(folder, "java3"), rsa, "SSLv3", weak))
        ports["tlslite-default"] = stack.enter_context(servers.tlslite(_own(folder, "tlslite"), rsa))
        settings = {"minVersion": [3, 0], "maxVersion": [3, 2], "cipherNames": ["rc4", "3des", "aes128"]}
        ports["tlslite-old"] = stack.enter_context(
            servers.tlslite(_own(folder, "tlslite-old"), rsa, **settings)
        )
        for name, start in SERVICES.items():
            ports[name] = stack.enter_context(start(_own(folder, name), old=True))
        yield ports


def _own(folder: Path, name: str) -> Path:
    own = folder / name
    own.mkdir()
    return own
