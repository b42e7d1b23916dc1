"""Real sshd processes on loopback for tests, each with its own keys and configuration; root runs them."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from scanner.model import Credential, Target

_ADDRESSES = (f"127.0.{third}.{fourth}" for third, fourth in itertools.product(range(90, 250), range(1, 250)))


def keygen(path: Path, *options: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A fresh key pair at ``path`` and ``path.pub``."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path, *options], check=True
    )
    return path


def public(path: Path) -> str:
    """``type base64`` of a key pair."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def children(pid: int) -> list[int]:
    """The processes that descend from ``pid``, parents first."""
    try:
        direct = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return direct + [below for child in direct for below in children(child)]


class Sshd:
    """One sshd. ``options`` are sshd_config lines that come before the defaults and so win from them."""

    def __init__(
        self, folder: Path, *options: str, authorized: str, host_keys: tuple[str, ...] = ("ed25519",)
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.address = next(_ADDRESSES)
        with socket.create_server((self.address, 0)) as free:
            self.port: int = free.getsockname()[1]
        self.host_keys = {kind: keygen(folder / f"host_{kind}", kind=kind) for kind in host_keys}
        (folder / "authorized_keys").write_text(authorized + "\n")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = folder / "sshd_config"
        config.write_text(
            "\n".join(
                [
                    *options,
                    *(f"HostKey {path}" for path in self.host_keys.values()),
                    f"ListenAddress {self.address}",
                    f"Port {self.port}",
                    f"PidFile {folder}/pid",
                    f"AuthorizedKeysFile {folder}/authorized_keys",
                    "StrictModes no",
                    "UsePAM no",
                    "PermitRootLogin prohibit-password",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "MaxStartups 200",
                    "PrintMotd no",
                    "SetEnv HOME=/nonexistent",  # whatever root's own .bashrc does is none of the tests' business
                    "",
                ]
            )
        )
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=log)
        for _ in range(100):
            try:
                socket.create_connection((self.address, self.port), timeout=1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    @property
    def sessions(self) -> list[int]:
        """The processes of connections, and what runs in them, parents first."""
        return children(self._process.pid)

    def target(self, **fields: Any) -> Target:
        """This server as an inventory knows it, its host keys pinned unless said otherwise."""
        pins = tuple(public(path) for path in self.host_keys.values())
        known: dict[str, Any] = {
            "name": "server",
            "address": self.address,
            "port": self.port,
            "host_keys": pins,
        }
        return Target(**(known | fields))

    def close(self) -> None:
        """End it and everything it started."""
        for pid in [self._process.pid, *self.sessions]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()


def by_key(path: Path, **fields: Any) -> Credential:
    """Root, with this private key."""
    return Credential(user="root", key=f"file:{path}", **fields)
