"""A real Samba file server on loopback, with folders and accounts of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.ports import free_port, running

_FOLDERS = {
    "private dir": "private",
    "state directory": "state",
    "cache directory": "cache",
    "lock directory": "lock",
    "pid directory": "pid",
    "ncalrpc dir": "ncalrpc",
}


@contextmanager
def smbd(folder: Path, *settings: str) -> Iterator[Target]:
    """A server with these global settings."""
    where = "127.0.0.1"  # Samba knows no other address of loopback
    port = free_port(where)
    for part in _FOLDERS.values():
        (folder / part).mkdir(parents=True)
    config = folder / "smb.conf"
    lines = [
        "[global]",
        "workgroup = LAB",
        "netbios name = LAB",
        "server role = standalone server",
        f"smb ports = {port}",
        f"interfaces = {where}",
        "bind interfaces only = yes",
        "load printers = no",
        "disable spoolss = yes",
        "log level = 1",
        "guest account = nobody",
        *(f"{key} = {folder / part}" for key, part in _FOLDERS.items()),
        *settings,
        "[share]",
        f"path = {folder}",
    ]
    config.write_text("\n".join(lines) + "\n")
    log = folder / "log"
    with running(
        "smbd", "-F", "--debug-stdout", "--no-process-group", "-s", config, log=log, at=(where, port)
    ):
        yield server_at(where, {"port": port, "name": "smb"})
