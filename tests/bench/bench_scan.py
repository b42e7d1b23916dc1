"""What a whole scan costs: the command as a user gives it, report included, against the least that could be done.

    python -m tests.bench.bench_scan [--rounds N]

One host: this machine over SSH, all checks; against a bare connect (see bare.py) and the very same scripts run by a
local `sh -s`, one after the other. Many hosts: real sshd on as many addresses, that play back what this machine
answered at first (see replay.pl), so that the processor time of the targets does not hide that of the scanner.
Everything is a whole process, start included, on both sides; the peers take turns and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import figure
from tests.bench.delay import Delay
from tests.bench.fleet import Fleet, fleet
from tests.bench.process import Cost, alternate, run

HOSTS, THREADS = 200, 16
ONE_WAY = 0.04
#: One check that asks one small thing: what is left is connecting.
TRIVIAL = 'id == "mounts.home"'


class Scans:
    """Scans of a fleet, each seen to have reached all its hosts."""

    def __init__(self, hosts: Fleet) -> None:
        self._hosts = hosts

    def scan(self, inventory: Path, *words: str) -> Cost:
        """One scan. Earlier ones stay: ext4 is slow to make files where many were deleted a moment ago."""
        self._last = Path(tempfile.mkdtemp(prefix="runs-", dir=self._hosts.folder))
        cost = run(self._hosts.scan(inventory, self._last, *words), exits=(0, 1, 2))
        targets = json.loads((self.folder / "run.json").read_bytes())["targets"]
        assert targets["reached"] == targets["planned"], targets
        return cost

    @property
    def folder(self) -> Path:
        """The run folder of the last scan."""
        return next(self._last.iterdir())

    def evidence(self) -> float:
        """Bytes kept on disk by the last scan / bytes that came back."""
        raw = sum(
            answer["size"]
            for manifest in (self.folder / "manifests").iterdir()
            for answer in json.loads(manifest.read_bytes())["answers"]
        )
        kept = sum(path.stat().st_size for path in (self.folder / "evidence").rglob("*.zst"))
        return kept / raw


def local(scripts: Sequence[Path]) -> float:
    """Seconds it takes a shell here to run these scripts, one after the other."""
    began = time.perf_counter()
    for script in scripts:
        with script.open("rb") as file:
            subprocess.run(["/bin/sh", "-s"], stdin=file, capture_output=True, check=True)
    return time.perf_counter() - began


def one_host(hosts: Fleet, scripts: Sequence[Path], rounds: int) -> None:
    """This machine, all checks."""
    scans, inventory = Scans(hosts), hosts.inventory(1)

    def floor() -> Cost:
        bare = run(hosts.bare(1))
        return Cost(bare.wall + local(scripts), bare.cpu, bare.peak)

    ours, least = alternate([lambda: scans.scan(inventory), floor], rounds)
    figure(
        "one host: wall, x (bare connect + the same scripts run locally)", ours.wall / least.wall, "<= 1.15"
    )
    figure("one host: seconds", ours.wall, "")
    figure("evidence on disk, x raw: one host, nothing to share", scans.evidence(), "")


def round_trips(hosts: Fleet, rounds: int) -> None:
    """How many times the distance counts, beyond a bare `true`; and how many connections and channels there are."""
    scans = Scans(hosts)
    near = hosts.inventory(1)
    with Delay(hosts.hosts[0], hosts.port, ONE_WAY).running() as proxy:
        through = hosts.through(proxy.port)
        far = through.inventory(1)
        near_scan, near_true, far_scan, far_true = alternate(
            [
                lambda: scans.scan(near),
                lambda: run(hosts.bare(1)),
                lambda: scans.scan(far),
                lambda: run(through.bare(1)),
            ],
            rounds,
        )
        before, sessions = proxy.connections, hosts.log.read_bytes().count(b"Starting session: ")
        scans.scan(far)
        connections = proxy.connections - before
        channels = hosts.log.read_bytes().count(b"Starting session: ") - sessions
    extra = (far_scan.wall - near_scan.wall) - (far_true.wall - near_true.wall)
    figure("one host: round trips beyond a bare `true`", extra / (2 * ONE_WAY), "<= 2")
    figure("one host: connections", connections, "<= 1")
    figure("one host: channels", channels, "<= 2")


def many_hosts(hosts: Fleet, rounds: int) -> None:
    """A fleet: time, processor time, memory and disk."""
    scans, inventory = Scans(hosts), hosts.inventory(HOSTS)
    least, trivial, full = alternate(
        [
            lambda: run(hosts.bare(HOSTS, THREADS)),
            lambda: scans.scan(inventory, "--workers", str(THREADS), "--only", TRIVIAL),
            lambda: scans.scan(inventory, "--workers", str(THREADS)),
        ],
        rounds,
    )
    name = f"{HOSTS} hosts, {THREADS} threads"
    figure(f"{name}: wall, one trivial check, x bare connects", trivial.wall / least.wall, "<= 1.15")
    figure(f"{name}: processor time, all checks, x bare connects", full.cpu / least.cpu, "<= 5")
    figure(f"{name}: processor ms per host, all checks", 1000 * full.cpu / HOSTS, "")
    figure(f"{name}: wall, all checks, x bare connects", full.wall / least.wall, "")
    bound = f"<= {60 + THREADS / 2:g}"
    few = scans.scan(hosts.inventory(20), "--workers", str(THREADS))
    figure(f"memory: peak MiB, 20 hosts, {THREADS} workers", few.peak, bound)
    figure(f"memory: peak MiB, {HOSTS} hosts, {THREADS} workers", full.peak, bound)
    figure("evidence on disk, x raw: 20 hosts much alike", scans.evidence(), "<= 0.25")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="keurmeester-bench-") as name:
        folder, recorded = Path(name), Path(name) / "recorded"
        recorded.mkdir()
        with fleet(folder / "first", 1, recorded) as hosts:
            Scans(hosts).scan(hosts.inventory(1))
        with fleet(folder / "real", 1) as hosts:
            one_host(hosts, sorted(recorded.glob("*.script")), rounds)
        with fleet(folder / "replay", HOSTS, recorded) as hosts:
            round_trips(hosts, rounds)
            many_hosts(hosts, max(1, rounds // 2))


if __name__ == "__main__":
    sys.exit(main())
