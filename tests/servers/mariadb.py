"""A MariaDB server on loopback, with the accounts that a test gives it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running

_USER: Final = "mysql"


class MariadbServer:
    """A running server; ``run`` gives it statements as its administrator, over the socket of its own folder."""

    def __init__(self, socket: Path, target: Target) -> None:
        self.target, self._socket = target, socket

    def run(self, *statements: str) -> None:
        """Raises CalledProcessError when one of them fails."""
        subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self._socket}", "-u", "root"],
            input="".join(f"{one};\n" for one in statements).encode(), check=True,
        )  # fmt: skip


@contextmanager
def mariadb(*options: str, tls: bool = True) -> Iterator[MariadbServer]:
    """A fresh server that runs as the user ``mysql``; on the network it knows no account."""
    address = fresh_address()
    port = free_port(address)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, socket = folder / "data", folder / "socket"
        chain, key, _ = certificate(folder / "tls")
        folder.chmod(0o755)
        shutil.chown(folder, _USER)
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={_USER}", "--skip-test-db",
             "--auth-root-authentication-method=socket"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        words = [
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--bind-address={address}",
            f"--port={port}", f"--user={_USER}", f"--pid-file={folder}/pid", "--skip-name-resolve", *options,
            *((f"--ssl-cert={chain}", f"--ssl-key={key}") if tls else ()),
        ]  # fmt: skip
        with running(words, address, port, log=folder / "log"):
            yield MariadbServer(socket, server_at(address, {"port": port, "name": "mysql"}))
