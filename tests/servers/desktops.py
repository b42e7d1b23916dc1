"""Remote desktops on loopback: a VNC server (TigerVNC) and an X server that takes connections (Xvfb)."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running

_DISPLAYS: Final = (number for number in itertools.count(os.getpid() % 400 + 100))


@contextmanager
def vnc(folder: Path, security_types: str) -> Iterator[Target]:
    """A desktop that offers these security types (Xvnc(1)), with a password nobody knows."""
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port = free_port(address)
    chain, key, _ = certificate(folder / "tls")
    password = folder / "password"
    password.write_bytes(os.urandom(8))
    words: list[str | Path] = [
        "Xtigervnc", f":{next(_DISPLAYS)}", "-rfbport", str(port), "-interface", address, "-nolisten", "unix",
        "-nolisten", "tcp", "-geometry", "320x200", "-SecurityTypes", security_types,
        "-PasswordFile", password, "-X509Cert", chain, "-X509Key", key, "-localhost=0",
    ]  # fmt: skip
    with running(words, address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "vnc"})


@contextmanager
def x11(folder: Path, *options: str) -> Iterator[Target]:
    """An X server with these options, in a network of its own: it listens on every address there, and on none here.

    A relay on loopback leads to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port, display = free_port(address), next(_DISPLAYS)
    inside = [
        "unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", "Xvfb", f":{display}", "-listen", "tcp",
        "-nolisten", "unix", "-nolisten", "local", "-screen", "0", "320x200x8", *options,
    ]  # fmt: skip
    with running(inside, address, log=folder / "log") as server:
        through = f"nsenter -t {server.pid} -n socat - TCP\\:127.0.0.1\\:{6000 + display}"
        relay = ["socat", f"TCP-LISTEN:{port},bind={address},fork,reuseaddr", f"EXEC:{through}"]
        with running(relay, address, port, log=folder / "relay.log"):
            _serves(address, port)
            yield server_at(address, {"port": port, "name": "x11"})


def _serves(address: str, port: int) -> None:
    """Wait until the X server behind the relay says anything at all."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.create_connection((address, port), timeout=5) as connection:
            connection.sendall(b"l\0\x0b\0\0\0\0\0\0\0\0\0")
            try:
                if connection.recv(8):
                    return
            except OSError:
                pass
        time.sleep(0.1)
    raise TimeoutError("the X server does not serve")
