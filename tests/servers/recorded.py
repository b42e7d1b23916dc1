"""A server that says what another one was recorded or documented to say: for programs that no package gives us.

Each connection gets the same answer, when something was asked, or the one for the path that is in the question; what
was asked is kept, for the test to look at.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import fresh_address


class Recorded:
    """A running one."""

    def __init__(
        self, answer: bytes | Mapping[bytes, bytes], name: str, context: ssl.SSLContext | None
    ) -> None:
        self.asked: list[bytes] = []
        self._answers = {b"": answer} if isinstance(answer, bytes) else answer
        self._context = context
        address = fresh_address()
        self._listening = socket.create_server((address, 0))
        self.target: Target = server_at(address, {"port": self._listening.getsockname()[1], "name": name})
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection:
            question = connection.recv(4096)
            if question and not question.startswith(b"\x16\x03"):
                self.asked.append(question)
                connection.sendall(next(self._answers[path] for path in self._answers if path in question))

    def end(self) -> None:
        """Stop listening."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(6)


@contextmanager
def recorded(
    name: str, answer: bytes | Mapping[bytes, bytes], context: ssl.SSLContext | None = None
) -> Iterator[Recorded]:
    """A server that answers so, and is declared as this service; over TLS when there is a context for it."""
    server = Recorded(answer, name, context)
    try:
        yield server
    finally:
        server.end()
