"""hostapd as a RADIUS server alone: another implementation of EAP than FreeRADIUS, on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.authority import Issued
from tests.servers.freeradius import NAME, SECRET
from tests.servers.ports import await_words, free_port, running


@contextmanager
def hostapd(folder: Path, shown: Issued, users: str, *lines: str) -> Iterator[Target]:
    """The server, with these users (``* PEAP``) and further lines of its configuration.

    It listens everywhere and answers from where the system likes, so it is asked at the first address of loopback.
    """
    folder.mkdir(exist_ok=True)
    where = "127.0.0.1"
    port = free_port(where, socket.SOCK_DGRAM)
    for name, content in {
        "key.pem": shown.key_pem,
        "chain.pem": shown.pem,
        "users": f"{users}\n".encode(),
        "clients": f"127.0.0.0/8 {SECRET}\n".encode(),
        "secret": SECRET.encode(),
    }.items():
        (folder / name).write_bytes(content)
    (folder / "secret").chmod(0o600)
    config = folder / "hostapd.conf"
    config.write_text(
        "\n".join(
            (
                "driver=none",
                "eap_server=1",
                f"eap_user_file={folder}/users",
                f"radius_server_clients={folder}/clients",
                f"radius_server_auth_port={port}",
                f"ca_cert={folder}/chain.pem",
                f"server_cert={folder}/chain.pem",
                f"private_key={folder}/key.pem",
                *lines,
                "",
            )
        )
    )
    log = folder / "log"
    with running("hostapd", config, log=log):
        await_words(log, "AP-ENABLED")
        service = {
            "port": port, "protocol": "udp", "name": "radius", "server_name": NAME, "secret": f"file:{folder}/secret",
        }  # fmt: skip
        yield server_at(where, service)
