"""Many hosts on this machine: real sshd on 127.0.0.2 and up, each host an address, all with one host key.

One sshd takes no more than sixteen addresses, so there are several. Needs root; ends what it started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PER_SSHD = 16
#: The checks that rest on one login.
INSIDE = 'platform in ("linux", "layers") or topic in ("clock", "inventory", "twins")'
REPLAY = Path(__file__).with_name("replay.pl")


class Fleet:
    """Hosts that are listening; `fleet` makes them."""

    def __init__(self, folder: Path, hosts: Sequence[str], port: int) -> None:
        self.folder, self.hosts, self.port = folder, hosts, port
        self.key, self.log = folder / "key", folder / "log"
        self.host_key = " ".join((folder / "host.pub").read_text().split()[:2])

    def through(self, port: int) -> Fleet:
        """The first host, as it is reached through this port of 127.0.0.1."""
        return Fleet(self.folder, ["127.0.0.1"], port)

    def inventory(self, count: int) -> Path:
        """An inventory file of the first so many hosts; every two of them are a pair of twins."""
        path = self.folder / f"inventory-{count}-{self.port}.yaml"
        document = {
            "credentials": {"bench": {"user": "root", "key": f"file:{self.key}"}},
            "defaults": {"credential": "bench", "port": self.port, "host_keys": [self.host_key]},
            "targets": {
                f"host{number}": {"address": host, "cluster": f"pair{number // 2}"}
                for number, host in enumerate(self.hosts[:count], 2)
            },
        }
        path.write_text(json.dumps(document))
        return path

    def bare(self, count: int, threads: int = 1) -> list[str | Path]:
        """The command that runs `true` on the first so many hosts, and nothing else."""
        words = [self.key, str(self.port), str(threads), *self.hosts[:count]]
        return [sys.executable, "-m", "tests.bench.bare", *words]

    def scan(self, inventory: Path, out: Path, *words: str) -> list[str | Path]:
        """The command that scans, as a user would give it: all that is asked logged in, unless ``words`` say else.

        What is seen from outside has benches of its own, and a pace that is polite and not fast.
        """
        if "--only" not in words:
            words = (*words, "--only", INSIDE)
        return [sys.executable, "-m", "scanner", "scan", inventory, "--quiet", "--out", out, *words]


@contextmanager
def fleet(folder: Path, count: int, recorded: Path | None = None) -> Iterator[Fleet]:
    """So many hosts, listening; with ``recorded`` they play back what a first scan recorded there (see replay.pl)."""
    folder.mkdir()
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for key in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    hosts = [f"127.0.0.{number}" for number in range(2, 2 + count)]
    with socket.create_server((hosts[0], 0)) as free:
        port: int = free.getsockname()[1]
    found = Fleet(folder, hosts, port)
    forced = f"ForceCommand /usr/bin/perl {REPLAY} {recorded}\n" if recorded else ""
    running: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that no sshd is left behind
    try:
        with found.log.open("ab") as log:
            for start in range(0, count, PER_SSHD):
                config = folder / f"sshd_config{start}"
                config.write_text(
                    f"Port {port}\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/key.pub\n"
                    "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nMaxStartups 1000\nPrintMotd no\n"
                    "SetEnv HOME=/nonexistent\n"  # the shell settings of root here are no part of what is measured
                    f"LogLevel VERBOSE\n{forced}"
                    + "".join(f"ListenAddress {host}\n" for host in hosts[start : start + PER_SSHD])
                )
                command = ["/usr/sbin/sshd", "-D", "-e", "-f", config]
                running.append(subprocess.Popen(command, stderr=log, start_new_session=True))
        for host in hosts:
            _await(host, port)
        yield found
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait()


def _await(host: str, port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection((host, port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise SystemExit(f"no sshd at {host} port {port}")
