"""A PostgreSQL server on loopback, whose rules are changed while it runs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running

_USER: Final = "postgres"


def _program(name: str) -> Path:
    """A program of the newest PostgreSQL on this machine (Debian keeps them by version)."""
    return max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))


class PostgresqlServer:
    """A running server."""

    def __init__(self, data: Path, log: Path, target: Target) -> None:
        self.target, self._data, self._log = target, data, log
        self._process: subprocess.Popen[bytes]

    def rules(self, *lines: str, tls: bool = True, password: str = "scram-sha-256") -> None:
        """Put these lines of pg_hba.conf in force, TLS on or off, and this way of keeping passwords."""
        (self._data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))
        (self._data / "tls.conf").write_text(
            f"ssl = {'on' if tls else 'off'}\npassword_encryption = '{password}'\n"
        )
        before = self._reloads()
        self._process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 10
        while self._reloads() == before:
            if time.monotonic() > until:
                raise TimeoutError("the rules were not read again")
            time.sleep(0.02)
        time.sleep(0.2)  # the log speaks just before the rules are read

    def _reloads(self) -> int:
        return self._log.read_text(errors="replace").count("reloading configuration files")


@contextmanager
def postgresql() -> Iterator[PostgresqlServer]:
    """A fresh server with one account, ``postgres``, that runs as the user of that name."""
    address = fresh_address()
    port = free_port(address)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data = folder / "data"
        chain, key, root = certificate(folder / "tls")
        shutil.chown(key, _USER)
        key.chmod(0o600)
        folder.chmod(0o755)
        shutil.chown(folder, _USER)
        (folder / "log").touch()
        subprocess.run(
            [_program("initdb"), "-D", data, "--no-sync", "-A", "scram-sha-256", "-U", _USER,
             "--pwfile", "/etc/hostname"],
            user=_USER, group=_USER, extra_groups=[], cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (data / "tls.conf").touch()
        with (data / "postgresql.conf").open("a") as config:
            config.write(
                f"listen_addresses = '{address}'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n"
                f"lc_messages = 'C'\nssl_cert_file = '{chain}'\nssl_key_file = '{key}'\nssl_ca_file = '{root}'\n"
                f"include = 'tls.conf'\n"
            )
        words = [_program("postgres"), "-D", data]
        with running(words, address, port, log=folder / "log", user=_USER, stop=signal.SIGINT) as process:
            server = PostgresqlServer(
                data, folder / "log", server_at(address, {"port": port, "name": "postgresql"})
            )
            server._process = process
            yield server
