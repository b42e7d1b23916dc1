"""A Redis server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running


@contextmanager
def redis(folder: Path, *options: str, tls: bool = False) -> Iterator[Target]:
    """A server with these lines of redis.conf, over TLS alone or in the clear alone."""
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port = free_port(address)
    lines = [f"bind {address}", f"dir {folder}", 'save ""', "daemonize no", *options]
    if tls:
        chain, key, root = certificate(folder)
        lines += [
            "port 0", f"tls-port {port}", f"tls-cert-file {chain}", f"tls-key-file {key}", f"tls-ca-cert-file {root}",
        ]  # fmt: skip
    else:
        lines.append(f"port {port}")
    (folder / "redis.conf").write_text("\n".join(lines) + "\n")
    with running(["redis-server", folder / "redis.conf"], address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "redis"})
