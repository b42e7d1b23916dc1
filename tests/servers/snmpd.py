"""A real net-snmp agent on loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.ports import address, await_words, free_port, running


@contextmanager
def snmpd(folder: Path, *lines: str) -> Iterator[Target]:
    """An agent with this configuration and no other."""
    folder.mkdir(exist_ok=True)
    where = address()
    port = free_port(where, socket.SOCK_DGRAM)
    config = folder / "snmpd.conf"
    config.write_text("\n".join(lines) + "\n")
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder / "state"), "SNMPCONFPATH": str(folder)}
    log = folder / "log"
    command = ("snmpd", "-f", "-C", "-c", config, "-Lo", "-I", "-smux", f"udp:{where}:{port}")
    with running(*command, log=log, env=environment):
        await_words(log, "NET-SNMP version")
        yield server_at(where, {"port": port, "protocol": "udp", "name": "snmp"})
