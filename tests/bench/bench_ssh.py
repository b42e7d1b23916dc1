"""What the SSH channel costs, as ratios to paramiko itself in the same run: one JSON object on standard output.

    python -m tests.bench.bench_ssh [--hosts 200] [--threads 16] [--rounds 5]

Starts 13 sshd on 127.0.0.2 and up (one sshd takes 16 addresses), needs root, and stops what it started. Peers take
turns, and medians are compared, so that a busy minute hits them alike.

    serial      connect and run a trivial batch, one host after the other / stock SSHClient running `true`
    fleet       all hosts, many threads, wall / a bare tuned Transport running the same script
    fleet_cpu   the same, processor time of this process
    true        all hosts, many threads, wall / a bare tuned Transport running `true`
    known_hosts reading 10,000 lines, half hashed / paramiko's HostKeys, none hashed
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import paramiko

from scanner.channels import ssh
from scanner.channels.known_hosts import KnownHosts
from scanner.channels.shell import Batch
from scanner.model import Credential, Target
from scanner.vault import Vault

GOALS = {"serial": 0.35, "fleet": 1.15, "fleet_cpu": 1.1, "true": 1.15, "known_hosts": 0.02}
PORT = 2290
PER_SSHD = 16


def addresses(count: int) -> list[str]:
    return [f"127.0.0.{number}" for number in range(2, 2 + count)]


@contextmanager
def servers(folder: Path, hosts: Sequence[str]) -> Iterator[None]:
    """An sshd for every sixteen addresses, all with one host key."""
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


class Quick:
    """The smallest wrapper that removes paramiko's stalls: what a careful caller of paramiko would write."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, size: int) -> bytes:
        data = self._sock.recv(size)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


class Peers:
    """The same work in three ways; each method visits one host."""

    def __init__(self, folder: Path, hosts: Sequence[str]) -> None:
        self._key = paramiko.Ed25519Key.from_private_key_file(str(folder / "key"))
        kind, host_key = (folder / "host.pub").read_text().split()[:2]
        self._known = KnownHosts()
        for host in hosts:
            self._known.add(f"[{host}]:{PORT} {kind} {host_key}")
        self._vault = Vault()
        self._credential = Credential(user="root", key=f"file:{folder}/key")

    def ours(self, host: str) -> None:
        target = Target(name="bench", address=host, port=PORT)
        transport = ssh.connect(target, self._credential, vault=self._vault, known_hosts=self._known)
        batch = Batch([])
        transport.run(batch)
        transport.close()
        assert batch.done

    def stock(self, host: str) -> None:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.MissingHostKeyPolicy())
        client.connect(host, PORT, "root", pkey=self._key, allow_agent=False, look_for_keys=False)
        _, out, _ = client.exec_command("true")
        out.read()
        assert out.channel.recv_exit_status() == 0
        client.close()

    def bare(self, host: str) -> None:
        self._bare(host, "true", b"")

    def bare_script(self, host: str) -> None:
        self._bare(host, "sh -s", Batch([]).script)

    def _bare(self, host: str, command: str, script: bytes) -> None:
        transport = paramiko.Transport(Quick(socket.create_connection((host, PORT), 60)))  # type: ignore[arg-type]
        options = transport.get_security_options()
        options.kex, options.ciphers = ["curve25519-sha256@libssh.org"], ["aes256-gcm@openssh.com"]
        options.key_types = ["ssh-ed25519"]
        transport.start_client(timeout=60)
        transport.auth_publickey("root", self._key)
        channel = transport.open_session(timeout=60)
        channel.exec_command(command)
        if script:
            channel.sendall(script)
            channel.shutdown_write()
        while channel.recv(65536):
            pass
        assert channel.recv_exit_status() == 0
        transport.close()


def measure(visit: Callable[[str], None], hosts: Sequence[str], threads: int) -> tuple[float, float]:
    """Wall and processor seconds for all hosts."""
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(visit, hosts):
            pass
    result = time.perf_counter() - wall, time.process_time() - cpu
    while any(isinstance(thread, paramiko.Transport) for thread in threading.enumerate()):
        time.sleep(0.01)
    return result


def alternate(
    visits: Sequence[Callable[[str], None]], hosts: Sequence[str], threads: int, rounds: int
) -> list[tuple[float, float]]:
    """Median wall and processor seconds of each way; they take turns, after one round to warm up."""
    for visit in visits:
        measure(visit, hosts[:4], threads)
    times: list[list[tuple[float, float]]] = [[] for _ in visits]
    for turn in range(rounds):
        order = list(zip(visits, times, strict=True))
        for visit, seen in order if turn % 2 else reversed(order):
            seen.append(measure(visit, hosts, threads))
    return [
        (statistics.median(wall for wall, _ in seen), statistics.median(cpu for _, cpu in seen))
        for seen in times
    ]


def known_hosts(folder: Path, lines: int = 10_000) -> tuple[float, float]:
    """Processor seconds to read a file: ours with half the lines hashed, paramiko's with none.

    paramiko's would take minutes over the half hashed one.
    """
    kind, key = (folder / "host.pub").read_text().split()[:2]
    names = [f"web{number}.example.nl" for number in range(lines)]
    half = [paramiko.HostKeys.hash_host(name) for name in names[::2]]
    mixed = [name for pair in zip(half, names[1::2], strict=True) for name in pair]
    path, plain = folder / "known_hosts", folder / "known_hosts_plain"
    path.write_text("".join(f"{name} {kind} {key}\n" for name in mixed))
    plain.write_text("".join(f"{name} {kind} {key}\n" for name in names))

    began = time.process_time()
    reader = KnownHosts.load([path])
    ours = time.process_time() - began
    assert (reader.lines, reader.broken) == (lines, 0)
    assert reader.lookup(names[0]).keys == reader.lookup(names[1]).keys != ()
    began = time.process_time()
    paramiko.HostKeys(str(plain))
    return ours, time.process_time() - began


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    hosts = addresses(arguments.hosts)
    few = random.Random(1).sample(hosts, min(10, len(hosts)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        ours_read, stock_read = known_hosts(folder)
        with servers(folder, hosts):
            peers = Peers(folder, hosts)
            one, stock = alternate([peers.ours, peers.stock], few, 1, arguments.rounds)
            fleet, script, true = alternate(
                [peers.ours, peers.bare_script, peers.bare], hosts, arguments.threads, arguments.rounds
            )
    ratios = {
        "serial": one[0] / stock[0],
        "fleet": fleet[0] / script[0],
        "fleet_cpu": fleet[1] / script[1],
        "true": fleet[0] / true[0],
        "known_hosts": ours_read / stock_read,
    }
    figures = {
        "serial_ms": [round(1000 * wall / len(few), 1) for wall, _ in (one, stock)],
        "fleet_s": [round(wall, 2) for wall, _ in (fleet, script, true)],
        "fleet_cpu_ms": [round(1000 * cpu / len(hosts), 2) for _, cpu in (fleet, script, true)],
        "known_hosts_s": [round(ours_read, 3), round(stock_read, 3)],
    }
    print(json.dumps({"ratios": {k: round(v, 4) for k, v in ratios.items()}, "goals": GOALS, **figures}))
    return 0 if all(ratios[goal] <= GOALS[goal] for goal in GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
