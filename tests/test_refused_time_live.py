"""A real ntpsec, one line of its configuration at a time; and silence, which is no refusal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scanner.model import State, Target
from tests.outside import look, server_at, told
from tests.servers.ntp import ntpsec
from tests.servers.ports import address

pytestmark = pytest.mark.server
CHECK = "ntp.questions-refused"


def verdict(target: Target) -> State:
    (found,) = look(target, only=[CHECK])[CHECK]
    print(told([found]))
    return found.status


def test_questions_about_the_server(tmp_path: Path) -> None:
    with ntpsec(tmp_path / "good", "restrict default kod nomodify noquery") as target:
        assert verdict(target) is State.PASS
    with ntpsec(tmp_path / "bad", "restrict 10.77.0.0 mask 255.255.0.0") as target:
        assert verdict(target) is State.FAIL


def test_silence_is_no_refusal() -> None:
    where = address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((where, 0))
        target = server_at(where, {"port": deaf.getsockname()[1], "protocol": "udp", "name": "ntp"})
        assert verdict(target) is State.UNKNOWN
    assert verdict(target) is State.NOTAPPLICABLE
