"""Real name servers on loopback: two of NSD with a root, a top level and the zones of a test,
and Unbound that validates.

The root is our own, with its own key, so that a chain from the root is a real one. `Names` starts them; a zone is
written with `Zone`, changed with `Names.change`, and what is then asked is asked anew.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import dns.dnssec
import dns.name
import dns.zonefile

ROOT, FIRST, SECOND, RESOLVER = "127.0.83.1", "127.0.83.3", "127.0.84.3", "127.0.83.53"
BIND = "127.0.0.1"  # it listens at addresses of interfaces only
#: Seconds for a server to answer after it was started.
PATIENCE: Final = 20
_DAY: Final = 86400


def program(name: str) -> str:
    """The path of a server program. Raises FileNotFoundError: a test that cannot test fails."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; see tests/lab/packages.txt")
    return found


def run(*words: str | Path) -> str:
    """What a program says. Raises RuntimeError with it when it fails."""
    done = subprocess.run(
        [program(str(words[0])), *map(str, words[1:])], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Signing:
    """How a zone is signed. Times are days from now; ``salt`` None is NSEC, else NSEC3 with that salt in hexadecimal.

    ``ds`` is what the parent says: ``good``, ``wrong`` (a digest of nothing), ``none``, or ``sha1``. After signing,
    ``tampered`` replaces text and ``without`` (a regular expression over a line) takes records away.
    """

    algorithm: str = "ECDSAP256SHA256"
    bits: int = 0
    salt: str | None = None
    iterations: int = 0
    opt_out: bool = False
    since: float = -1
    until: float = 30
    ds: str = "good"
    tampered: tuple[str, str] = ("", "")
    without: str = ""


@dataclass(frozen=True)
class Zone:
    """One zone: its records as in a zone file (``@`` is the zone itself), beside the SOA and the name servers."""

    name: str
    records: str = ""
    signing: Signing | None = field(default_factory=Signing)
    serial: int = 1
    ttl: int = 3600
    servers: str = ""
    expire: int = 1209600

    @property
    def text(self) -> str:
        """The zone file, not signed."""
        servers = self.servers or (
            f"@ NS ns1\n@ NS ns2\nns1 A {FIRST}\nns2 A {SECOND}\nns1 AAAA 2001:db8:1::53\nns2 AAAA 2001:db8:2::53\n"
        )
        soa = f"@ SOA ns1 hostmaster {self.serial} 7200 3600 {self.expire} 3600\n"
        return f"$ORIGIN {self.name.rstrip('.')}.\n$TTL {self.ttl}\n{soa}{servers}{self.records}\n"


class Names:
    """All servers of a test; use it in a ``with`` block. ``anchor`` is the file with the key of our own root."""

    def __init__(self, folder: Path, zones: Iterable[Zone], tops: Iterable[str] = ("test",)) -> None:
        self.folder, self.zones = folder, {zone.name: zone for zone in zones}
        self.tops = tuple(tops)
        self.anchor = folder / "root.ds"
        self.second: dict[str, Zone] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for name in ("keys", "1", "2", "unbound"):
                (self.folder / name).mkdir()
            self._write(self.zones.values())
            for number, addresses in (("1", (ROOT, FIRST)), ("2", (SECOND,))):
                self._start("nsd", "-d", "-c", self._nsd(self.folder / number, addresses))
            self._start("unbound", "-d", "-c", self._unbound())
            for server in (ROOT, SECOND, RESOLVER):
                self._wait(server)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End what was started."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(10)
        self._processes = []

    def start_bind(self) -> int:
        """BIND as a second resolver, with the same root and anchor; its port, at `BIND`."""
        folder = self.folder / "bind"
        folder.mkdir()
        with socket.create_server((BIND, 0)) as free:
            port: int = free.getsockname()[1]
        _, _, _, tag, algorithm, digest, *data = self.anchor.read_text().split()
        (folder / "named.conf").write_text(
            f'options {{ directory "{folder}"; pid-file none; session-keyfile none;\n'
            f" listen-on port {port} {{ {BIND}; }};\n"
            " listen-on-v6 { none; }; recursion yes; allow-query { any; }; dnssec-validation yes;\n"
            " empty-zones-enable no; };\n"
            f'zone "." {{ type hint; file "{self.folder}/unbound/hints"; }};\n'
            f'trust-anchors {{ . static-ds {tag} {algorithm} {digest} "{"".join(data)}"; }};\n'
            f"server {SECOND} {{ bogus yes; }};\ncontrols {{ }};\n"
        )
        self._start("named", "-4", "-g", "-c", folder / "named.conf")
        self._wait(BIND, port)
        return port

    def change(self, *zones: Zone, second: Mapping[str, Zone] | None = None) -> None:
        """Put these zones in place of those of the same name; ``second`` ones on the second server only."""
        self.zones |= {zone.name: zone for zone in zones}
        self.second = dict(second or {})
        self._write([*zones, *self.second.values()])
        for number in ("1", "2"):
            run("nsd-control", "-c", self.folder / number / "nsd.conf", "reload")
        # A reload is done behind one's back: it is there when the root has its new serial on both.
        self._await_serial()
        run("unbound-control", "-c", self.folder / "unbound" / "unbound.conf", "flush_zone", ".")
        run("unbound-control", "-c", self.folder / "unbound" / "unbound.conf", "flush_infra", "all")

    # --- zones --------------------------------------------------------------------------------------------------

    def _write(self, zones: Iterable[Zone]) -> None:
        for zone in zones:
            ours = self.zones.get(zone.name, zone)
            self._sign(ours, "12")
            if zone.name in self.second:
                self._sign(self.second[zone.name], "2")
        self._serial = int(time.time() * 1000) % 2**31
        for top in self.tops:
            children = [one for one in self.zones.values() if _parent(one.name) == top]
            self._sign(Zone(top, self._delegations(children), serial=self._serial), "12")
        for zone in self.zones.values():
            inside = [one for one in self.zones.values() if _parent(one.name) == zone.name]
            if inside:
                whole = replace(zone, records=f"{zone.records}\n{self._delegations(inside)}")
                self._sign(whole, "12")
        servers = f"@ NS ns.\nns. A {ROOT}\n"
        root = self._delegations([Zone(top) for top in self.tops])
        self._sign(Zone(".", root, serial=self._serial, servers=servers), "12")
        self.anchor.write_text("".join(f". IN DS {one}\n" for one in self.ds(Zone("."))))

    def _delegations(self, children: Iterable[Zone]) -> str:
        lines = []
        for child in children:
            name = f"{child.name}."
            lines += [
                f"{name} NS ns1.{name}",
                f"{name} NS ns2.{name}",
                f"ns1.{name} A {FIRST}",
                f"ns2.{name} A {SECOND}",
            ]
            lines += [f"{name} DS {one}" for one in self.ds(child)]
        return "\n".join(lines) + "\n"

    def ds(self, zone: Zone) -> list[str]:
        """The DS records of a zone, as its parent has them."""
        if zone.signing is None or zone.signing.ds == "none":
            return []
        if zone.signing.ds == "wrong":
            return [f"1 13 2 {'00' * 32}"]
        digest = "SHA1" if zone.signing.ds == "sha1" else "SHA256"
        key = self._key(zone, zone.signing)
        (rrset,) = dns.zonefile.read_rrsets(_record(key), rdclass=None, relativize=False)
        made = dns.dnssec.make_ds(dns.name.from_text(zone.name), rrset[0], digest, validating=True)
        return [made.to_text()]

    def _key(self, zone: Zone, signing: Signing) -> Path:
        """The key a zone is signed with, made when first needed."""
        folder = self.folder / "keys" / f"{zone.name.strip('.') or 'root'}-{signing.algorithm}-{signing.bits}"
        if not folder.exists():
            folder.mkdir()
            bits = ("-b", str(signing.bits)) if signing.bits else ()
            run("dnssec-keygen", "-q", "-K", folder, "-a", signing.algorithm, *bits, "-f", "KSK", zone.name)
        return next(folder.glob("*.key"))

    def _sign(self, zone: Zone, numbers: str) -> None:
        name = zone.name.strip(".") or "root"
        plain, signed = self.folder / f"{name}.plain", self.folder / f"{name}.signed"
        signing = zone.signing
        if signing is None:
            signed.write_text(zone.text)
        else:
            key = self._key(zone, signing)
            plain.write_text(zone.text + key.read_text())
            nsec3 = () if signing.salt is None else ("-3", signing.salt or "-", "-H", str(signing.iterations))
            run(
                "dnssec-signzone", "-q", "-P", "-z", "-d", self.folder / "keys",
                "-O", "full", "-o", zone.name, "-f", signed,
                "-s", _time(signing.since), "-e", _time(signing.until), *nsec3, *(("-A",) if signing.opt_out else ()),
                plain, key,
            )  # fmt: skip
            lines = signed.read_text().replace(*signing.tampered).splitlines(keepends=True)
            if signing.without:
                lines = [line for line in lines if not re.search(signing.without, line)]
            signed.write_text("".join(lines))
        for number in numbers:
            shutil.copy(signed, self.folder / number / f"{name}.zone")

    # --- servers ------------------------------------------------------------------------------------------------

    def _nsd(self, folder: Path, addresses: Iterable[str]) -> Path:
        listening = "\n".join(f" ip-address: {one}" for one in addresses)
        zones = "\n".join(
            f"zone:\n name: {name or '.'}\n zonefile: {name or 'root'}.zone"
            for name in ("", *self.tops, *self.zones)
        )
        path = folder / "nsd.conf"
        path.write_text(
            f'server:\n{listening}\n username: ""\n zonesdir: {folder}\n database: ""\n pidfile: {folder}/pid\n'
            f" logfile: {folder}/log\n xfrdfile: {folder}/xfrd\n zonelistfile: {folder}/zones\n xfrdir: {folder}\n"
            " server-count: 1\n"
            f"remote-control:\n control-enable: yes\n control-interface: {folder}/control\n{zones}\n"
        )
        return path

    def _unbound(self) -> Path:
        folder = self.folder / "unbound"
        path = folder / "unbound.conf"
        (folder / "hints").write_text(f". 3600 NS ns.\nns. 3600 A {ROOT}\n")
        path.write_text(
            f"server:\n interface: {RESOLVER}\n access-control: 127.0.0.0/8 allow\n do-not-query-localhost: no\n"
            f' username: ""\n chroot: ""\n directory: {folder}\n pidfile: {folder}/pid\n logfile: {folder}/log\n'
            f" use-syslog: no\n do-ip6: no\n do-not-query-address: {SECOND}\n root-hints: {folder}/hints\n"
            f" trust-anchor-file: {self.anchor}\n"
            " val-sig-skew-min: 0\n val-sig-skew-max: 0\n qname-minimisation: no\n msg-cache-size: 32m\n"
            + "".join(f' local-zone: "{top}." nodefault\n' for top in (*self.tops, "in-addr.arpa"))
            + f"remote-control:\n control-enable: yes\n control-use-cert: no\n control-interface: {folder}/control\n"
        )
        run("unbound-checkconf", path)
        return path

    def _start(self, name: str, *words: str | Path) -> None:
        log = (self.folder / f"{name}{len(self._processes)}.log").open("wb")
        with log:
            self._processes.append(
                subprocess.Popen(
                    [program(name), *map(str, words)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )

    def _wait(self, server: str, port: int = 53) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if dig(server, ".", "SOA", port):
                return
            if any(process.poll() is not None for process in self._processes):
                break
            time.sleep(0.05)
        logs = "".join(
            path.read_text(errors="replace") for path in self.folder.rglob("*log*") if path.is_file()
        )
        raise RuntimeError(f"{server} does not answer: {logs[-2000:]}")

    def _await_serial(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if all(str(self._serial) in dig(server, ".", "SOA") for server in (ROOT, SECOND)):
                return
            time.sleep(0.02)
        raise RuntimeError("a name server has not read its zones again")


def dig(server: str, name: str, kind: str, port: int = 53) -> str:
    """What a server answers, short."""
    done = subprocess.run(
        [program("dig"), f"@{server}", "-p", str(port), "+short", "+time=1", "+tries=1", name, kind],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode else done.stdout


def _parent(name: str) -> str:
    return name.partition(".")[2]


def _time(days: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + days * _DAY))


def _record(key: Path) -> str:
    line = next(line for line in key.read_text().splitlines() if line and not line.startswith(";"))
    return line.replace(" IN ", " 3600 IN ", 1) if " 3600 " not in line else line
