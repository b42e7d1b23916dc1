"""The sweep over TCP ports beside a real network: what listens, refuses, is dropped, rejected or out of reach."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.network.ports import USUAL
from scanner.channels import ChannelError
from scanner.channels.ports import scan
from scanner.model import Cause
from scanner.sources import Ports
from tests.machine import Machine, machines

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with machines("ports") as (_, (one,)):
        yield one


def swept(machine: Machine, *numbers: int, **more: Any) -> dict[str, Any]:
    source = Ports(numbers=numbers, addresses=(machine.address6,), **more)
    found: dict[str, Any] = json.loads(scan(source, machine.address, "kantoor").text)
    assert found["from"] == "kantoor"
    return found["addresses"]  # type: ignore[no-any-return]


def test_every_address_is_tried_and_says_whom_it_sees(machine: Machine) -> None:
    machine.filter()
    with machine.listening(80), machine.listening(81, "0.0.0.0"):
        found = swept(machine, 80, 81, 82)
    assert found[machine.address] == {
        "source": "10.77.0.1", "open": [80, 81], "refused": [82], "silent": [], "failed": {}, "still": True,
    }  # fmt: skip
    assert found[machine.address6] == {
        "source": "fd77::1", "open": [80], "refused": [81, 82], "silent": [], "failed": {}, "still": True,
    }  # fmt: skip


def test_dropped_rejected_and_refused_are_told_apart(machine: Machine) -> None:
    machine.filter(
        "tcp dport 80 drop",
        "tcp dport 81 reject with icmpx admin-prohibited",
        "tcp dport 82 reject with tcp reset",
        "tcp dport 83 reject with icmpx port-unreachable",
    )
    with machine.all_listening(80, 81, 82, 83, 84):
        found = swept(machine, 80, 81, 82, 83, 84)
    for address, why in ((machine.address, "EHOSTUNREACH"), (machine.address6, "EACCES")):
        assert found[address]["silent"] == [80]
        assert found[address]["failed"] == {"81": why}
        assert found[address]["refused"] == [82, 83]
        assert found[address]["open"] == [84]


def test_what_is_dropped_is_asked_a_few_times_at_most(machine: Machine) -> None:
    numbers = tuple(USUAL)
    machine.filter(
        "tcp dport 22 accept", "meta nfproto ipv4 tcp flags syn counter drop",
        "tcp flags syn drop", policy="accept",
    )  # fmt: skip
    with machine.listening(22):
        found = swept(machine, *numbers)
    assert found[machine.address]["open"] == found[machine.address6]["open"] == [22]
    assert len(found[machine.address]["silent"]) == len(numbers) - 1
    rules = json.loads(machine.run("nft", "-j", "list", "ruleset"))["nftables"]
    (packets,) = [
        part["counter"]["packets"]
        for rule in rules if "rule" in rule for part in rule["rule"]["expr"] if "counter" in part
    ]  # fmt: skip
    # Twice by us, and once more by the kernel each time that we wait longer than a second.
    assert 2 * (len(numbers) - 1) <= packets <= 4 * (len(numbers) - 1)


def test_a_packet_that_gets_lost_hides_nothing(machine: Machine) -> None:
    machine.filter(
        "tcp flags syn tcp dport @seen accept",
        "tcp flags syn meta nfproto ipv4 add @seen { tcp dport } drop",
        first="set seen { type inet_service; flags dynamic,timeout; timeout 1m; size 100; }",
    )
    with machine.all_listening(80, 81, 82, 83):
        found = swept(machine, 80, 81, 82, 83)
    assert found[machine.address]["open"] == [80, 81, 82, 83]


def test_a_host_that_shuts_us_out_halfway_is_told(machine: Machine) -> None:
    machine.filter(
        "tcp flags syn ip saddr @seen drop",
        "tcp flags syn limit rate over 1/minute burst 20 packets add @seen { ip saddr } drop",
        first="set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 100; }",
    )
    with machine.listening(80):
        found = swept(machine, *range(80, 140))[machine.address]
        assert found["open"] == [80]
        assert found["silent"]
        assert not found["still"]
        machine.filter()
        assert swept(machine, *range(80, 140))[machine.address]["still"]


def test_no_port_of_ours_stays_occupied(machine: Machine, tmp_path: Path) -> None:
    machine.filter()
    with machine.all_listening(*range(2000, 2100)):
        found = swept(machine, *range(2000, 2100))
        left = subprocess.run(["ss", "-Htan", "dst", machine.address], capture_output=True, check=True).stdout
    assert len(found[machine.address]["open"]) == 100
    assert left == b""


def test_without_a_route_it_failed_and_without_time_it_is_an_error(machine: Machine) -> None:
    found = json.loads(scan(Ports(numbers=(80, 81)), "198.51.100.1", "").text)["addresses"]
    assert found["198.51.100.1"] == {
        "source": "", "open": [], "refused": [], "silent": [], "failed": {"80": "ENETUNREACH", "81": "ENETUNREACH"},
        "still": True,
    }  # fmt: skip
    machine.filter("tcp flags syn drop")
    with pytest.raises(ChannelError, match="not all were asked in 1 seconds") as caught:
        swept(machine, 80, timeout=1)
    assert caught.value.cause is Cause.TIMEOUT


_SHORT_OF_FILES = """
import json, resource, sys
from scanner.channels.ports import scan
from scanner.sources import Ports
import os, socket, selectors
keep = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
room = int(sys.argv[2])
used = len(os.listdir("/proc/self/fd"))
import encodings.idna
resource.setrlimit(resource.RLIMIT_NOFILE, (used + room, used + room))
print(scan(Ports(numbers=tuple(range(80, 120))), sys.argv[1], "").text)
"""


def test_few_files_make_it_slower_and_none_make_it_say_so(machine: Machine) -> None:
    machine.filter()

    def short(room: int) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _SHORT_OF_FILES, machine.address, str(room)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["addresses"][machine.address]  # type: ignore[no-any-return]

    with machine.listening(100):
        assert short(3)["open"] == [100]
        assert len(short(3)["refused"]) == 39
        assert set(short(0)["failed"].values()) == {"EMFILE"}
