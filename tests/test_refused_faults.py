"""Whatever a broken or hostile server does on the port of a data service, it is neither a refusal nor a fault."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from scanner.model import State, Target
from tests.outside import every_check, look, server_at, told
from tests.servers.programs import fresh_address

pytestmark = pytest.mark.server

TOPICS: Final = frozenset(
    f"refused_{topic}"
    for topic in (
        "redis", "postgresql", "mysql", "mssql", "oracle", "queues", "documents", "caches", "containers", "remote",
        "tls",
    )
)  # fmt: skip
SERVICES: Final = (
    "redis", "postgresql", "mysql", "mssql", "oracle", "amqp", "mqtt", "rabbitmq", "zookeeper", "mongodb",
    "elasticsearch", "couchdb", "influxdb", "memcached", "docker", "etcd", "kubelet", "kubernetes", "registry", "ftp",
    "vnc", "x11", "https",
)  # fmt: skip
_NOT_SEEN: Final = frozenset({State.ERROR, State.UNKNOWN})
#: HTTP is positively another protocol than most.
_OR_ABSENT: Final = frozenset({State.ERROR, State.UNKNOWN, State.NOTAPPLICABLE})


def _silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def _says(words: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.recv(4096)

    return talk


def _flood(connection: socket.socket) -> None:
    for _ in range(64):
        connection.sendall(b"\0" * 65536)


@contextmanager
def everywhere(talk: Callable[[socket.socket], None]) -> Iterator[Target]:
    """A target on which every data service is declared, and this is what all of them do."""
    address = fresh_address()
    listening = [socket.create_server((address, 0)) for _ in SERVICES]

    def serve(one: socket.socket) -> None:
        while True:
            try:
                connection, _ = one.accept()
            except OSError:
                return
            threading.Thread(target=hold, args=(connection,), daemon=True).start()

    def hold(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30)
            talk(connection)

    threads = [threading.Thread(target=serve, args=(one,), daemon=True) for one in listening]
    for thread in threads:
        thread.start()
    services = [
        {
            "port": one.getsockname()[1],
            "name": name,
            "tls": name == "https",
            "client_certificate": name == "https",
        }
        for one, name in zip(listening, SERVICES, strict=True)
    ]
    try:
        yield server_at(address, *services)
    finally:
        for one in listening:
            one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in threads:
            thread.join(5)


@pytest.mark.parametrize(
    ("talk", "allowed"),
    [
        (_silent, frozenset({State.ERROR})),
        (_reset, _NOT_SEEN),
        (_close, _NOT_SEEN),
        (_says(b"\xff\xfe{\0]<\x1b]0;x\x07\r\n" * 20), _NOT_SEEN),
        (_says(b"HTTP/1.1 999 \r\nContent-Length: 99999999999\r\n\r\n"), _OR_ABSENT),
        (_says(b"HTTP/1.1 418 No\r\n\r\n" + b"[" * 3000), _OR_ABSENT),
        (_flood, _NOT_SEEN),
    ],
    ids=["silent", "reset", "close", "garbage", "http-odd", "http-deep", "flood"],
)  # fmt: skip
def test_no_verdict(
    talk: Callable[[socket.socket], None], allowed: frozenset[State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.worker.OUTSIDE_AT_ONCE", 48)  # silence would take minutes
    registry = every_check().registry
    checks = [id_ for id_, check in registry.checks.items() if check.topic in TOPICS]
    assert len(checks) >= 37
    with everywhere(talk) as target:
        found = look(target, only=checks)
    wrong = {
        id_: told(findings) for id_, findings in found.items() if {one.status for one in findings} - allowed
    }
    assert wrong == {}
