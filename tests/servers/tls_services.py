"""Services before and beside web sites that speak TLS from the first byte, as they should or with TLS 1.1 too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from scanner.model import Target
from tests.servers import free_port
from tests.servers.haproxy import Haproxy
from tests.servers.kamailio import kamailio
from tests.servers.mosquitto import mosquitto
from tests.servers.rabbitmq import rabbitmq
from tests.servers.stunnel import stunnel
from tests.servers.tls import ALL, made

AT: Final = "127.0.0.1"
Service: TypeAlias = Callable[..., AbstractContextManager[int]]
"""Starts a server that works in a folder, ``old``: with TLS 1.1 too; the port of 127.0.0.1."""


@contextmanager
def _haproxy(folder: Path, *, old: bool) -> Iterator[int]:
    pair, port = made(folder), free_port()
    both = folder / "both.pem"
    both.write_bytes(pair.chain.read_bytes() + pair.key.read_bytes())
    words = f"ssl-min-ver TLSv1.1 ciphers {ALL}" if old else "ssl-min-ver TLSv1.2"
    with Haproxy(folder, AT, port, bind=f"ssl crt {both} {words}"):
        yield port


def _stunnel(folder: Path, *, old: bool) -> AbstractContextManager[int]:
    lines = ("sslVersionMin = TLSv1.1", f"ciphers = {ALL}", "securityLevel = 0")
    return stunnel(folder, made(folder), *(lines if old else ("sslVersionMin = TLSv1.2",)))


def _kamailio(folder: Path, *, old: bool) -> AbstractContextManager[int]:
    words = ("tls_method=TLSv1.1+", f"cipher_list={ALL}") if old else ("tls_method=TLSv1.2+",)
    return _port(kamailio(folder, tls=words, at=AT))


def _mosquitto(folder: Path, *, old: bool) -> AbstractContextManager[int]:
    lines = ("tls_version tlsv1.1", f"ciphers {ALL}") if old else ("tls_version tlsv1.2",)
    return _port(mosquitto(folder, *lines, tls=True, address=AT))


def _rabbitmq(_folder: Path, *, old: bool) -> AbstractContextManager[int]:
    versions = ("tlsv1.2", "tlsv1.1") if old else ("tlsv1.3", "tlsv1.2")
    lines = (f"ssl_options.versions.{number} = {one}" for number, one in enumerate(versions, 1))
    return _port(rabbitmq(*lines, tls=True, address=AT))


@contextmanager
def _port(server: AbstractContextManager[Target]) -> Iterator[int]:
    with server as target:
        assert target.services
        yield target.services[0].port


SERVICES: Final[Mapping[str, Service]] = {
    "haproxy": _haproxy,
    "stunnel": _stunnel,
    "kamailio": _kamailio,
    "mosquitto": _mosquitto,
    "rabbitmq": _rabbitmq,
}
