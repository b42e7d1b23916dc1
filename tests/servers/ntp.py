"""A real ntpsec in a network of its own, without the right to set the clock."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.lab.network import GATEWAY, Box
from tests.outside import server_at
from tests.servers.ports import running

_PROGRAM: Final = Path(__file__).parents[2] / ".cache/unpacked/ntpsec/usr/sbin/ntpd"


@contextmanager
def ntpsec(folder: Path, *lines: str) -> Iterator[Target]:
    """A time server with this configuration. Look within the block."""
    folder.mkdir(exist_ok=True)
    config = folder / "ntp.conf"
    config.write_text(
        "\n".join((f"driftfile {folder}/drift", "disable ntp", "disable kernel", *lines)) + "\n"
    )
    box = Box()
    try:
        command = box.words(
            "setpriv",
            "--bounding-set=-sys_time",
            str(_PROGRAM),
            "-n",
            "-c",
            str(config),
            "-p",
            str(folder / "pid"),
        )
        with box.entered(), running(*command, log=folder / "log"):
            _await_time(folder / "log")
            yield server_at(GATEWAY, {"port": 123, "protocol": "udp", "name": "ntp"})
    finally:
        box.close()


def _await_time(log: Path) -> None:
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.1)
            asking.connect((GATEWAY, 123))
            with suppress(TimeoutError, ConnectionRefusedError):
                asking.send(b"\x23" + bytes(47))
                if asking.recv(100):
                    return
        time.sleep(0.02)
    raise AssertionError(f"the time server does not answer:\n{log.read_text()}")
