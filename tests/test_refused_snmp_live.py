"""A real net-snmp agent, one line of its configuration at a time; and silence, which is no refusal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scanner.model import Finding, State, Target
from tests.lab.network import Box
from tests.outside import look, server_at, told
from tests.servers.ports import address
from tests.servers.snmpd import snmpd

pytestmark = pytest.mark.server


def found(target: Target, check: str) -> Finding:
    (one,) = look(target, only=[check])[check]
    print(told([one]))
    return one


@pytest.mark.parametrize("bad", ["rocommunity public", "rwcommunity private"])
def test_a_community_that_everybody_knows(bad: str, tmp_path: Path) -> None:
    check = "snmp.default-communities-refused"
    with snmpd(tmp_path / "good", "rocommunity Xq7-only-here") as target:
        assert found(target, check).status is State.PASS
    with snmpd(tmp_path / "bad", bad) as target:
        assert found(target, check).status is State.FAIL


def test_a_user_without_a_password(tmp_path: Path) -> None:
    check = "snmp.no-password-refused"
    user = "createUser initial SHA only-for-this-test AES"
    with snmpd(tmp_path / "nobody", "rocommunity Xq7-only-here") as target:
        assert found(target, check).status is State.PASS
    with snmpd(tmp_path / "good", user, "rouser initial priv") as target:
        assert found(target, check).status is State.PASS
    with snmpd(tmp_path / "bad", user, "rouser initial noauth") as target:
        assert found(target, check).status is State.FAIL


def test_an_agent_that_nobody_declared_is_found(tmp_path: Path) -> None:
    box = Box()
    try:
        with box.entered(), snmpd(tmp_path, "rocommunity public", box=box) as target:
            assert target.services == ()
            assert found(target, "snmp.default-communities-refused").status is State.FAIL
    finally:
        box.close()


def test_silence_is_no_refusal() -> None:
    where = address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((where, 0))
        target = server_at(where, {"port": deaf.getsockname()[1], "protocol": "udp", "name": "snmp"})
        assert found(target, "snmp.default-communities-refused").status is State.UNKNOWN
        assert found(target, "snmp.no-password-refused").status is State.ERROR
    for check in ("snmp.default-communities-refused", "snmp.no-password-refused"):
        assert found(target, check).status is State.NOTAPPLICABLE
