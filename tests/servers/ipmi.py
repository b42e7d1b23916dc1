"""The simulated management controller of OpenIPMI, on loopback: a real server of the protocol."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.ports import address, free_port, running

_PASSWORD = "only-for-this-test"[:16]


@contextmanager
def ipmi(
    folder: Path,
    *,
    authentication: str = "md5",
    as_user: str = "",
    first_user: str = "false",
    first_password: str = "",
) -> Iterator[Target]:
    """A controller with an administrator; ``first_user`` says whether the one without a name may log in.

    ``authentication`` is that of every role; ``as_user`` another for the role of user.
    """
    folder.mkdir(exist_ok=True)
    (folder / "state").mkdir(exist_ok=True)
    where = address()
    port = free_port(where, socket.SOCK_DGRAM)
    (folder / "lan.conf").write_text(
        f"""name "lab"
set_working_mc 0x20
  startlan 1
    addr {where} {port}
    priv_limit admin
    allowed_auths_callback {authentication}
    allowed_auths_user {as_user or authentication}
    allowed_auths_operator {authentication}
    allowed_auths_admin {authentication}
    guid a123456789abcdefa123456789abcdef
  endlan
  user 1 {first_user} "" "{first_password}" user 10 {authentication}
  user 2 true "keeper" "{_PASSWORD}" admin 10 {authentication}
"""
    )
    (folder / "commands").write_text(
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n"
    )
    log = folder / "log"
    command = (
        "ipmi_sim",
        "-n",
        "-d",
        "-c",
        folder / "lan.conf",
        "-f",
        folder / "commands",
        "-s",
        folder / "state",
    )
    with running(*command, log=log):
        await_answer(where, port)
        yield server_at(where, {"port": port, "protocol": "udp", "name": "ipmi"})


def await_answer(where: str, port: int) -> None:
    """Wait until the controller answers to the ping of RMCP (ASF 2.0 section 3.2.4.2)."""
    ping = b"\x06\x00\xff\x06\x00\x00\x11\xbe\x80\x00\x00\x00"
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.1)
            asking.connect((where, port))
            with suppress(TimeoutError, ConnectionRefusedError):
                asking.send(ping)
                if asking.recv(100):
                    return
        time.sleep(0.02)
    raise AssertionError("the controller does not answer")


def limit_cipher_suites(target: Target, privilege: int) -> None:
    """As its administrator, set the highest privilege of every cipher suite (LAN parameter 24)."""
    service = (target.services or ())[0]
    levels = " ".join([f"{privilege << 4 | privilege:02x}"] * 8)
    subprocess.run(
        [
            "openipmicmd", "-k", f"0f 00 0c 01 01 18 00 {levels}",
            "lan", "-U", "keeper", "-P", _PASSWORD, "-p", str(service.port), "-A", "md5", target.address,
        ],
        check=True, timeout=30,
    )  # fmt: skip
