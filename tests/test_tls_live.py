"""Live flips of what a TLS port offers: another setting on the real server, the verdict moves, and back.

SSL 2 and compression are spoken by no server that can be had: OpenSSL, GnuTLS, NSS and Java have taken them out. There
the server of the examples answers over a real socket, as the drafts and RFC 3749 say.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from checks.network import example_tls
from scanner.model import State
from scanner.tlswalk import Question
from tests.lab import base
from tests.outside import look, server_at, state, told
from tests.servers import free_port, listens, running
from tests.servers.starttls import postfix, public_folder
from tests.servers.tls import ALL, NAME, Keys, gnutls, java, made, nginx, openssl

pytestmark = pytest.mark.server

Start: TypeAlias = Callable[[Path], AbstractContextManager[int]]
"""Starts a server that works in a folder; the port."""

SOUND: Final = (
    "ssl_protocols TLSv1.2 TLSv1.3;",
    "ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;",
    "ssl_ecdh_curve X25519:prime256v1;",
)


def _keys(folder: Path, kind: str) -> Keys:
    return made(folder / kind, rsa=kind == "rsa")


@contextmanager
def web(folder: Path, *lines: str, kind: str = "rsa", extra: str = "") -> Iterator[int]:
    """nginx with these lines."""
    with nginx(folder, [_keys(folder, kind)], *lines, extra=extra) as port:
        yield port


def ciphers(words: str, protocols: str = "TLSv1.2 TLSv1.3", *more: str, kind: str = "rsa") -> Start:
    """nginx with these ciphers beside good ones, at any level of security."""
    lines = (
        f"ssl_protocols {protocols};",
        f"ssl_ciphers ECDHE+AESGCM:{words}:@SECLEVEL=0;",
        *(more or ("ssl_ecdh_curve X25519:prime256v1;",)),
    )
    return lambda folder: web(folder, *lines, kind=kind)


def sound(folder: Path) -> AbstractContextManager[int]:
    """nginx as it should be."""
    return web(folder, *SOUND)


def gnu(priority: str, *options: str) -> Start:
    """gnutls-serv."""
    return lambda folder: gnutls(folder, _keys(folder, "rsa"), priority, *options)


def open_(*options: str, kind: str = "rsa") -> Start:
    """openssl s_server."""
    return lambda folder: openssl(folder, _keys(folder, kind), *options)


def jdk(protocols: str, suites: str = "") -> Start:
    """The JDK's own TLS."""
    return lambda folder: java(folder, _keys(folder, "rsa"), protocols, suites)


@contextmanager
def on_paper(_folder: Path, **server: Any) -> Iterator[int]:
    """The server of the examples, over a real socket."""
    suites = {"TLSv1.2": ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",)} | server.pop("more", {})
    paper = example_tls.Server(suites, schemes=("rsa_pkcs1_sha256",), **server)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # whoever only tries the port resets it
                connection.settimeout(5)
                if sent := connection.recv(65536):
                    connection.sendall(paper.exchange(Question("any", sent)).received)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@contextmanager
def newest_openssl(folder: Path, groups: str) -> Iterator[int]:
    """The s_server of Debian 13, whose OpenSSL knows ML-KEM."""
    keys, port = _keys(folder, "rsa"), free_port()
    root = base.layers("trixie")[0]
    inside = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-groups", groups]
    inside += ["-cert", f"/mnt/{keys.chain.name}", "-key", f"/mnt/{keys.key.name}"]
    script = 'mount --bind "$1" "$2/mnt"; shift; root=$1; shift; exec chroot "$root" "$@"'
    command = ["unshare", "--mount", "sh", "-euc", script, "server", keys.chain.parent, root, *inside]
    with running(command, listens(port), folder=folder, stdin=subprocess.PIPE):
        yield port


def dh(folder: Path, parameters: str) -> AbstractContextManager[int]:
    """nginx with plain Diffie-Hellman on these parameters."""
    file = folder / "dh.pem"
    words = (
        ["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:{parameters}"]
        if parameters.startswith("ffdhe")
        else ["dhparam", "-dsaparam", parameters]
    )
    file.write_bytes(subprocess.run(["openssl", *words], capture_output=True, check=True).stdout)
    return ciphers("DHE+AESGCM", "TLSv1.2", f"ssl_dhparam {file};", "ssl_ecdh_curve X25519;")(folder)


_REJECT: Final = "server { listen 127.0.0.1:PORT ssl default_server; ssl_reject_handshake on; }"

#: Check -> a server where it fails; where it passes is `sound`, unless a second is named.
FLIPS: Final[dict[str, tuple[Start, ...]]] = {
    "tls.protocol": (ciphers("ALL", "TLSv1 TLSv1.1"),),
    "tls.newest-protocol": (ciphers("CHACHA20", "TLSv1.2"),),
    "tls.no-ssl2": (partial(on_paper, more={"SSLv2": ("SSL_CK_RC4_128_WITH_MD5",)}), on_paper),
    "tls.no-ssl3": (jdk("SSLv3,TLSv1.2"),),
    "tls.no-tls10": (ciphers("ALL", "TLSv1 TLSv1.2"),),
    "tls.no-tls11": (ciphers("ALL", "TLSv1.1 TLSv1.2"),),
    "tls.versions-sufficient": (ciphers("ALL", "TLSv1.1 TLSv1.2 TLSv1.3"),),
    "tls.no-null": (ciphers("eNULL"),),
    "tls.no-anonymous": (ciphers("aNULL+AESGCM:AECDH"),),
    "tls.no-export": (jdk("TLSv1,TLSv1.2"),),
    "tls.no-rc4": (jdk("TLSv1,TLSv1.2"),),
    "tls.no-small-blocks": (gnu("NORMAL:+3DES-CBC:+RSA"),),
    "tls.forward-secrecy": (ciphers("kRSA+AESGCM"),),
    "tls.no-shared-secrets": (
        open_("-psk", "0123456789abcdef", "-cipher", "PSK+AESGCM:ECDHE+AESGCM", "-tls1_2"),
    ),
    "tls.no-short-tags": (ciphers("ECDHE-ECDSA-AES128-CCM8", kind="ec"),),
    "tls.no-sha1-mac": (ciphers("ECDHE-RSA-AES128-SHA"),),
    "tls.no-cbc": (ciphers("ECDHE-RSA-AES256-SHA384"),),
    "tls.no-rare-ciphers": (ciphers("ECDHE+ARIAGCM:CAMELLIA"),),
    "tls.suites-sufficient": (ciphers("kRSA+AESGCM"),),
    "tls.suites-not-phased-out": (ciphers("ECDHE-RSA-AES256-SHA384"),),
    "tls.good-suite-offered": (ciphers("CHACHA20", "TLSv1.2"),),
    "tls.good-suites-first": (
        ciphers("kRSA+AESGCM:kRSA+AES", "TLSv1.2"),
        ciphers("ECDHE-RSA-AES256-SHA384", "TLSv1.2", "ssl_prefer_server_ciphers on;"),
    ),
    "tls.groups-sufficient": (ciphers("CHACHA20", "TLSv1.2", "ssl_ecdh_curve X25519:sect283r1;"),),
    "tls.groups-not-phased-out": (partial(dh, parameters="ffdhe3072"),),
    "tls.dh-group-size": (partial(dh, parameters="2048"), partial(dh, parameters="ffdhe3072")),
    "tls.dh-group-standard": (partial(dh, parameters="2048"), partial(dh, parameters="ffdhe3072")),
    "tls.post-quantum": (
        partial(newest_openssl, groups="X25519:P-256"),
        partial(newest_openssl, groups="X25519MLKEM768:X25519"),
    ),
    "tls.handshake-signature": (
        open_("-tls1_2", "-sigalgs", "RSA+SHA256:RSA+SHA1", "-cipher", "ECDHE+AESGCM:@SECLEVEL=0"),
    ),
    "tls.compression-off": (partial(on_paper, compression=True), on_paper),
    "tls.secure-renegotiation": (gnu("NORMAL:%DISABLE_SAFE_RENEGOTIATION"),),
    "tls.extended-master-secret": (gnu("NORMAL:%NO_SESSION_HASH"),),
    "tls.encrypt-then-mac": (gnu("NORMAL:+AES-128-CBC:%NO_ETM"), gnu("NORMAL:+AES-128-CBC")),
    "tls.no-heartbeat": (gnu("NORMAL", "--heartbeat"),),
    "tls.fallback-refused": (jdk("TLSv1.1,TLSv1.2"), ciphers("ALL", "TLSv1.1 TLSv1.2")),
    "tls.no-early-data": (open_("-early_data", "-max_early_data", "4096"), open_()),
    "tls.client-renegotiation": (open_("-tls1_2", "-client_renegotiation"), open_("-tls1_2")),
    "tls.unknown-name": (sound, lambda folder: web(folder, *SOUND, extra=_REJECT)),
}


@pytest.mark.parametrize("check", FLIPS)
def test_the_verdict_follows_the_server(check: str, tmp_path: Path) -> None:
    bad, good = (*FLIPS[check], sound)[:2]
    for start, wanted in ((good, State.PASS), (bad, State.FAIL), (good, State.PASS)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        with start(folder) as port:
            target = server_at("127.0.0.1", {"port": port, "tls": True, "server_name": NAME})
            found = look(target, only=[check])[check]
            assert state(found, f"{port}/tcp") is wanted, told(found)


def test_twins_that_differ_are_told(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ports = []
        for name, start in (("a", sound), ("b", sound), ("c", ciphers("kRSA+AESGCM"))):
            folder = tmp_path / name
            folder.mkdir()
            ports.append(stack.enter_context(start(folder)))
        targets = [
            server_at(
                "127.0.0.1",
                {"port": port, "tls": True, "server_name": NAME},
                name=f"web{port}",
                cluster=cluster,
            )
            for port, cluster in zip((*ports, ports[0]), ("one", "one", "two", "two"), strict=True)
        ]
        targets[-1] = targets[-1].model_copy(update={"name": "again"})
        (one, two) = look(*targets, only=["tls.twins-alike"])["tls.twins-alike"]
    # Ports are part of what is compared: each differs here.
    assert (one.subject, one.status) == ("cluster one", State.FAIL)
    assert (two.subject, two.status) == ("cluster two", State.FAIL)


def test_the_row_of_the_guidelines_that_decided_is_told(tmp_path: Path) -> None:
    with ciphers("kRSA+AESGCM")(tmp_path) as port:
        target = server_at("127.0.0.1", {"port": port, "tls": True, "server_name": NAME})
        (found,) = look(target, only=["tls.suites-sufficient"])["tls.suites-sufficient"]
        assert (
            "TLS_RSA_WITH_AES_256_GCM_SHA384: Onvoldoende (NCSC-NL TLS 2025-05, suite not listed)"
            in found.observed
        )
        older = {"tls.suites-sufficient": {"guideline": "2.1"}}
        (found,) = look(target, only=["tls.suites-sufficient"], given=older)["tls.suites-sufficient"]
        assert found.status is State.PASS, found.observed


def test_every_check_of_the_offer_is_flipped() -> None:
    from tests.outside import every_check

    offered = {
        check.id for check in every_check().registry.checks.values() if check.module == "checks.network.tls"
    }
    assert offered - FLIPS.keys() == {"tls.starttls-offered", "tls.twins-alike"}
    assert shutil.which("java"), "the JDK is one of the servers"
    assert ALL


def test_a_promise_of_starttls_is_held_against_the_server(tmp_path: Path) -> None:
    pair = _keys(tmp_path, "rsa")
    for shown, wanted in ((pair, State.PASS), (None, State.FAIL), (pair, State.PASS)):
        with public_folder() as folder, postfix(folder, shown) as port:
            target = server_at("127.0.0.1", {"port": port, "name": "smtp", "tls": True})
            found = look(target, only=["tls.starttls-offered"])["tls.starttls-offered"]
            assert state(found, f"{port}/tcp") is wanted, told(found)
