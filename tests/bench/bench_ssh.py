"""What the SSH channel costs, against paramiko itself in the same run.

    python -m tests.bench.bench_ssh [--hosts N] [--threads N] [--rounds N]

Real sshd on 127.0.0.2 and up. Peers take turns, and medians are compared, so that a busy minute hits them alike.
"""

from __future__ import annotations

import argparse
import random
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import paramiko

from scanner.channels import ssh
from scanner.channels.known_hosts import KnownHosts
from scanner.channels.shell import Batch
from scanner.model import Credential, Target
from scanner.vault import Vault
from tests.bench import figure
from tests.bench.bare import visit

PORT = 2290
PER_SSHD = 16


@contextmanager
def servers(folder: Path, hosts: Sequence[str]) -> Iterator[None]:
    """An sshd for every sixteen addresses, which is all one takes."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for start in range(0, len(hosts), PER_SSHD):
            config = folder / f"sshd_config{start}"
            config.write_text(
                f"Port {PORT}\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/key.pub\n"
                "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nMaxStartups 1000\nPrintMotd no\n"
                "SetEnv HOME=/nonexistent\n"  # root's own .bashrc is no part of what is measured
                + "".join(f"ListenAddress {host}\n" for host in hosts[start : start + PER_SSHD])
            )
            running.append(subprocess.Popen(["/usr/sbin/sshd", "-D", "-q", "-f", config]))
        for host in hosts:
            _await(host)
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _await(host: str) -> None:
    for _ in range(200):
        try:
            socket.create_connection((host, PORT), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise SystemExit(f"no sshd at {host}")


class Peers:
    """The same work in four ways; each method visits one host."""

    def __init__(self, folder: Path, hosts: Sequence[str]) -> None:
        self._key = paramiko.Ed25519Key.from_private_key_file(str(folder / "key"))
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        self._known = KnownHosts()
        for host in hosts:
            self._known.add(f"[{host}]:{PORT} {host_key}")
        self._vault = Vault()
        self._credential = Credential(user="root", key=f"file:{folder}/key")

    def ours(self, host: str) -> None:
        """The channel with a batch that only asks who it is."""
        target = Target(name="bench", address=host, port=PORT)
        transport = ssh.connect(target, self._credential, vault=self._vault, known_hosts=self._known)
        batch = Batch([])
        transport.run(batch)
        transport.close()
        assert batch.done

    def stock(self, host: str) -> None:
        """What paramiko's manual says."""
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.MissingHostKeyPolicy())
        client.connect(host, PORT, "root", pkey=self._key, allow_agent=False, look_for_keys=False)
        _, out, _ = client.exec_command("true")
        out.read()
        assert out.channel.recv_exit_status() == 0
        client.close()

    def bare(self, host: str) -> None:
        """The least there is: `true`."""
        visit(host, PORT, self._key)

    def bare_script(self, host: str) -> None:
        """The least there is, with the same script as ours."""
        visit(host, PORT, self._key, "sh -s", Batch([]).script)


class Cost(NamedTuple):
    """Seconds for all hosts together; processor time is that of this process."""

    wall: float
    cpu: float


def measure(way: Callable[[str], None], hosts: Sequence[str], threads: int) -> Cost:
    """Visit all hosts."""
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(way, hosts):
            pass
    cost = Cost(time.perf_counter() - wall, time.process_time() - cpu)
    while any(isinstance(thread, paramiko.Transport) for thread in threading.enumerate()):
        time.sleep(0.01)
    return cost


def alternate(
    ways: Sequence[Callable[[str], None]], hosts: Sequence[str], threads: int, rounds: int
) -> list[Cost]:
    """The median cost of each way; they take turns, after a few hosts to warm up."""
    for way in ways:
        measure(way, hosts[:4], threads)
    seen: list[list[Cost]] = [[] for _ in ways]
    for turn in range(rounds):
        order = list(zip(ways, seen, strict=True))
        for way, costs in order if turn % 2 else reversed(order):
            costs.append(measure(way, hosts, threads))
    return [Cost(*map(statistics.median, zip(*costs, strict=True))) for costs in seen]


def known_hosts(folder: Path, lines: int = 10_000) -> None:
    """Read a file of which half the lines are hashed; paramiko gets one without, or it would take minutes."""
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    names = [f"web{number}.example.nl" for number in range(lines)]
    hashed = [paramiko.HostKeys.hash_host(name) for name in names[::2]]
    mixed, plain = folder / "mixed", folder / "plain"
    mixed.write_text("".join(f"{name} {key}\n" for name in [*hashed, *names[1::2]]))
    plain.write_text("".join(f"{name} {key}\n" for name in names))
    began = time.process_time()
    reader = KnownHosts.load([mixed])
    ours = time.process_time() - began
    assert (reader.lines, reader.broken) == (lines, 0)
    assert reader.lookup(names[0]).keys == reader.lookup(names[1]).keys != ()
    began = time.process_time()
    paramiko.HostKeys(str(plain))
    figure("known_hosts of 10,000 lines / paramiko's loader", ours / (time.process_time() - began), "<= 0.02")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    hosts = [f"127.0.0.{number}" for number in range(2, 2 + arguments.hosts)]
    few = random.Random(1).sample(hosts, min(10, len(hosts)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        known_hosts(folder)
        with servers(folder, hosts):
            peers = Peers(folder, hosts)
            ours, stock = alternate([peers.ours, peers.stock], few, 1, arguments.rounds)
            figure("ssh connect and exec / stock SSHClient", ours.wall / stock.wall, "<= 0.35")
            ours, script, true = alternate(
                [peers.ours, peers.bare_script, peers.bare], hosts, arguments.threads, arguments.rounds
            )
    many = f"ssh {len(hosts)} hosts, {arguments.threads} threads"
    figure(f"{many}: wall / bare tuned connects", ours.wall / true.wall, "<= 1.15")
    figure(f"{many}: wall / bare with the same script", ours.wall / script.wall, "")
    figure(f"{many}: client cpu / bare with the same script", ours.cpu / script.cpu, "<= 1.1")
    figure(f"{many}: client cpu, ms per host", 1000 * ours.cpu / len(hosts), "")


if __name__ == "__main__":
    main()
