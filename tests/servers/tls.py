"""TLS servers of several makes: nginx, OpenSSL's s_server, GnuTLS, Java and tlslite-ng."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.servers import free_port, listens, program, running

if TYPE_CHECKING:
    from tests.lab.certificates import Pair

ALL = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
NAME = "www.lab.test"


class Keys(NamedTuple):
    """A certificate chain and its key, as files."""

    chain: Path
    key: Path


def keys(folder: Path, pair: Pair, name: str = "server") -> Keys:
    """Write a chain and its key into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Keys(folder / f"{name}.pem", folder / f"{name}.key")
    found.chain.write_bytes(pair.chain)
    found.key.write_bytes(pair.key)
    return found


def made(folder: Path, *, rsa: bool = True, name: str = NAME) -> Keys:
    """A fresh chain for ``name`` in a folder."""
    from tests.lab.certificates import Authority  # a benchmark that starts servers stays small

    return keys(folder, Authority().issue(name, rsa_bits=2048 if rsa else 0), "rsa" if rsa else "ec")


@contextmanager
def nginx(
    folder: Path, pairs: list[Keys], *lines: str, extra: str = "", port: int = 0, listen: str = ""
) -> Iterator[int]:
    """nginx with these lines in its ``server`` block; ``extra`` are further blocks. The port."""
    port = port or free_port()
    listen = listen or f"listen 127.0.0.1:{port} ssl backlog=1024;"
    certificates = "".join(f"ssl_certificate {one.chain}; ssl_certificate_key {one.key};\n" for one in pairs)
    config = folder / f"nginx-{port}.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx-{port}.pid; error_log stderr crit;\n"
        "events { worker_connections 2048; }\nhttp { access_log off; client_body_temp_path cb; proxy_temp_path px;"
        " fastcgi_temp_path fc; uwsgi_temp_path uw; scgi_temp_path sc;\n"
        f"server {{ {listen} server_name {NAME};\n{certificates}"
        + "\n".join(lines)
        + "\n location / { return 200 'x'; } }\n"
        + extra.replace("PORT", str(port))
        + "}\n"
    )
    command = [program("nginx"), "-p", folder, "-c", config, "-e", "stderr"]
    with running(command, listens(port), folder=folder):
        yield port


@contextmanager
def nginx_many(
    folder: Path, sites: dict[str, tuple[list[Keys], tuple[str, ...]]]
) -> Iterator[dict[str, int]]:
    """One nginx with a site per entry, each on a port of its own: name -> port."""
    ports = {name: free_port() for name in sites}
    blocks = [
        f"server {{ listen 127.0.0.1:{ports[name]} ssl backlog=1024; server_name {NAME};"
        + "".join(f" ssl_certificate {one.chain}; ssl_certificate_key {one.key};" for one in pairs)
        + " ".join(lines)
        + " location / { return 200 'x'; } }"
        for name, (pairs, lines) in sites.items()
    ]
    last = free_port()
    with nginx(folder, [], port=last, listen=f"listen 127.0.0.1:{last};", extra="\n".join(blocks)):
        yield ports


@contextmanager
def openssl(folder: Path, pair: Keys | None, *options: str) -> Iterator[int]:
    """``openssl s_server`` with these options. The port."""
    port = free_port()
    certificate = ["-cert_chain", pair.chain, "-cert", pair.chain, "-key", pair.key] if pair else ["-nocert"]
    command = [
        program("openssl"),
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        *certificate,
        "-quiet",
        *options,
    ]
    with running(command, listens(port), folder=folder, stdin=subprocess.PIPE):
        yield port


@contextmanager
def gnutls(folder: Path, pair: Keys | None, priority: str = "NORMAL", *options: str) -> Iterator[int]:
    """``gnutls-serv`` with this priority string. The port."""
    port = free_port()
    certificate = ["--x509certfile", pair.chain, "--x509keyfile", pair.key] if pair else []
    command = [
        program("gnutls-serv"), "--port", str(port), "--priority", priority, "--echo", "--quiet", *certificate,
        *options,
    ]  # fmt: skip
    with running(command, listens(port), folder=folder):
        yield port


_JAVA = Path(__file__).with_name("TlsServer.java")


@contextmanager
def java(folder: Path, pair: Keys, protocols: str, suites: str = "") -> Iterator[int]:
    """A server on the JDK's own TLS, with nothing disabled. ``suites`` empty: all that it knows. The port."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        load_pem_private_key,
        pkcs12,
    )
    from cryptography.x509 import load_pem_x509_certificates

    store, port = folder / "server.p12", free_port()
    chain = load_pem_x509_certificates(pair.chain.read_bytes())
    key = load_pem_private_key(pair.key.read_bytes(), None)
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"server",
            key,
            chain[0],
            chain[1:],
            BestAvailableEncryption(b"secret"),  # type: ignore[arg-type]
        )
    )
    command = [
        program("java"),
        "-Xshare:auto",
        "-XX:TieredStopAtLevel=1",
        _JAVA,
        str(port),
        store,
        protocols,
        suites,
    ]
    with running(command, listens(port), folder=folder):
        yield port


_TLSLITE = Path(__file__).with_name("tlslite_server.py")


@contextmanager
def tlslite(folder: Path, pair: Keys, **settings: object) -> Iterator[int]:
    """A server on tlslite-ng, in Python: what no C library speaks any more. ``settings`` are HandshakeSettings."""
    port = free_port()
    command = [sys.executable, _TLSLITE, str(port), pair.chain, pair.key, json.dumps(settings)]
    with running(command, listens(port), folder=folder):
        yield port
