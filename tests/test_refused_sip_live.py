"""A real Kamailio, one setting at a time, over TCP and UDP."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import State, Target
from tests.outside import look, told
from tests.servers.kamailio import kamailio

pytestmark = pytest.mark.server


def verdicts(target: Target, check: str) -> list[State]:
    found = look(target, only=[check])[check]
    print(told(found))
    return [one.status for one in found]


def test_a_registration_without_a_password(tmp_path: Path) -> None:
    check = "sip.register-refused"
    with kamailio(tmp_path / "good") as target:
        assert verdicts(target, check) == [State.PASS, State.PASS]
    with kamailio(tmp_path / "bad", authenticated=False) as target:
        assert verdicts(target, check) == [State.FAIL, State.FAIL]


def test_the_version(tmp_path: Path) -> None:
    check = "sip.version-hidden"
    with kamailio(tmp_path / "good", "server_signature=no") as target:
        assert verdicts(target, check) == [State.PASS, State.PASS]
    with kamailio(tmp_path / "bad") as target:
        assert verdicts(target, check) == [State.FAIL, State.FAIL]
