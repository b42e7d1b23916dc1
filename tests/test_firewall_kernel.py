"""The packet filter as this program reads it, beside the kernel that runs it.

Random rulesets are loaded into a network namespace of the test's own and real connections are made to it, over two
interfaces, both IP versions and several addresses. What the walk says is closed must be closed; what it says is open
must be open. Nothing leaves the two namespaces.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

import pytest

from checks.linux.netfilter.spans import meet, points, spans
from checks.linux.netfilter.together import ruleset
from checks.linux.netfilter.walk import Reach, reach

pytestmark = pytest.mark.lab

PORTS: Final = (22, 80, 443, 5000, 40000)
OWN: Final = {4: ("10.77.0.1", "10.78.0.1"), 6: ("fd77::1", "fd78::1")}
FAR: Final = {
    4: (("10.77.0.2", "192.168.0.5"), ("10.78.0.2", "192.168.1.5")),
    6: (("fd77::2",), ("fd78::2",)),
}

SERVER: Final = """
import socket, sys, threading
def serve(listener):
    while True:
        listener.accept()[0].close()
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in json_ports:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(200)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
print("up", flush=True)
sys.stdin.read()
"""
CLIENT: Final = """
import json, select, socket, sys, time
print("up", flush=True)
for line in sys.stdin:
    waiting, opened = {}, []
    for at, (version, source, to, port) in enumerate(json.loads(line)):
        opened.append(False)
        one = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        one.setblocking(False)
        one.bind((source, 0))
        try:
            one.connect((to, port))
        except BlockingIOError:
            waiting[one] = at
        except OSError:
            pass
    end = time.monotonic() + 0.3
    while waiting and time.monotonic() < end:
        _, ready, _ = select.select([], list(waiting), [], max(0, end - time.monotonic()))
        for one in ready:
            opened[waiting.pop(one)] = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            one.close()
    for one in waiting:
        one.close()
    print(json.dumps(opened), flush=True)
"""


class Probe(NamedTuple):
    """One connection: from an address, over one of two interfaces, to the host's own address there."""

    version: int
    source: str
    to: str
    port: int
    interface: str


PROBES: Final = [
    Probe(version, source, OWN[version][leg], port, f"eth{leg}")
    for version in (4, 6)
    for leg in (0, 1)
    for source in FAR[version][leg]
    for port in PORTS
]


class World:
    """A host with a packet filter and two legs, and whoever is outside it; gone when its processes are."""

    def __init__(self) -> None:
        self.host = self._start(SERVER.replace("json_ports", json.dumps(PORTS)))
        self.outside = self._start(CLIENT)
        for leg, (four, six) in enumerate((("10.77.0", "fd77:"), ("10.78.0", "fd78:"))):
            link = (
                f"ip link add eth{leg} netns {self.host.pid} type veth peer out{leg} netns {self.outside.pid}"
            )
            subprocess.run(link.split(), check=True)
            for process, name, last in ((self.host, f"eth{leg}", 1), (self.outside, f"out{leg}", 2)):
                self.run(process, f"ip address add {four}.{last}/24 dev {name}")
                self.run(process, f"ip address add {six}:{last}/64 dev {name} nodad")
                self.run(process, f"ip link set {name} up")
            self.run(self.outside, f"ip address add 192.168.{leg}.5/32 dev out{leg}")
            self.run(self.host, f"ip route add 192.168.{leg}.5/32 dev eth{leg}")

    def _start(self, program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    def run(self, process: subprocess.Popen[str], command: str, given: str | None = None) -> str:
        words = ["nsenter", "--net", "--target", str(process.pid), *command.split()]
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def on_host(self, command: str, given: str | None = None) -> str:
        return self.run(self.host, command, given)

    def connect(self) -> list[bool]:
        """Which probes get through."""
        assert self.outside.stdin is not None
        assert self.outside.stdout is not None
        self.outside.stdin.write(json.dumps([probe[:4] for probe in PROBES]) + "\n")
        self.outside.stdin.flush()
        opened: list[bool] = json.loads(self.outside.stdout.readline())
        return opened

    def close(self) -> None:
        for process in (self.host, self.outside):
            process.communicate()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    made.connect()  # neighbours get to know each other before anything is refused
    try:
        yield made
    finally:
        made.close()


def compare(found: Reach, opened: list[bool], text: str) -> int:
    """Every probe as the walk says; how many were open. What is not understood may be either."""
    for probe, is_open in zip(PROBES, opened, strict=True):
        far = spans(points([int(ip_address(probe.source))]))
        hits = [
            one
            for one in found.openings
            if (one.version, one.protocol) == (probe.version, 6)
            and probe.interface in one.interface
            and meet(one.ports, ((probe.port, probe.port),))
            and meet(one.far, far)
        ]
        if is_open:
            assert hits, f"open, and not seen to be: {probe}\n{text}"
        # A choice of the sender (which of the host's addresses, which TTL) is open here although this probe was not.
        elif any(one.sure for one in hits) and not re.search(r"daddr|-d |ttl", text):
            pytest.fail(f"closed, and said to be open: {probe}\n{text}")
    return sum(opened)


def judge(nft: str, saves: list[tuple[str, str]]) -> Reach:
    own = {version: spans(points(int(ip_address(one)) for one in some)) for version, some in OWN.items()}
    return reach(ruleset(nft, saves, {}, True), "input", ["eth0", "eth1"], own, (4, 6))


class Dice:
    """Random rules. Each test has its own seed, so that a failure comes back."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, *options: str) -> str:
        return self.random.choice(options)

    def some(self, least: int, most: int, make: Callable[[], str]) -> list[str]:
        return [make() for _ in range(self.random.randint(least, most))]


# --- nftables -------------------------------------------------------------------------------------------------

_SETS: Final = """
 set nets {
  type ipv4_addr; flags interval
  elements = { 10.77.0.0/25, 192.168.1.5 }
 }
 set pairs {
  type ipv4_addr . inet_service; flags interval
  elements = { 10.0.0.0/8 . 22, 192.168.0.0/16 . 80-500 }
 }
"""


class NftDice(Dice):
    def test(self) -> str:
        pick = self.pick
        return pick(
            f"iifname {pick('', '!= ')}{pick('eth0', 'eth1', 'lo', 'eth*')}",
            f"iifname {{ {pick('eth0, lo', 'eth1, tun*')} }}",
            f"tcp dport {pick('', '!= ', '< ', '>= ')}{pick('22', '80', '443', '5000')}",
            f"tcp dport {pick('', '!= ')}{{ {pick('22, 80', '80-443', '1-5000, 40000', '5000-65535')} }}",
            f"ip saddr {pick('', '!= ')}{pick('10.0.0.0/8', '192.168.0.5', '0.0.0.0/0', '@nets')}",
            f"ip saddr {pick('', '!= ')}{pick('{ 10.77.0.0/24, 192.168.0.0/16 }', '10.77.0.2-10.78.0.1')}",
            f"ip6 saddr {pick('', '!= ')}{pick('fd77::/16', 'fd78::2', '::/0')}",
            f"ip daddr {pick('', '!= ')}{pick('10.77.0.1', '{ 10.77.0.1, 10.78.0.1 }', '224.0.0.0/4')}",
            f"meta l4proto {pick('', '!= ')}{pick('tcp', 'udp', '{ tcp, udp }', 'icmp')}",
            f"meta nfproto {pick('ipv4', 'ipv6')}",
            f"ct state {pick('new', 'established,related', '!= new', '{ new, related }', 'new,untracked')}",
            f"tcp flags {pick('syn / syn,ack', '& (fin|syn|rst|ack) == syn', '& (syn|ack) != syn', '! ack')}",
            f"meta mark {pick('1', '0', '!= 0', '& 0xff == 1')}",
            f"fib daddr type {pick('', '!= ')}{pick('local', 'multicast')}",
            f"fib saddr . iif oif {pick('missing', 'exists')}",
            f"meta pkttype {pick('host', 'broadcast', '{ multicast, broadcast }')}",
            f"ip saddr . tcp dport {pick('{ 10.77.0.2 . 22, 192.168.0.5 . 80 }', '@pairs')}",
            'iifname . tcp dport { "eth0" . 22, "eth1" . 443 }',
            f"th dport {pick('22', '{ 80, 443 }')}",
            pick(
                "udp sport 53",
                "icmp type echo-request",
                "ct direction original",
                "ct status dnat",
                "ip ttl < 255",
            ),
        )

    def rule(self, chains: list[str]) -> str:
        jump = f"{self.pick('jump', 'goto')} {self.pick(*chains)}" if chains else "return"
        verdict = self.pick("accept", "accept", "drop", "drop", "reject", "return", "", jump, jump)
        kind = self.random.random()
        if kind < 0.06:
            return f"tcp dport vmap {{ 22 : accept, 80-443 : {self.pick('drop', 'return')}, 5000 : {jump} }}"
        if kind < 0.1:
            return f"ct state vmap {{ established : accept, invalid : drop, new : {self.pick('continue', jump)} }}"
        if kind < 0.15:
            return f"{self.pick('', 'tcp dport 22 ')}meta mark set {self.pick('0', '1', '2')}"
        free = verdict in {"", jump}
        return " ".join([*self.some(0 if free else 1, 3, self.test), verdict])

    def table(self, number: int) -> list[str]:
        family = self.pick("inet", "inet", "ip", "ip6")
        lines = [f"table {family} t{number} {{", *_SETS.strip("\n").split("\n")]
        for at, name in reversed(list(enumerate("abc"))):
            lines += [
                f" chain {name} {{",
                *self.some(0, 3, lambda at=at: self.rule(list("abc")[at + 1 :])),
                " }",
            ]
        for at, hook in enumerate(["input", *(["prerouting"] if self.random.random() < 0.3 else [])]):
            policy = self.pick("accept", "drop", "drop")
            lines += [
                f" chain base{at} {{",
                f"  type filter hook {hook} priority {-150 * at}; policy {policy};",
            ]
            lines += ["  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"] * (family != "ip")
            lines += [
                "  ct state established,related accept",
                *self.some(1, 6, lambda: self.rule(list("abc"))),
                " }",
            ]
        return [*lines, "}"]


@pytest.mark.parametrize("seed", range(10))
def test_nftables_as_the_kernel_runs_it(world: World, seed: int) -> None:
    dice, opened = NftDice(seed), 0
    for _ in range(5):
        lines = [line for number in range(dice.random.randint(1, 2)) for line in dice.table(number)]
        for _ in range(20):
            try:
                world.on_host("nft -f -", "\n".join(["flush ruleset", *lines]))
                break
            except RuntimeError as error:
                # This nft cannot say this rule (a conflict of protocols, say); without it then.
                for wrong in {int(found) for found in re.findall(r"/dev/stdin:(\d+)", str(error))}:
                    lines[wrong - 2] = ""
        else:
            pytest.fail("no ruleset could be loaded")
        text = "\n".join(lines)
        opened += compare(judge(world.on_host("nft -j list ruleset"), []), world.connect(), text)
    world.on_host("nft flush ruleset")
    assert opened > 0


# --- iptables -------------------------------------------------------------------------------------------------

_EMPTY: Final = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


class IptablesDice(Dice):
    def __init__(self, seed: int, family: str) -> None:
        super().__init__(seed)
        self.six = family == "ip6"

    def test(self) -> str:
        pick, no = self.pick, self.pick("", "! ")
        networks = (
            ("fd77::/16", "fd78::2", "::/0") if self.six else ("10.0.0.0/8", "192.168.0.5", "0.0.0.0/0")
        )
        return pick(
            f"{no}-i {pick('eth0', 'eth1', 'lo', 'eth+')}",
            f"-p tcp -m tcp {no}--dport {pick('22', '80:443', '1024:65535', '1:5000')}",
            f"-p tcp -m multiport {no}--dports {pick('22,80', '80:443,5000')}",
            f"{no}-s {pick(*networks[:2])}",
            f"-s {networks[2]}",
            f"-p {pick('tcp', 'udp', 'icmp')}",
            f"-m conntrack {no}--ctstate {pick('NEW', 'ESTABLISHED,RELATED', 'NEW,ESTABLISHED', 'INVALID', 'DNAT')}",
            f"-p tcp -m tcp {pick('--syn', '! --syn', '--tcp-flags SYN,ACK SYN', '--tcp-flags ALL NONE')}",
            f"-m addrtype {no}--dst-type {pick('LOCAL', 'MULTICAST')}",
            f"-m mark --mark {pick('0', '1', '0x2/0x2')}",
            f"-m pkttype --pkt-type {pick('unicast', 'multicast')}",
            pick('-m comment --comment "hi there"', '-m comment --comment "-j ACCEPT"'),
            f"-m policy --dir in --pol {pick('none', 'ipsec')}",
            f"-m iprange --src-range {'fd77::1-fd77::9' if self.six else '10.77.0.1-10.77.0.9'}",
            pick(
                "-p udp -m udp --sport 53",
                "-m conntrack --ctdir ORIGINAL",
                "-m mac --mac-source 02:11:22:33:44:55",
            ),
        )

    def rule(self, chain: str, others: list[str]) -> str:
        target = self.pick("ACCEPT", "ACCEPT", "DROP", "DROP", "REJECT", "RETURN", "LOG", *others, *others)
        free = target == "LOG" or target in others
        tests = self.some(0 if free else 1, 2, self.test)
        while any(" ".join(tests).split().count(once) > 1 for once in ("-p", "-s", "-i")):
            tests.pop()
        how = "-g" if target in others and self.random.random() < 0.3 else "-j"
        return " ".join([f"-A {chain}", *tests, how, target])

    def table(self) -> list[str]:
        policy = self.pick("ACCEPT", "DROP", "DROP")
        lines = ["*filter", f":INPUT {policy} [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
        lines += [f":{name} - [0:0]" for name in "abc"]
        lines += ["-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
        lines += ["-A INPUT -p ipv6-icmp -j ACCEPT"] * self.six
        for at, name in enumerate("abc"):
            lines += self.some(0, 3, lambda at=at, name=name: self.rule(name, list("abc")[at + 1 :]))
        return [*lines, *self.some(1, 6, lambda: self.rule("INPUT", list("abc"))), "COMMIT", ""]


@pytest.mark.parametrize("seed", range(6))
def test_iptables_as_the_kernel_runs_it(world: World, seed: int) -> None:
    opened = 0
    for turn in range(5):
        texts = []
        for program, family in (("iptables", "ip"), ("ip6tables", "ip6")):
            dice = IptablesDice(seed * 100 + turn, family)
            for kind in ("legacy", "nft"):
                world.on_host(f"{program}-{kind}-restore", _EMPTY)
            texts.append("\n".join(dice.table()))
            world.on_host(f"{program}-{dice.pick('legacy', 'nft', 'nft')}-restore", texts[-1])
        saves = [
            (family, world.on_host(f"{program}-{kind}-save"))
            for program, family in (("iptables", "ip"), ("ip6tables", "ip6"))
            for kind in ("legacy", "nft")
        ]
        found = judge(world.on_host("nft -j list ruleset"), saves)
        opened += compare(found, world.connect(), "\n".join(texts))
    for program in ("iptables", "ip6tables"):
        for kind in ("legacy", "nft"):
            world.on_host(f"{program}-{kind}-restore", _EMPTY)
    assert opened > 0
