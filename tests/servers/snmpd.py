"""A real net-snmp agent on loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.lab.network import GATEWAY, Box
from tests.outside import server_at
from tests.servers.ports import address, await_words, free_port, running


@contextmanager
def snmpd(folder: Path, *lines: str, box: Box | None = None) -> Iterator[Target]:
    """An agent with this configuration and no other; in a network of its own on the usual port, undeclared."""
    folder.mkdir(exist_ok=True)
    where = GATEWAY if box else address()
    port = 161 if box else free_port(where, socket.SOCK_DGRAM)
    config = folder / "snmpd.conf"
    config.write_text("\n".join(lines) + "\n")
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder / "state"), "SNMPCONFPATH": str(folder)}
    log = folder / "log"
    command = ["snmpd", "-f", "-C", "-c", str(config), "-Lo", "-I", "-smux", f"udp:{where}:{port}"]
    with running(*(box.words(*command) if box else command), log=log, env=environment):
        await_words(log, "NET-SNMP version")
        declared = [] if box else [{"port": port, "protocol": "udp", "name": "snmp"}]
        yield server_at(where, *declared)
