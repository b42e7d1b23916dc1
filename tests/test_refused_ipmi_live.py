"""OpenIPMI's management controller, one setting at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import State, Target
from tests.outside import look, told
from tests.servers.ipmi import ipmi, limit_cipher_suites

pytestmark = pytest.mark.server


def verdict(target: Target, check: str) -> State:
    (found,) = look(target, only=[check])[check]
    print(told([found]))
    return found.status


def test_cipher_suite_zero(tmp_path: Path) -> None:
    check = "ipmi.cipher-zero-refused"
    with ipmi(tmp_path) as target:
        limit_cipher_suites(target, 4)
        assert verdict(target, check) is State.FAIL
        limit_cipher_suites(target, 0)
        assert verdict(target, check) is State.PASS


def test_a_login_without_name_or_authentication(tmp_path: Path) -> None:
    check = "ipmi.anonymous-refused"
    with ipmi(tmp_path / "good") as target:
        assert verdict(target, check) is State.PASS
    with ipmi(tmp_path / "none", authentication="none md5") as target:
        assert verdict(target, check) is State.FAIL
    with ipmi(tmp_path / "user", as_user="none md5") as target:
        assert verdict(target, check) is State.FAIL
    with ipmi(tmp_path / "anonymous", first_user="true") as target:
        assert verdict(target, check) is State.FAIL
    with ipmi(tmp_path / "nameless", first_user="true", first_password="only-for-this") as target:
        assert verdict(target, check) is State.FAIL
