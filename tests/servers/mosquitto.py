"""A Mosquitto broker on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running


@contextmanager
def mosquitto(folder: Path, *options: str, tls: bool = False, address: str = "") -> Iterator[Target]:
    """A broker with these lines of mosquitto.conf, over TLS alone or in the clear alone."""
    folder.mkdir(parents=True, exist_ok=True)
    address = address or fresh_address()
    port = free_port(address)
    lines = ["user root", "persistence false", f"listener {port} {address}"]
    if tls:
        chain, key, root = certificate(folder)
        lines += [f"certfile {chain}", f"keyfile {key}", f"cafile {root}"]
    (folder / "mosquitto.conf").write_text("\n".join([*lines, *options]) + "\n")
    with running(["mosquitto", "-c", folder / "mosquitto.conf"], address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "mqtt"})
