"""What the SSH inventory costs, against ssh-audit in the same run: 20 hosts.

ssh-audit is the whole program, with all its threads. Against it stand the looks alone, as many at the same time as in a
scan; and the whole scan as a user starts it, which tries the usual ports as well and writes its run folder.

    python -m tests.bench.bench_sshprobe [--hosts N] [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scanner.channels.ssh_hello import hello
from scanner.engine import WORKERS
from scanner.sources import SshHello
from scanner.transcript import exchanges
from tests.bench import figure
from tests.bench.fleet import Fleet, fleet
from tests.bench.process import Cost, alternate, run
from tests.oracles import program

_ONLY = 'topic == "ssh_seen"'
#: Findings are an outcome: both programs end with another status than 0 then.
_OURS, _THEIRS = (0, 1), (0, 1, 2, 3)


def main() -> None:
    """Print wall clock, processor time and memory as ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        fleet(Path(folder) / "fleet", arguments.hosts) as hosts,
    ):
        looks, scan, theirs = alternate(_ways(hosts), arguments.rounds)
    figure("ssh algorithms, looks / ssh-audit: wall", looks.wall / theirs.wall, "<= 0.1")
    figure("ssh algorithms, looks / ssh-audit: cpu", looks.cpu / theirs.cpu, "<= 0.1")
    figure("ssh algorithms, whole scan / ssh-audit: wall", scan.wall / theirs.wall, "")
    figure("ssh algorithms, whole scan / ssh-audit: cpu", scan.cpu / theirs.cpu, "")


def _ways(hosts: Fleet) -> list[Callable[[], Cost]]:
    targets = hosts.folder / "targets"
    targets.write_text("".join(f"{host}:{hosts.port}\n" for host in hosts.hosts))
    inventory = hosts.folder / "outside.yaml"
    inventory.write_text(
        "targets:\n"
        + "".join(
            f"  host{number}: {{address: {host}, platform: other,"
            f" services: [{{port: {hosts.port}, name: ssh}}]}}\n"
            for number, host in enumerate(hosts.hosts)
        )
    )

    def looks() -> Cost:
        began, busy = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(lambda host: hello(SshHello(port=hosts.port), host), hosts.hosts))
        assert all(exchanges(answer)[0].end == "done" for answer in answers)
        return Cost(time.perf_counter() - began, time.process_time() - busy, 0.0)

    def scan() -> Cost:
        return run(hosts.scan(inventory, hosts.folder / "runs", "--only", _ONLY), _OURS)

    def theirs() -> Cost:
        return run([program("ssh-audit"), "--skip-rate-test", "-T", targets], _THEIRS)

    return [looks, scan, theirs]


if __name__ == "__main__":
    main()
