"""stunnel on loopback: TLS in front of a program that says back what it hears."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, listens, program, running
from tests.servers.tls import Keys


@contextmanager
def stunnel(folder: Path, pair: Keys, *lines: str) -> Iterator[int]:
    """A service with these lines of stunnel.conf ("sslVersionMin = TLSv1.2"). The port."""
    port, file = free_port(), folder / "stunnel.conf"
    service = [
        f"accept = 127.0.0.1:{port}",
        f"cert = {pair.chain}",
        f"key = {pair.key}",
        "exec = /bin/cat",
        *lines,
    ]
    file.write_text("foreground = yes\npid =\n[echo]\n" + "\n".join(service) + "\n")
    with running([program("stunnel"), file], listens(port), folder=folder):
        yield port
