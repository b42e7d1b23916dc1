"""The TLS channel against real servers on loopback: what is shown is written down, and blindness is never absence."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509

from scanner.channels import ChannelError, tls
from scanner.model import Cause, State
from scanner.sources import Handshake
from tests.lab.certificates import Authority


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a port of its own; ``answer`` gets each connection. The port."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    answer(connection)

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
def authority() -> Authority:
    return Authority()


def shake(port: int, name: str = "", timeout: int = 2) -> tls.Raw:
    return tls.handshake(Handshake(port, name, timeout=timeout), "127.0.0.1")


def cause(port: int, timeout: int = 1) -> Cause:
    with pytest.raises(ChannelError) as caught:
        shake(port, timeout=timeout)
    return caught.value.cause


def test_the_chain_comes_as_it_was_shown(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("web1.lab.test", starts=-10, ends=90)
    (tmp_path / "chain.pem").write_bytes(pair.chain)
    (tmp_path / "key.pem").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    with serving(answer) as port:
        raw = shake(port, "web1.lab.test")
    seen = json.loads(raw.out)
    shown = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in seen["chain"]]
    assert shown == x509.load_pem_x509_certificates(pair.chain)
    assert seen["version"] == "TLSv1.3"
    assert raw.gap is None


def test_a_port_that_speaks_something_else_is_no_tls() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(answer) as port:
        raw = shake(port)
    assert raw.gap is not None
    assert raw.gap.state is State.NOTAPPLICABLE


def test_a_port_that_hangs_up_is_an_error_not_absence() -> None:
    with serving(lambda connection: connection.recv(100) and None) as port:
        assert cause(port) in (Cause.TLS, Cause.RESET)


def test_a_port_that_says_nothing_is_a_timeout() -> None:
    with serving(lambda connection: time.sleep(3)) as port:
        assert cause(port) is Cause.TIMEOUT


def test_a_port_that_drips_is_a_timeout_too() -> None:
    def drip(connection: socket.socket) -> None:
        record = b"\x16\x03\x03\x40\x00" + bytes(200)
        for number in range(len(record)):
            connection.sendall(record[number : number + 1])
            time.sleep(0.1)

    began = time.monotonic()
    with serving(drip) as port:
        assert cause(port) is Cause.TIMEOUT
        assert time.monotonic() - began < 5


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert cause(port) is Cause.REFUSED
