"""What is never asked: another's host behind a jump host, and a printer, which prints whatever it receives."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from scanner.model import Cause, Inventory, State, Target
from scanner.sources import Dialogue, Ports, Say, Source, SshHello, TlsWalk
from scanner.vault import Vault
from scanner.worker import Worker
from tests.outside import every_check, look, server_at, told
from tests.servers.programs import fresh_address

pytestmark = pytest.mark.server

#: Raw printing, in its range of ports, and the line printer daemon.
PRINTERS = (515, *range(9100, 9108))


class Listener:
    """A port that takes every connection and notes what is said to it."""

    def __init__(self, address: str, port: int) -> None:
        self.visits, self.heard = 0, b""
        self._socket = socket.create_server((address, port))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            with visitor:
                visitor.settimeout(5)
                try:
                    self.heard += visitor.recv(4096)
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def listening(address: str, *ports: int) -> Iterator[list[Listener]]:
    with ExitStack() as stack:
        made = [Listener(address, port) for port in ports]
        for one in made:
            stack.callback(one.close)
        yield made


def from_outside() -> list[str]:
    """Every check of a target that is looked at from outside."""
    checks = every_check().registry.checks.values()
    return [one.id for one in checks if one.module.startswith("checks.network.") and not one.is_aggregate]


def test_a_printer_is_told_nothing() -> None:
    address = fresh_address()
    with listening(address, *PRINTERS) as printers:
        target = server_at(address, {"port": 9100, "name": "printer"}, {"port": 515}, ports=PRINTERS)
        found = look(target, only=from_outside())
    assert all(one.visits for one in printers), told(found["exposure.only-declared"])
    assert {one.port: one.heard for one in printers} == dict.fromkeys(PRINTERS, b"")


def test_behind_a_jump_host_nobody_is_asked_unless_the_inventory_says_so() -> None:
    address = fresh_address()
    gate = server_at(fresh_address(), name="gate")
    with listening(address, 0) as (other,):
        service = {"port": other.port, "name": "redis"}
        behind = server_at(address, service, jump="gate", name="behind")
        checks = ["exposure.only-declared", "refused-redis.without-login", "exposure.udp-as-declared"]
        for findings in look(gate, behind, only=checks).values():
            (finding,) = (one for one in findings if one.target == "behind")
            assert (finding.status, finding.cause) == (State.ERROR, Cause.POLICY), told(findings)
            assert "by way of gate" in finding.observed, told(findings)
        assert not other.visits
        asked = look(gate, behind.model_copy(update={"ports": (other.port,)}), only=checks[:1])
        assert other.visits, told(asked[checks[0]])


@pytest.mark.parametrize(
    "source",
    [
        Dialogue(purpose="x", port=9, turns=(Say("x"),)),
        Dialogue(purpose="x", port=9, turns=(Say("x"),), address="127.0.0.9"),
        Ports(numbers=(9,)),
        SshHello(port=9),
        TlsWalk(9),
    ],
    ids=lambda source: type(source).__name__,
)
def test_no_check_gets_round_that(source: Source) -> None:
    gate = Target(name="gate", address="127.0.0.8")
    target = Target(name="a", address="127.0.0.1", addresses=("127.0.0.9",), jump="gate")
    inventory = Inventory(sources=(), digest="", targets=(gate, target))
    with Worker(inventory, Vault()).session(target, (source,)) as session:
        gap = session.ask((source,))[source].gap
    assert gap is not None
    assert gap.cause is Cause.POLICY
    assert "by way of gate" in gap.detail
