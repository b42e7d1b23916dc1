"""What a real memcached refuses and what not, as seen from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import Target
from tests.outside import look, state, told
from tests.servers.memcached import memcached

pytestmark = pytest.mark.server

CHECKS = ("refused-caches.memcached-without-login", "refused-caches.memcached-datagrams")


def seen(target: Target) -> tuple[str, ...]:
    found = look(target, only=CHECKS)
    print("\n".join(told(found[id_]) for id_ in CHECKS))
    return tuple(str(state(found[id_])) for id_ in CHECKS)


def test_as_it_comes_everybody_reads(tmp_path: Path) -> None:
    with memcached(tmp_path) as target:
        assert seen(target) == ("fail", "pass")


def test_datagrams(tmp_path: Path) -> None:
    with memcached(tmp_path, datagrams=True) as target:
        assert seen(target) == ("fail", "fail")


def test_a_password_file(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("app:q7Wc2nU8\n")
    with memcached(tmp_path, "-Y", str(tmp_path / "names")) as target:
        assert seen(target) == ("pass", "pass")


def test_sasl(tmp_path: Path) -> None:
    (tmp_path / "memcached.conf").write_text("mech_list: plain\n")
    with memcached(tmp_path, "-S", environment={"SASL_CONF_PATH": str(tmp_path)}) as target:
        assert seen(target) == ("pass", "pass")
