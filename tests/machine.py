"""A machine in a network of the test's own: two addresses, a packet filter, and whatever servers the test starts there.

It has the files of the machine the tests run on and a network namespace of its own in a `Box`; the scanner stands in
the box's, as 10.77.0.1 and fd77::1. Nothing of it can be reached from elsewhere.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.lab.network import BRIDGE, Box, _network

_MAKE: Final = """
ip netns add "$1"
ip link add "v-$1" type veth peer name eth0 netns "$1"
ip link set "v-$1" master "$4" up
ip -n "$1" link set lo up
ip -n "$1" addr add "$2/16" dev eth0
ip -n "$1" -6 addr add "$3/64" dev eth0 nodad
ip -n "$1" link set eth0 up
ip netns exec "$1" sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
"""
_CHAIN: Final = """flush ruleset
table inet filter {{
	{first}
	chain input {{
		type filter hook input priority filter; policy {policy};
		iifname "lo" accept
		meta l4proto icmpv6 accept
		ct state established,related accept
		{rules}
	}}
}}
{more}
"""


class Machine:
    """One machine; ``number`` is the last part of its addresses."""

    def __init__(self, box: Box, name: str, number: int) -> None:
        self.name, self.address, self.address6 = name, f"10.77.1.{number}", f"fd77::1:{number}"
        box.sh(_MAKE, name, self.address, self.address6, BRIDGE)
        self._network = os.open(box.root / "run" / "netns" / name, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of it; it ends with the box."""
        os.close(self._network)

    def entered(self) -> AbstractContextManager[None]:
        """This thread's network, and that of all it starts within the block, is this machine's."""
        return _network(self._network)

    def filter(self, *rules: str, policy: str = "accept", first: str = "", more: str = "") -> None:
        """Put these rules, and no others, in the packet filter; none lets everything in. ``first`` stands in the table,
        before its chain; ``more`` behind the table.
        """
        text = _CHAIN.format(policy=policy, rules="\n\t\t".join(rules), first=first, more=more)
        with self.entered():
            subprocess.run(["nft", "-f", "-"], input=text.encode(), check=True)

    def run(self, *command: str) -> str:
        """What a command says that runs on this machine."""
        with self.entered():
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @contextmanager
    def listening(self, port: int, address: str = "::", greeting: bytes = b"") -> Iterator[None]:
        """A TCP port that takes connections; on ``::`` those over IPv4 as well."""
        with self.entered():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(100)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.sendall(greeting)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()

    @contextmanager
    def all_listening(self, *ports: int) -> Iterator[None]:
        """Several of those."""
        with ExitStack() as stack:
            for port in ports:
                stack.enter_context(self.listening(port))
            yield

    @contextmanager
    def server(
        self, *command: str | Path, log: Path, ready: Callable[[], bool], **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program that runs on this machine within the block, from when ``ready`` says so."""
        with log.open("wb") as out, self.entered():
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment},
            )  # fmt: skip
        try:
            until = time.monotonic() + 30
            while not ready():
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < until, log.read_text(errors="replace")
                time.sleep(0.05)
            yield process
        finally:
            process.kill()
            process.wait()

    def listens(self, port: int, protocol: str = "tcp") -> Callable[[], bool]:
        """Whether something has this port, for ``ready``."""
        option = "-Hltn" if protocol == "tcp" else "-Hlun"
        return lambda: any(f":{port} " in line for line in self.run("ss", option).splitlines())


@contextmanager
def machines(*names: str) -> Iterator[tuple[Box, list[Machine]]]:
    """A box with machines of these names, and this thread standing where the scanner stands."""
    box = Box()
    made = [Machine(box, name, number) for number, name in enumerate(names, 10)]
    try:
        with box.entered():
            yield box, made
    finally:
        for machine in made:
            machine.close()
        box.close()
