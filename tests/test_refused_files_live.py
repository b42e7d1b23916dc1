"""Real NFS and rsync servers, one setting at a time."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scanner.model import State, Target
from tests.outside import look, told
from tests.servers.files import nfs, rsyncd

pytestmark = pytest.mark.server


def verdict(target: Target, check: str) -> State:
    found = look(target, only=[check])[check]
    print(told(found))
    assert len(found) == 1
    return found[0].status


def test_names_of_modules(tmp_path: Path) -> None:
    check = "rsync.modules-hidden"
    with rsyncd(tmp_path / "good", "list = false") as target:
        assert verdict(target, check) is State.PASS
    with rsyncd(tmp_path / "bad") as target:
        assert verdict(target, check) is State.FAIL


def test_a_module_without_password(tmp_path: Path) -> None:
    check = "rsync.password-required"
    with rsyncd(tmp_path / "good", "auth users = backup") as target:
        assert verdict(target, check) is State.PASS
    with rsyncd(tmp_path / "elsewhere", "hosts allow = 192.0.2.1") as target:
        assert verdict(target, check) is State.PASS
    with rsyncd(tmp_path / "bad") as target:
        assert verdict(target, check) is State.FAIL
    with rsyncd(tmp_path / "hidden", "list = false") as target:
        assert verdict(target, check) is State.UNKNOWN


def test_exports_that_are_told_and_to_whom() -> None:
    access = "Access_Type = RW; Squash = Root_Squash;"
    told_to = {
        "to nobody here": (
            f"Access_Type = None; CLIENT {{ Clients = 192.0.2.0/24; {access} }}",
            State.PASS,
            State.UNKNOWN,
        ),
        "to us": (
            f"Access_Type = None; CLIENT {{ Clients = 10.77.0.0/16; {access} }}",
            State.FAIL,
            State.PASS,
        ),
        "to everybody": (access, State.FAIL, State.FAIL),
    }
    for name, (export, hidden, bounded) in told_to.items():
        with TemporaryDirectory() as place, nfs(Path(place), export) as target:
            assert verdict(target, "nfs.exports-hidden") is hidden, name
            assert verdict(target, "nfs.not-to-everybody") is bounded, name
