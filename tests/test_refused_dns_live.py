"""Real name servers, one setting at a time: BIND and Unbound."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import State, Target
from tests.outside import look, told
from tests.servers.dns import bind, unbound

pytestmark = pytest.mark.server


def verdict(target: Target, check: str, **inventory: str) -> State:
    found = look(target, only=[check], **inventory)[check]
    port = (target.services or ())[0].port
    ours = [one for one in found if f"{port}/tcp" in one.subject] or found
    print(told(ours))
    assert len(ours) == 1
    return ours[0].status


def test_a_transfer_of_the_zone(tmp_path: Path) -> None:
    check = "dns.transfer-refused"
    with bind(tmp_path, "allow-transfer { none; }") as target:
        assert verdict(target, check) is State.PASS
        strange = target.model_copy(update={"domains": ("other.test",)})
        assert verdict(strange, check) is State.NOTAPPLICABLE
        for within in "www.lab.test", "ns1.lab.test", "gone.lab.test":
            name = target.model_copy(update={"domains": (within,)})
            assert verdict(name, check) is State.NOTAPPLICABLE
    with bind(tmp_path, "allow-transfer { any; }") as target:
        assert verdict(target, check) is State.FAIL


def test_questions_about_others(tmp_path: Path) -> None:
    check = "dns.recursion-refused"
    with bind(tmp_path, "recursion no") as target:
        assert verdict(target, check) is State.PASS
    with bind(tmp_path, "recursion yes", "allow-recursion { none; }") as target:
        assert verdict(target, check) is State.PASS
    with unbound(tmp_path, "access-control: 127.0.0.0/8 refuse") as target:
        assert verdict(target, check) is State.PASS
    with unbound(tmp_path, "access-control: 127.0.0.0/8 allow") as target:
        assert verdict(target, check) is State.FAIL
        service = (target.services or ())[0].model_copy(update={"from_": ("office",)})
        meant = target.model_copy(update={"services": (service,)})
        assert verdict(meant, check, vantage="office") is State.NOTAPPLICABLE
        assert verdict(meant, check, vantage="internet") is State.FAIL


def test_recursion_that_is_offered_and_looks_nothing_up(tmp_path: Path) -> None:
    own = 'local-zone: "example.com." always_nodata'
    with unbound(tmp_path, "access-control: 127.0.0.0/8 refuse_non_local", own) as target:
        assert verdict(target, "dns.recursion-refused") is State.UNKNOWN


def test_the_version(tmp_path: Path) -> None:
    check = "dns.version-hidden"
    for settings, expected in (("version none",), State.PASS), ((), State.FAIL):
        with bind(tmp_path, *settings) as target:
            assert verdict(target, check) is expected
    for setting, expected in ("hide-version: yes", State.PASS), ("hide-version: no", State.FAIL):
        with unbound(tmp_path, "access-control: 127.0.0.0/8 allow", setting) as target:
            assert verdict(target, check) is expected
