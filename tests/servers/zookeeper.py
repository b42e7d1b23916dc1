"""A ZooKeeper server on loopback."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import free_port, fresh_address, running

#: What the package of Debian puts on the class path of the server.
_JARS: Final = Path("/usr/share/java")


def _serves(address: str, port: int) -> None:
    """Wait until it answers the one command it always may: its port is open before it serves."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.create_connection((address, port), timeout=2) as connection:
            connection.sendall(b"srvr")
            try:
                if connection.recv(100).startswith(b"Zookeeper version"):
                    return
            except OSError:
                continue
        time.sleep(0.1)
    raise TimeoutError("ZooKeeper does not serve")


@contextmanager
def zookeeper(folder: Path, *options: str) -> Iterator[Target]:
    """A server on its own with these lines of zoo.cfg."""
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port = free_port(address)
    lines = [
        f"dataDir={folder}/data", f"clientPortAddress={address}", f"clientPort={port}", "admin.enableServer=false",
        *options,
    ]  # fmt: skip
    (folder / "zoo.cfg").write_text("\n".join(lines) + "\n")
    words: list[str | Path] = [
        "java", "-Xmx64m", "-cp", f"/etc/zookeeper/conf:{_JARS}/*",
        "org.apache.zookeeper.server.ZooKeeperServerMain", folder / "zoo.cfg",
    ]  # fmt: skip
    with running(words, address, port, log=folder / "log"):
        _serves(address, port)
        yield server_at(address, {"port": port, "name": "zookeeper"})
