"""A memcached server on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import free_port, fresh_address, running


@contextmanager
def memcached(
    folder: Path, *options: str, datagrams: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[Target]:
    """A server with these options; ``datagrams`` on the same port number."""
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port = free_port(address)
    words = ["memcached", "-u", "root", "-l", address, "-p", str(port), *options]
    if datagrams:
        words += ["-U", str(port)]
    with running(words, address, port, log=folder / "log", environment=environment):
        yield server_at(address, {"port": port, "name": "memcached"})
