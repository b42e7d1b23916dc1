"""What looking at TLS endpoints costs, against sslyze, nmap and testssl.sh in the same run, each a program of its own.

    python -m tests.bench.bench_tls [--endpoints N] [--rounds N] [--many N]

One nginx that accepts everything it knows, on many addresses of loopback. The same scope for all: versions, suites,
groups and certificates (nmap knows no groups and no order). Programs take turns; medians are compared.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import figure
from tests.bench.process import Cost, alternate, run
from tests.oracles import peers
from tests.oracles import program as oracle
from tests.servers import free_port, program
from tests.servers.tls import NAME, Keys, nginx

EVERYTHING = ("ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;", "ssl_ciphers ALL:@SECLEVEL=0;")
HARDENED = (
    "ssl_protocols TLSv1.2 TLSv1.3;",
    "ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;",
    "ssl_ecdh_curve X25519:P-256;",
)


def keys(folder: Path) -> Keys:
    """A chain and its key, made by another program: this one stays small, for what its children count as their own."""
    script = f"from pathlib import Path; from tests.servers.tls import made; made(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", script], check=True)
    return Keys(folder / "rsa.pem", folder / "rsa.key")


def addresses(count: int) -> list[str]:
    """So many addresses of loopback."""
    return [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(count)]


def listening(hosts: Sequence[str], port: int) -> str:
    """What nginx is told to listen on."""
    return "\n".join(f"listen {host}:{port} ssl backlog=1024;" for host in hosts)


def programs(folder: Path, pair: Keys, count: int, rounds: int) -> None:
    """Us, sslyze and nmap on all endpoints; testssl.sh on one."""
    hosts, port = addresses(count), free_port()
    endpoints = [f"{host}:{port}" for host in hosts]
    ours = [sys.executable, "-m", "tests.bench.tls_look", "offer", *endpoints]
    switches = [*peers.SWITCHES[2:], "--certinfo", "--mozilla_config=disable", "--json_out=/dev/null"]
    theirs = [str(oracle("sslyze")), *switches, *endpoints]
    nmap = [program("nmap"), "-n", "-Pn", "-p", str(port), "--script", "+ssl-enum-ciphers", *hosts]
    testssl = [
        program("testssl"),
        "--quiet",
        "--color",
        "0",
        "--ip",
        "one",
        "-p",
        "-E",
        "-f",
        "-P",
        "-S",
        endpoints[0],
    ]
    with nginx(folder, [pair], *EVERYTHING, port=port, listen=listening(hosts, port)):
        ways = [lambda: run(ours), lambda: run(theirs), lambda: run(nmap)]
        us, sslyze, scripts = alternate(ways, rounds)
        slow = run(testssl, range(256))
    what = f"tls {count} endpoints"
    compare(what, us, sslyze)
    figure(f"{what}: wall / nmap ssl-enum-ciphers", us.wall / scripts.wall, "<= 1.0")
    figure(f"{what}: wall / testssl.sh, one endpoint times {count}", us.wall / (slow.wall * count), "<= 0.02")
    figure(f"{what}: wall, seconds", us.wall, "")


def compare(what: str, us: Cost, sslyze: Cost) -> None:
    """The figures against sslyze."""
    figure(f"{what}: wall / sslyze", us.wall / sslyze.wall, "<= 0.2")
    figure(f"{what}: cpu / sslyze", us.cpu / sslyze.cpu, "<= 0.15")
    figure(f"{what}: peak memory / sslyze", us.peak / sslyze.peak, "<= 0.2")


def connections(folder: Path, pair: Keys) -> None:
    """How many connections one endpoint takes, against the bound; the certificates alone take one."""
    from checks.network.ports import TlsPort
    from checks.network.tls_endpoint import tls_offer
    from scanner.channels import tls
    from scanner.sources import TlsWalk

    for name, lines in (("weak", EVERYTHING), ("hardened", HARDENED)):
        with nginx(folder, [pair], *lines) as port:
            raw = tls.look(TlsWalk(port, NAME, parts="offer"), "127.0.0.1")
            alone = tls.look(TlsWalk(port, NAME, parts="chain"), "127.0.0.1")
        offer = tls_offer(raw, TlsPort(port, NAME))
        parts = [*offer.suites.values(), *offer.groups.values()]
        bound = sum(len(part.whole) + 1 for part in parts) + 3  # type: ignore[arg-type]
        used = raw.out.count(b"\n")
        figure(f"tls {name} endpoint: connections / bound", used / bound, "<= 1.0")
        figure(f"tls {name} endpoint: connections", used, "")
        figure(f"tls {name} endpoint: connections for the certificates alone", alone.out.count(b"\n"), "<= 1")


def far(folder: Path, pair: Keys) -> None:
    """At 20 ms away: in parts side by side, against one version's suites one after the other."""
    from scanner.channels import tls
    from scanner.sources import TlsWalk
    from tests.bench.delay import Delay

    once, away = tls.AT_ONCE, tls.FAR
    with nginx(folder, [pair], *EVERYTHING) as real, Delay("127.0.0.1", real, 0.01).running() as proxy:
        took: dict[str, list[float]] = {}
        for name, at_once, limit in (("walk", once, 1e9), ("single", 1, 1e9), ("parts", once, away)) * 3:
            tls.AT_ONCE, tls.FAR = at_once, limit  # type: ignore[misc]
            raw = tls.look(TlsWalk(proxy.port, NAME, parts="offer"), "127.0.0.1")
            took.setdefault(name, []).append(raw.took)
        tls.AT_ONCE, tls.FAR = once, away  # type: ignore[misc]
    walk, single, parts = (sorted(took[name])[1] for name in ("walk", "single", "parts"))
    figure("tls at 20 ms: wall in parts / one connection at a time", parts / single, "<= 0.5")
    figure("tls at 20 ms: wall in parts / versions side by side", parts / walk, "<= 0.5")
    figure("tls at 20 ms: connections in parts", raw.out.count(b"\n"), "")


def many(folder: Path, pair: Keys, count: int) -> None:
    """Hundreds of endpoints at one go, with few files allowed."""
    hosts, port = addresses(count), free_port()
    with nginx(folder, [pair], *HARDENED, port=port, listen=listening(hosts, port)):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            endpoints = [f"{host}:{port}" for host in hosts]
            cost = run([sys.executable, "-m", "tests.bench.tls_look", "all", *endpoints])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    figure(
        f"tls {count} endpoints, everything, 256 files at most: ms per endpoint", 1000 * cost.wall / count, ""
    )
    figure(f"tls {count} endpoints: peak MiB", cost.peak, "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--endpoints", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = keys(folder)
        programs(folder, pair, arguments.endpoints, arguments.rounds)
        connections(folder, pair)
        far(folder, pair)
        many(folder, pair, arguments.many)


if __name__ == "__main__":
    main()
